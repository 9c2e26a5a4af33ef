#pragma once

#include <CLI/CLI.hpp>

/// `hawser dashboard`: a page and metrics of a run, over HTTP.
void add_dashboard_command(CLI::App& app, int& status);
