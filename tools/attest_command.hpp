#pragma once

#include <CLI/CLI.hpp>

/// `hawser attest`: what members have signed of their contributions.
void add_attest_command(CLI::App& app, int& status);
