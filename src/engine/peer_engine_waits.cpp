#include "engine/peer_engine_state.hpp"

/// Calls that wait until the membership is as they wish.
namespace hawser {
namespace {

std::string describe(const MembershipWish& wish) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", and ") + what; };
  if (wish.joiner) add("nobody wanted to join");
  if (wish.other_than) add("nobody was lost");
  if (wish.group_size > 0) add("the group did not have " + std::to_string(wish.group_size) + " members");
  return text;
}

}  // namespace

MembershipMet met(const MembershipWish& wish, const View& view, std::uint32_t pending) {
  return {.joiner = wish.joiner && pending > 0,
          .other_view = wish.other_than && *wish.other_than != view.epoch,
          .group_size = wish.group_size > 0 && view.size() >= wish.group_size};
}

void PeerEngine::State::on(Instant now, const WaitCall& event, EngineActions&) {
  std::optional<Instant> until;
  if (event.bound) until = now + *event.bound;
  waits_.push_back({.call = event.call, .wish = event.wish, .since = now, .until = until});
}

void PeerEngine::State::end_waits(Instant now, EngineActions& out) {
  const Error gone = machine_.not_a_member();
  std::erase_if(waits_, [&](const Wait& wait) {
    if (gone.status != Status::success) {
      out.emplace_back(CallDone{wait.call, gone, {}});
      return true;
    }
    if (const MembershipMet holds = met(wait.wish, machine_.view(), machine_.pending()); holds.any()) {
      out.emplace_back(CallDone{wait.call, {Status::success, {}}, {}, holds});
      return true;
    }
    if (!wait.until || now < *wait.until) return false;
    out.emplace_back(CallDone{wait.call,
                              {Status::timeout, describe(wait.wish) + " within " +
                                                    std::to_string(whole_milliseconds(now - wait.since)) +
                                                    " ms; wait again, or go on"},
                              {}});
    return true;
  });
}

}  // namespace hawser
