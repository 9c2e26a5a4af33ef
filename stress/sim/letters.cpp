#include "sim/letters.hpp"

#include <cstring>
#include <iterator>

#include "base/random.hpp"
#include "sim/process.hpp"
#include "sim/violation.hpp"

namespace hawser::sim {
namespace {

std::uint64_t word_of(PeerId from, const Letter& letter, std::uint64_t number, std::uint64_t place) {
  return place == 0 ? number : Random(from.value ^ letter.tag * 31 ^ number * 0x9e3779b97f4a7c15ULL ^ place).next();
}

}  // namespace

std::uint64_t Letters::write(PeerId from, Letter& letter) {
  const std::uint64_t number = ++lanes_[{from, letter.other, letter.tag}].written;
  for (std::size_t at = 0; at + 8 <= letter.bytes; at += 8) {
    const std::uint64_t word = word_of(from, letter, number, at / 8);
    std::memcpy(letter.memory.get() + at, &word, 8);
  }
  return number;
}

void Letters::sent(PeerId from, const Letter& letter, Instant now) {
  Progress& lane = lanes_[{from, letter.other, letter.tag}];
  if (!lane.gone.contains(letter.number)) lane.arrived[letter.number] = now;
}

void Letters::received(const std::string& who, PeerId from, PeerId to, CallId call, const Letter& letter) {
  Progress& lane = lanes_[{from, to, letter.tag}];
  std::uint64_t number = 0;
  std::memcpy(&number, letter.memory.get(), 8);
  const auto later = lane.received.upper_bound(call);
  const bool is_late = later != lane.received.end() && later->second < number;
  const bool is_early = later != lane.received.begin() && std::prev(later)->second > number;
  if (number == 0 || number > lane.written || is_late || is_early || !lane.gone.insert(number).second)
    throw Violation(who + " receives message " + std::to_string(number) + " of its sender and tag out of turn");
  lane.received[call] = number;
  lane.arrived.erase(number);
  for (std::size_t at = 0; at + 8 <= letter.bytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, letter.memory.get() + at, 8);
    if (word != word_of(from, letter, number, at / 8))
      throw Violation(who + " receives message " + std::to_string(number) + ", and byte " + std::to_string(at) +
                      " of it is not what was sent");
  }
  while (!lane.arrived.empty()) {
    const std::uint64_t earlier = lane.arrived.begin()->first;
    if (earlier > number) break;
    if (!was_abandoned(lane, to, letter.tag))
      throw Violation(who + " receives message " + std::to_string(number) + ", and message " +
                      std::to_string(earlier) + " of the same sender and tag, which was there, never");
  }
}

/// The oldest one that is there: a receive of that tag timed out in the middle of a message, whose last bytes may have
/// come before its sender heard of that.
bool Letters::was_abandoned(Progress& lane, PeerId to, std::uint64_t tag) {
  const auto left = abandoned_.find({to, tag});
  if (left == abandoned_.end() || left->second == 0) return false;
  --left->second;
  lane.gone.insert(lane.arrived.begin()->first);
  lane.arrived.erase(lane.arrived.begin());
  return true;
}

void Letters::not_received(const std::string& who, PeerId to, const Letter& letter, Instant called_at,
                           const Error& error) {
  if (error.status != Status::timeout && error.status != Status::peer_lost) return;
  if (error.sentence.find("has not come whole") != std::string::npos) {
    ++abandoned_[{to, letter.tag}];
    return;
  }
  const auto lane = lanes_.find({letter.other, to, letter.tag});
  if (lane == lanes_.end()) return;
  while (!lane->second.arrived.empty()) {
    const auto [number, when] = *lane->second.arrived.begin();
    if (when >= called_at) return;
    if (was_abandoned(lane->second, to, letter.tag)) continue;
    throw Violation(who + " receives nothing (" + error.sentence + "), though message " + std::to_string(number) +
                    " was there before it called");
  }
}

}  // namespace hawser::sim
