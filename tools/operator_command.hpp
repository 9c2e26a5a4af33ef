#pragma once

#include <CLI/CLI.hpp>

/// hawser kick, ban, unban, admit and drain: what an operator asks of a run's master.
void add_operator_commands(CLI::App& app, int& status);
