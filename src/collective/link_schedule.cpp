#include "collective/link_schedule.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/limits.hpp"

namespace hawser {
namespace {

/// An acknowledgement goes at once after so much, else after so long: it serves repair, nobody waits for it.
constexpr std::uint64_t kAcknowledgeFrames = 8;
constexpr std::size_t kAcknowledgeBytes = 256 << 10;
constexpr Duration kAcknowledgeDelay = milliseconds(20);
/// While a long payload trickles in, so often.
constexpr Duration kReceivingSign = milliseconds(500);

}  // namespace

void LinkSchedule::enqueue(const FrameHeader& frame) {
  if (frame.kind != FrameKind::chunk) {
    control_.push_back(frame);
    return;
  }
  Queue& q = queues_[frame.key];
  if (frame.direction == Direction::up)
    q.up.emplace(frame.chunk, frame);
  else
    q.down.push_back(frame);
}

void LinkSchedule::set_ready(const OpKey& key, std::uint64_t limit) {
  Queue& q = queues_[key];
  q.limit = std::max(q.limit, limit);
  if (q.ready) return;
  q.ready = true;
  eager_bytes_ -= q.eager_bytes;
  eager_frames_ -= q.eager_frames;
  q.eager_bytes = q.eager_frames = 0;
}

void LinkSchedule::set_window(const OpKey& key, std::size_t bytes, bool both_directions) {
  Queue& q = queues_[key];
  q.window = bytes;
  q.window_for_both = both_directions;
}

void LinkSchedule::set_pace(const OpKey& key, std::size_t bytes) { queues_[key].pace = bytes; }

void LinkSchedule::cancel(const OpKey& key, std::uint64_t chunk) {
  const auto found = queues_.find(key);
  if (found == queues_.end()) return;
  std::erase_if(found->second.down, [&](const FrameHeader& frame) { return frame.chunk == chunk; });
}

void LinkSchedule::cancel_all(const OpKey& key) {
  const auto found = queues_.find(key);
  if (found == queues_.end()) return;
  found->second.down.clear();
  found->second.cancelled = true;
}

std::vector<std::uint32_t> LinkSchedule::drop(const OpKey& key) {
  if (const auto found = queues_.find(key); found != queues_.end()) {
    eager_bytes_ -= found->second.eager_bytes;
    eager_frames_ -= found->second.eager_frames;
    queues_.erase(found);
  }
  std::erase_if(control_, [&](const FrameHeader& frame) { return frame.key == key; });
  std::vector<std::uint32_t> writing;
  for (auto& [index, connection] : connections_) {
    bool touched = connection.writing == key;
    for (Sent& sent : connection.unacknowledged) {
      if (!sent.alive || sent.frame.key != key) continue;
      sent.alive = false;
      touched = true;
    }
    if (touched) writing.push_back(index);
  }
  return writing;
}

void LinkSchedule::connection_up(std::uint32_t connection) {
  HAWSER_ASSERT(!connections_.contains(connection));
  connections_[connection] = {};
}

void LinkSchedule::connection_down(std::uint32_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  auto& sent = found->second.unacknowledged;
  for (auto one = sent.rbegin(); one != sent.rend(); ++one) {
    if (!one->alive) continue;
    if (one->frame.kind != FrameKind::chunk) {
      control_.push_front(one->frame);
      continue;
    }
    Queue& q = queues_[one->frame.key];
    if (one->eager && !q.ready) {
      q.eager_bytes -= one->frame.payload_bytes;
      --q.eager_frames;
      eager_bytes_ -= one->frame.payload_bytes;
      --eager_frames_;
    }
    put_back(q, one->frame);
  }
  connections_.erase(found);
}

void LinkSchedule::put_back(Queue& q, const FrameHeader& frame) {
  if (q.counts(frame)) q.under_way -= frame.payload_bytes;
  q.in_flight -= frame.payload_bytes;
  if (frame.direction == Direction::up)
    q.up.emplace(frame.chunk, frame);
  else if (!q.cancelled)
    q.down.push_front(frame);
}

bool LinkSchedule::may_send(const Queue& q, const FrameHeader& frame) const {
  if (q.window != 0 && q.counts(frame) && q.under_way != 0 && q.under_way + frame.payload_bytes > q.window)
    return false;
  if (q.ready) return frame.direction == Direction::down || frame.chunk < q.limit;
  return eager_bytes_ + frame.payload_bytes <= eager_bytes_max_ && eager_frames_ < limits::kEagerFramesMax;
}

bool LinkSchedule::is_paced(const Queue& q, const FrameHeader& frame) const {
  return q.pace != 0 && q.in_flight + frame.payload_bytes > q.pace + connections_.size() * frame.payload_bytes;
}

const FrameHeader* LinkSchedule::head(const Queue& q) const {
  const FrameHeader* const up =
      !q.up.empty() && may_send(q, q.up.begin()->second) ? &q.up.begin()->second : nullptr;
  const FrameHeader* const down = !q.down.empty() && may_send(q, q.down.front()) ? &q.down.front() : nullptr;
  if (q.sums_first) return up != nullptr ? up : down;
  return down != nullptr ? down : up;
}

bool LinkSchedule::owes(const OpKey& key) const {
  if (const auto found = queues_.find(key); found != queues_.end() && !found->second.empty()) return true;
  return std::any_of(connections_.begin(), connections_.end(), [&](const auto& entry) {
    const auto& sent = entry.second.unacknowledged;
    return std::any_of(sent.begin(), sent.end(), [&](const Sent& one) {
      return one.alive && one.frame.kind == FrameKind::chunk && one.frame.key == key;
    });
  });
}

bool LinkSchedule::has_work() const {
  if (!control_.empty()) return true;
  return std::any_of(queues_.begin(), queues_.end(), [&](const auto& entry) {
    const FrameHeader* const first = head(entry.second);
    return first != nullptr && !is_paced(entry.second, *first);
  });
}

bool LinkSchedule::is_held_back() const {
  return std::any_of(queues_.begin(), queues_.end(), [&](const auto& entry) {
    const FrameHeader* const first = head(entry.second);
    return first != nullptr && is_paced(entry.second, *first);
  });
}

std::optional<FrameHeader> LinkSchedule::next_chunk(std::uint32_t index, Connection& connection) {
  if (queues_.empty()) return std::nullopt;
  for (auto one = queues_.lower_bound(message_key(0, 0)); one != queues_.end() && is_message(one->first); ++one)
    if (one->second.first)
      if (auto frame = take_from(one->second, index, connection)) return frame;
  auto turn = last_served_ ? queues_.upper_bound(*last_served_) : queues_.begin();
  for (std::size_t tried = 0; tried < queues_.size(); ++tried, ++turn) {
    if (turn == queues_.end()) turn = queues_.begin();
    auto frame = take_from(turn->second, index, connection);
    if (!frame) continue;
    last_served_ = turn->first;
    return frame;
  }
  return std::nullopt;
}

std::optional<FrameHeader> LinkSchedule::take_from(Queue& q, std::uint32_t index,
                                                   Connection& connection) {
  const FrameHeader* const first = head(q);
  if (first == nullptr || is_paced(q, *first)) return std::nullopt;
  if (q.first_free && connections_.size() > 1 && index == connections_.begin()->first) return std::nullopt;
  const FrameHeader frame = *first;
  if (frame.direction == Direction::up)
    q.up.erase(frame.chunk);
  else
    q.down.pop_front();
  const bool eager = !q.ready;
  if (eager) {
    q.eager_bytes += frame.payload_bytes;
    ++q.eager_frames;
    eager_bytes_ += frame.payload_bytes;
    ++eager_frames_;
  }
  if (q.counts(frame)) q.under_way += frame.payload_bytes;
  q.in_flight += frame.payload_bytes;
  connection.unacknowledged.push_back({.frame = frame, .eager = eager});
  connection.writing = frame.key;
  return frame;
}

std::optional<FrameHeader> LinkSchedule::next(Instant now, std::uint32_t index) {
  const auto found = connections_.find(index);
  if (found == connections_.end()) return std::nullopt;
  Connection& connection = found->second;
  connection.writing.reset();
  connection.memory.reset();
  if (connection.tell_now) {
    connection.received_acknowledged = connection.received;
    connection.bytes_unacknowledged = 0;
    connection.tell_now = false;
    connection.tell_by.reset();
    connection.told_at = now;
    FrameHeader frame;
    frame.kind = FrameKind::acknowledge;
    frame.count = connection.received;
    return frame;
  }
  if (!control_.empty()) {
    const FrameHeader frame = control_.front();
    control_.pop_front();
    connection.unacknowledged.push_back({.frame = frame});
    return frame;
  }
  return next_chunk(index, connection);
}

void LinkSchedule::take_back(std::uint32_t index) {
  const auto found = connections_.find(index);
  HAWSER_ASSERT(found != connections_.end());
  Connection& connection = found->second;
  HAWSER_ASSERT(!connection.unacknowledged.empty() && !connection.unacknowledged.back().alive);
  connection.unacknowledged.pop_back();
  connection.writing.reset();
}

void LinkSchedule::keep(std::uint32_t index, std::shared_ptr<const void> memory) {
  const auto found = connections_.find(index);
  HAWSER_ASSERT(found != connections_.end());
  HAWSER_ASSERT(found->second.writing.has_value());
  found->second.memory = std::move(memory);
}

bool LinkSchedule::received(Instant now, std::uint32_t index, std::size_t payload_bytes) {
  const auto found = connections_.find(index);
  if (found == connections_.end()) return false;
  Connection& connection = found->second;
  ++connection.received;
  connection.bytes_unacknowledged += payload_bytes;
  if (connection.received - connection.received_acknowledged >= kAcknowledgeFrames ||
      connection.bytes_unacknowledged >= kAcknowledgeBytes)
    connection.tell_now = true;
  else if (!connection.tell_by && !connection.tell_now)
    connection.tell_by = now + kAcknowledgeDelay;
  return connection.tell_now;
}

bool LinkSchedule::receiving(Instant now, std::uint32_t index) {
  const auto found = connections_.find(index);
  if (found == connections_.end() || now < found->second.told_at + kReceivingSign) return false;
  return found->second.tell_now = true;
}

bool LinkSchedule::acknowledged(std::uint32_t index, std::uint64_t count, std::vector<OpKey>& progressed,
                                std::vector<FrameHeader>& arrived) {
  const auto found = connections_.find(index);
  if (found == connections_.end()) return true;
  Connection& connection = found->second;
  if (count < connection.acknowledged ||
      count - connection.acknowledged > connection.unacknowledged.size())
    return false;
  const auto is_chunk = [](const Sent& sent) { return sent.alive && sent.frame.kind == FrameKind::chunk; };
  const auto moved = [&](const Sent& sent) {
    if (is_chunk(sent) && (progressed.empty() || progressed.back() != sent.frame.key))
      progressed.push_back(sent.frame.key);
  };
  const bool only_a_sign = connection.acknowledged == count;
  for (; connection.acknowledged < count; ++connection.acknowledged) {
    const Sent& sent = connection.unacknowledged.front();
    moved(sent);
    if (sent.frame.kind == FrameKind::chunk) chunk_bytes_arrived_ += sent.frame.payload_bytes;
    if (is_chunk(sent)) {
      arrived.push_back(sent.frame);
      Queue& q = queues_[sent.frame.key];
      if (q.counts(sent.frame)) q.under_way -= sent.frame.payload_bytes;
      q.in_flight -= sent.frame.payload_bytes;
    }
    connection.unacknowledged.pop_front();
  }
  if (only_a_sign && !connection.unacknowledged.empty()) moved(connection.unacknowledged.front());
  return true;
}

std::optional<Instant> LinkSchedule::acknowledgement_due() const {
  std::optional<Instant> due;
  for (const auto& [index, connection] : connections_) due = earlier(due, connection.tell_by);
  return due;
}

bool LinkSchedule::release_acknowledgements(Instant now) {
  bool any = false;
  for (auto& [index, connection] : connections_) {
    if (!connection.tell_by || now < *connection.tell_by) continue;
    connection.tell_by.reset();
    connection.tell_now = true;
    any = true;
  }
  return any;
}

}  // namespace hawser
