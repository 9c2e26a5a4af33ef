#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/instant.hpp"
#include "membership/messages.hpp"
#include "membership/view.hpp"

namespace hawser {

/// What the master does with a member whose links hold up a collective.
enum class StragglerPolicy : std::uint8_t { report = 0, expel = 1 };

/// One member's word on how fast its data of a collective goes where.
struct FlowReport {
  Instant heard_at;  ///< When it said so.
  std::vector<Flow> flows;
};

struct Straggler {
  Member member;
  std::uint32_t percent = 0;      ///< What its slow links deliver of what the plan counts on, on average.
  std::vector<PeerId> slow_with;  ///< The other ends of these, in rank order.
};

/// Decides whether one member holds up a collective that goes on, but slowly: if the links that deliver less than
/// `ratio_percent` of what the plan counts on for them have one end in common. That is, if at least three quarters of
/// them have, if their other ends are at least two members (as in a ring), and if no other member has as many. A slow way between two members, or one that many share, is nobody's fault; nor are links that wait for data.
std::optional<Straggler> find_straggler(const View& view, const std::map<PeerId, FlowReport>& reports,
                                        std::uint32_t ratio_percent);

}  // namespace hawser
