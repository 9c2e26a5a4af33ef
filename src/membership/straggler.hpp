#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/instant.hpp"

namespace hawser {

/// What the master does with a member whose links hold up a collective.
enum class StragglerPolicy : std::uint8_t { report = 0, expel = 1 };

/// A link that delivers far less than the plan counts on. Ends of links are ranks of one view.
struct SlowLink {
  std::uint32_t to = 0;
  std::uint32_t percent = 0;  ///< What it delivers of that.
};

struct Straggler {
  std::uint32_t rank = 0;
  std::uint32_t percent = 0;  ///< What its slow links deliver of what the plan counts on, on average.
};

/// The slow links of one collective, as the members tell of them, and who holds it up.
///
/// A member holds up a collective that goes on, but slowly, if the slow links have one end in common. That is, if at
/// least three quarters of them have, if their other ends are at least two members (as in a ring), and if no other
/// member has as many. A slow way between two members, or one that many share, is nobody's fault; nor are links that
/// wait for data.
///
/// All but slow_ends() cost the logarithm of the number of links, for each link that is told or forgotten.
class SlowLinks {
 public:
  /// Replaces what this member told before. `now` does not go back.
  void tell(Instant now, std::uint32_t sender, std::vector<SlowLink> links);
  /// All links of this member, whoever told of them.
  void forget(std::uint32_t rank);
  /// What was told before that.
  void forget_older(Instant than);
  void clear() { *this = {}; }

  std::optional<Straggler> straggler() const;
  /// The other ends of a member's slow links, in order.
  std::vector<std::uint32_t> slow_ends(std::uint32_t rank) const;

 private:
  struct Report {
    Instant heard_at;
    std::vector<SlowLink> links;
  };
  struct End {
    std::uint32_t links = 0;
    std::uint64_t percents = 0;
  };
  void take_back(std::uint32_t sender);
  void count(std::uint32_t sender, const SlowLink& link, bool is_slow);
  bool has_two_ends(std::uint32_t rank) const;

  std::map<std::uint32_t, Report> reports_;                     ///< By sender.
  std::set<std::pair<Instant, std::uint32_t>> by_age_;          ///< Of the reports: when they were heard, and of whom.
  std::set<std::pair<std::uint32_t, std::uint32_t>> incoming_;  ///< Receiver and sender of each link.
  std::map<std::uint32_t, End> ends_;                           ///< By rank; of both directions.
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_links_;  ///< The number of links of each rank in `ends_`.
  std::size_t links_ = 0;
};

}  // namespace hawser
