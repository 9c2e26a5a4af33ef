#pragma once

#include <CLI/CLI.hpp>

/// `hawser bench all-reduce` and `hawser bench idle`: measurements among processes of this machine. Sets
/// `status` to the process's exit status when one ran.
void add_bench_command(CLI::App& app, int& status);
