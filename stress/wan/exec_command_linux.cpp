#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "wan/commands.hpp"
#include "wan/file_descriptor.hpp"

/// A lab keeps the network of each host as an open file. They have no names, so a host is known by its address.
namespace hawser::wan {
namespace {

namespace fs = std::filesystem;

/// The networks that a process keeps open.
std::vector<fs::path> networks_of(const fs::path& process) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(process / "fd", error), end; !error && entry != end; entry.increment(error)) {
    std::error_code unreadable;
    if (fs::read_symlink(entry->path(), unreadable).string().starts_with("net:[")) found.push_back(entry->path());
  }
  return found;
}

bool runs_a_lab(const fs::path& process) {
  std::string program;
  std::getline(std::ifstream(process / "comm"), program);
  return program == "hawser-wan" && !networks_of(process).empty();
}

/// The labs of this tool that run, as paths in /proc.
std::vector<fs::path> running_labs() {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error))
    if (entry->path().filename().string().find_first_not_of("0123456789") == std::string::npos &&
        runs_a_lab(entry->path()))
      found.push_back(entry->path());
  return found;
}

bool has_address(const std::string& text) {
  in_addr wanted{};
  if (::inet_pton(AF_INET, text.c_str(), &wanted) != 1) return false;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in address{};
    std::memcpy(&address, one->ifa_addr, sizeof address);
    found = found || address.sin_addr.s_addr == wanted.s_addr;
  }
  ::freeifaddrs(list);
  return found;
}

/// Into the network of that host, of all that the process keeps open. False if it is not among them.
bool enter_network(const fs::path& lab, const std::string& address) {
  for (const fs::path& network : networks_of(lab)) {
    const FileDescriptor open(::open(network.c_str(), O_RDONLY | O_CLOEXEC));
    if (open && ::setns(open.number(), CLONE_NEWNET) == 0 && has_address(address)) return true;
  }
  return false;
}

int complain(int status, const std::string& what) {
  std::fprintf(stderr, "hawser-wan: %s\n", what.c_str());
  return status;
}

/// Empty, after a sentence, if it is not clear which one.
fs::path lab_for(const ExecOptions& options) {
  if (options.lab_pid != 0) return fs::path("/proc") / std::to_string(options.lab_pid);
  const std::vector<fs::path> labs = running_labs();
  if (labs.size() == 1) return labs.front();
  std::string what = "no lab of this tool runs here";
  if (!labs.empty()) what = std::to_string(labs.size()) + " labs run here; choose one with --lab PID:";
  for (const fs::path& lab : labs) what += " " + lab.filename().string();
  complain(kExitUsage, what);
  return {};
}

}  // namespace

int exec_in_host(const ExecOptions& options) {
  if (::geteuid() != 0) return complain(kExitNoPermission, "exec enters a host's network, which only root may do");
  const fs::path lab = lab_for(options);
  if (lab.empty()) return kExitUsage;
  const std::vector<HostWords> hosts = read_host_list(lab.string());
  if (hosts.empty()) return complain(kExitUsage, "process " + lab.filename().string() + " runs no lab");
  if (options.host >= hosts.size())
    return complain(kExitUsage, "there is no host " + std::to_string(options.host) + "; the lab has hosts 0 to " +
                                    std::to_string(hosts.size() - 1));
  if (!enter_network(lab, hosts[options.host].inside))
    return complain(kExitSystem, "cannot enter the network of host " + std::to_string(options.host) +
                                     " of the lab with the process id " + lab.filename().string());
  for (const std::string& entry : environment_of(hosts, options.host)) {
    const std::size_t equals = entry.find('=');
    ::setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
  }
  std::vector<std::string> owned = filled_in(options.command, hosts, options.host, hosts.size());
  std::vector<char*> arguments;
  for (std::string& argument : owned) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int status = errno == ENOENT ? 127 : 126;
  return complain(status, std::string(arguments[0]) + ": " + std::strerror(errno));
}

}  // namespace hawser::wan
