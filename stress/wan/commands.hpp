#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "wan/host_list.hpp"
#include "wan/router.hpp"
#include "wan/spec.hpp"

namespace hawser::wan {

struct LabOptions {
  std::string spec;
  std::optional<HostIndex> hosts;
  std::string congestion_control;
  std::optional<std::uint64_t> seed;  ///< Instead of the spec's.
  std::uint32_t missing_percent = 0;  ///< Of the pairs: they do not reach each other.
};

struct RunOptions {
  LabOptions lab;
  std::string log_dir;
  Recordings recordings;
  std::uint64_t timeout_s = 3600;
  std::string first;    ///< A shell command for host 0 instead of the others' command.
  bool master = false;  ///< `hawser master` in host 0 beside its command.
  bool relay = false;   ///< `hawser relay` in host 0 instead of the command,
  std::string relay_options;  ///< with these, separated by spaces.
  std::string hawser;   ///< That binary; "": beside this one, else on PATH.
  bool stop_on_failure = false;
  std::vector<std::string> command;
};

struct CheckOptions {
  LabOptions lab;
  bool all_pairs = false;
  double seconds = 6;  ///< Of each flow's window, and about what the exchange takes at best.
  std::uint32_t connections = 4;
};

struct PlanOptions {
  LabOptions lab;
  std::vector<std::uint64_t> sizes{4 << 10, 1 << 20, 64 << 20};  ///< Bytes of float32.
};

struct ExecOptions {
  HostIndex host = 0;
  int lab_pid = 0;  ///< The process of the lab; 0: the only one of this tool that runs.
  std::vector<std::string> command;
};

inline constexpr int kExitTimeout = 124;
inline constexpr int kExitUsage = 64;
inline constexpr int kExitNoPermission = 77;
inline constexpr int kExitSystem = 70;

/// One command per host. Blocks until all have ended, or the timeout; the worst of their exit statuses.
int run_commands(const RunOptions& options);
/// Becomes the command, in the network of a host of a lab that runs. Comes back only if that is not possible: with the
/// exit status, after a sentence.
int exec_in_host(const ExecOptions& options);
/// Measures what TCP gets in the lab, and prints a table. Not 0 if something could not be measured.
int check_lab(const CheckOptions& options);
int show_spec(const LabOptions& options);
/// Prints what the planner makes of the spec.
int show_plans(const PlanOptions& options);
int list_specs();

/// Where a master of a lab listens, in host 0, as `host` dials it.
std::string master_address(const std::vector<HostWords>& hosts, HostIndex host);
/// NAME=VALUE of what a host's commands are told of the lab.
std::vector<std::string> environment_of(const std::vector<HostWords>& hosts, HostIndex host);
/// With {i}, {address}, {outside}, {hosts}, {commands} and {master} replaced. `commands`: how many hosts run the command.
std::vector<std::string> filled_in(std::vector<std::string> command, const std::vector<HostWords>& hosts,
                                   HostIndex host, std::size_t commands);

/// Prints why there is no lab; the exit status for it.
int exit_of(const Error& no_lab);

/// The spec as the options want it; prints what is wrong with it.
std::optional<Spec> spec_of(const LabOptions& options);

}  // namespace hawser::wan
