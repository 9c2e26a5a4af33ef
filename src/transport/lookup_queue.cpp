#include "transport/lookup_queue.hpp"

#include <algorithm>

namespace hawser::transport {
namespace {

bool holds(const std::deque<std::string>& hosts, const std::string& host) {
  return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
}

Error no_place(const std::string& host, const std::string& why) {
  return {Status::system, "the host name \"" + host + "\" is not looked up: " + why + "; try again later"};
}

}  // namespace

Result<void> LookupQueue::put(const std::string& host, LookupSource source) {
  const auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& one) { return one.source == source; });
  if (source ? lane != lanes_.end() && holds(lane->hosts, host) : holds(own_, host)) return {};
  if (source && lane != lanes_.end() && lane->hosts.size() == kPlacesPerSourceMax)
    return no_place(host, std::to_string(kPlacesPerSourceMax) + " names of the same peer wait already");
  if (places_ >= (source ? kPlacesMax - kOwnPlaces : kPlacesMax))
    return no_place(host, std::to_string(places_) + " names wait already");
  ++places_;
  if (!source)
    own_.push_back(host);
  else if (lane != lanes_.end())
    lane->hosts.push_back(host);
  else
    lanes_.push_back({.source = *source, .hosts = {host}});
  return {};
}

std::optional<LookupQueue::Next> LookupQueue::take(bool others) {
  if (!has_next(others)) return std::nullopt;
  Next next;
  if (!own_.empty()) {
    next = {.host = own_.front(), .own = true};
  } else {
    next = {.host = lanes_.front().hosts.front(), .own = false};
    std::rotate(lanes_.begin(), lanes_.begin() + 1, lanes_.end());
  }
  remove(next.host);
  return next;
}

void LookupQueue::remove(const std::string& host) {
  places_ -= std::erase(own_, host);
  for (Lane& lane : lanes_) places_ -= std::erase(lane.hosts, host);
  std::erase_if(lanes_, [](const Lane& lane) { return lane.hosts.empty(); });
}

}  // namespace hawser::transport
