#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace hawser {

/// How many files a process may have open. All ones: as many as it likes.
struct DescriptorLimit {
  std::uint64_t soft = 0;  ///< Holds now; the process may raise it up to the other one.
  std::uint64_t hard = 0;
};

/// The links of one peer, and how many connections each may come to have.
struct LinksHeld {
  std::size_t between_hosts = 0;
  std::size_t within_host = 0;
  std::uint32_t connections_between_hosts = 0;
  std::uint32_t connections_within_host = 0;
};

/// Open files that are no links: the standard streams, libraries, data, the listening port, the connection to the
/// master.
inline constexpr std::uint64_t kDescriptorsBeside = 64;

/// Descriptors that a process with these links may come to need.
std::uint64_t descriptors_needed(const LinksHeld& links);

/// Says that the limit of open files is too low for the links of a view: once, and again when the need has doubled
/// since. Pure.
class DescriptorShortage {
 public:
  /// One sentence, with the figures and what to do; none if there are enough, or it was said.
  std::optional<std::string> look(const LinksHeld& links, const DescriptorLimit& limit);

 private:
  std::uint64_t needed_when_warned_ = 0;
};

}  // namespace hawser
