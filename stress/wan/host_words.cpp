#include <utility>

#include "wan/commands.hpp"
#include "wan/ip_packet.hpp"

namespace hawser::wan {
namespace {

/// In a host's own network every port is free.
constexpr const char* kMasterPort = "48500";

}  // namespace

std::string master_address() { return address_text(0) + ":" + kMasterPort; }

std::vector<std::string> environment_of(HostIndex host, HostIndex hosts) {
  std::string all;
  for (HostIndex i = 0; i < hosts; ++i) all += (i > 0 ? "," : "") + address_text(i);
  return {"HAWSER_WAN_HOST=" + std::to_string(host), "HAWSER_WAN_HOSTS=" + std::to_string(hosts),
          "HAWSER_WAN_ADDRESS=" + address_text(host), "HAWSER_WAN_ADDRESSES=" + all};
}

std::vector<std::string> filled_in(std::vector<std::string> command, HostIndex host, HostIndex hosts) {
  const std::pair<std::string, std::string> values[] = {{"{i}", std::to_string(host)},
                                                        {"{address}", address_text(host)},
                                                        {"{hosts}", std::to_string(hosts)},
                                                        {"{master}", master_address()}};
  for (std::string& argument : command)
    for (const auto& [name, value] : values)
      for (std::size_t at = 0; (at = argument.find(name, at)) != std::string::npos; at += value.size())
        argument.replace(at, name.size(), value);
  return command;
}

}  // namespace hawser::wan
