#include <CLI/CLI.hpp>

#include "attest_command.hpp"
#include "bench_command.hpp"
#include "checkpoint_command.hpp"
#ifdef HAWSER_HAS_HTTP
#include "dashboard/dashboard_command.hpp"
#endif
#include "hawser.h"
#include "keygen_command.hpp"
#include "master_command.hpp"
#include "operator_command.hpp"
#include "relay_command.hpp"
#include "status_command.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Hawser: fault-tolerant collectives over ordinary TCP"};
  app.set_version_flag("--version", std::string("hawser ") + hawserGetVersion());
  app.require_subcommand(1);
  int status = 0;
  add_master_command(app, status);
  add_relay_command(app, status);
  add_bench_command(app, status);
  add_status_command(app, status);
#ifdef HAWSER_HAS_HTTP
  add_dashboard_command(app, status);
#endif
  add_operator_commands(app, status);
  add_attest_command(app, status);
  add_checkpoint_command(app, status);
  add_keygen_command(app, status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
