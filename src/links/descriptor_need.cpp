#include "links/descriptor_need.hpp"

namespace hawser {

std::uint64_t descriptors_needed(const LinksHeld& links) {
  return kDescriptorsBeside + std::uint64_t{links.between_hosts} * links.connections_between_hosts +
         std::uint64_t{links.within_host} * links.connections_within_host;
}

std::optional<std::string> DescriptorShortage::look(const LinksHeld& links, const DescriptorLimit& limit) {
  const std::uint64_t needed = descriptors_needed(links);
  if (needed <= limit.soft || needed < 2 * needed_when_warned_) return std::nullopt;
  needed_when_warned_ = needed;
  const std::string wanted = std::to_string(needed);
  std::string hard;
  if (limit.hard < needed) hard = ", after root has raised the hard limit, which is " + std::to_string(limit.hard);
  return "the links to " + std::to_string(links.between_hosts + links.within_host) + " other members may need up to " +
         wanted + " file descriptors, and this process may have " + std::to_string(limit.soft) +
         "; run \"ulimit -n " + wanted + "\" before it starts" + hard;
}

}  // namespace hawser
