#include "links/strangers.hpp"

#include <algorithm>
#include <utility>

namespace hawser::links {

bool Strangers::may_open(Instant now, const std::string& source) {
  constexpr std::size_t kSourcesKept = 1024;
  if (opens_.size() >= kSourcesKept)
    std::erase_if(opens_, [&](const auto& entry) { return entry.second.is_full(now); });
  TokenBucket& of_source = opens_.try_emplace(source, bounds_.opens_per_source).first->second;
  const double left = of_source.is_full(now) ? 0 : bounds_.opens_of_all.burst / 2;
  return of_source.take(now) && opens_of_all_.take(now, 1, left);
}

const Stranger* Strangers::in_the_way_of(const std::string& source) const {
  const auto is_of_source = [&](const Stranger& one) { return one.source == source; };
  const auto of_source = static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), is_of_source));
  const bool too_many_of_it = of_source >= bounds_.of_source_most;
  if (!too_many_of_it && all_.size() < bounds_.most) return nullptr;
  const auto may_go = [&](const Stranger& one) { return !too_many_of_it || is_of_source(one); };
  auto oldest =
      std::find_if(all_.begin(), all_.end(), [&](const Stranger& one) { return may_go(one) && !one.greeting; });
  if (oldest == all_.end()) oldest = std::find_if(all_.begin(), all_.end(), may_go);
  return oldest == all_.end() ? nullptr : &*oldest;
}

Stranger& Strangers::add(Instant now, Stranger stranger) {
  stranger.deadline = now + bounds_.greeting;
  return all_.emplace_back(std::move(stranger));
}

Stranger* Strangers::find(SocketId socket) {
  return const_cast<Stranger*>(std::as_const(*this).find(socket));
}

const Stranger* Strangers::find(SocketId socket) const {
  const auto at =
      std::find_if(all_.begin(), all_.end(), [&](const Stranger& one) { return one.socket == socket; });
  return at == all_.end() ? nullptr : &*at;
}

void Strangers::remove(SocketId socket) {
  all_.remove_if([&](const Stranger& one) { return one.socket == socket; });
}

std::vector<SocketId> Strangers::held_of(PeerId peer) const {
  std::vector<SocketId> found;
  for (const Stranger& one : all_)
    if (one.greeting && !one.is_answered && !one.waits_to_meet && one.greeting->from == peer)
      found.push_back(one.socket);
  return found;
}

const Stranger* Strangers::waiting_to_meet(PeerId who, PeerId other) const {
  const auto at = std::find_if(all_.begin(), all_.end(), [&](const Stranger& one) {
    return one.waits_to_meet && one.greeting->from == who && one.greeting->to == other;
  });
  return at == all_.end() ? nullptr : &*at;
}

std::size_t Strangers::waiting_to_meet(PeerId who) const {
  return static_cast<std::size_t>(std::count_if(
      all_.begin(), all_.end(), [&](const Stranger& one) { return one.waits_to_meet && one.greeting->from == who; }));
}

std::size_t Strangers::waiting_to_meet() const {
  return static_cast<std::size_t>(
      std::count_if(all_.begin(), all_.end(), [](const Stranger& one) { return one.waits_to_meet; }));
}

bool Strangers::is_answering(PeerId peer) const {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const Stranger& one) { return one.is_answered && one.greeting->from == peer; });
}

std::vector<SocketId> Strangers::late(Instant now) const {
  std::vector<SocketId> found;
  for (const Stranger& one : all_)
    if (one.deadline <= now) found.push_back(one.socket);
  return found;
}

std::optional<Instant> Strangers::next_deadline() const {
  std::optional<Instant> next;
  for (const Stranger& one : all_) next = earlier(next, one.deadline);
  return next;
}

}  // namespace hawser::links
