#include <utility>

#include "wan/commands.hpp"

namespace hawser::wan {
namespace {

/// In a host's own network every port is free.
constexpr const char* kMasterPort = "48500";

}  // namespace

std::string master_address(const std::vector<HostWords>& hosts, HostIndex host) {
  return (host == 0 ? hosts[0].inside : hosts[0].outside) + ":" + kMasterPort;
}

std::vector<std::string> environment_of(const std::vector<HostWords>& hosts, HostIndex host) {
  std::string all;
  for (const HostWords& one : hosts) all += (all.empty() ? "" : ",") + one.outside;
  return {"HAWSER_WAN_HOST=" + std::to_string(host), "HAWSER_WAN_HOSTS=" + std::to_string(hosts.size()),
          "HAWSER_WAN_ADDRESS=" + hosts[host].inside, "HAWSER_WAN_ADDRESSES=" + all};
}

std::vector<std::string> filled_in(std::vector<std::string> command, const std::vector<HostWords>& hosts,
                                   HostIndex host, std::size_t commands) {
  const std::pair<std::string, std::string> values[] = {{"{i}", std::to_string(host)},
                                                        {"{address}", hosts[host].inside},
                                                        {"{outside}", hosts[host].outside},
                                                        {"{hosts}", std::to_string(hosts.size())},
                                                        {"{commands}", std::to_string(commands)},
                                                        {"{master}", master_address(hosts, host)}};
  for (std::string& argument : command)
    for (const auto& [name, value] : values)
      for (std::size_t at = 0; (at = argument.find(name, at)) != std::string::npos; at += value.size())
        argument.replace(at, name.size(), value);
  return command;
}

}  // namespace hawser::wan
