#include "engine/message_exchange.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"

namespace hawser {
namespace {

constexpr std::uint64_t kChunkBytes = 256 << 10;

std::string bytes_text(std::uint64_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

std::string with_tag(std::uint64_t tag) { return "with tag " + std::to_string(tag); }

FrameHeader control(FrameKind kind, const OpKey& key, std::uint64_t count = 0) {
  FrameHeader frame;
  frame.kind = kind;
  frame.key = key;
  frame.count = count;
  return frame;
}

std::uint64_t chunk_bytes(std::uint64_t bytes, std::uint64_t chunk) {
  return std::min(kChunkBytes, bytes - chunk * kChunkBytes);
}

}  // namespace

std::uint64_t MessageExchange::chunks_of(std::uint64_t bytes) {
  return bytes / kChunkBytes + (bytes % kChunkBytes != 0 ? 1 : 0);
}

bool MessageExchange::may_send(PeerId to, std::uint64_t tag) const {
  const auto found = peers_.find(to);
  return found == peers_.end() || found->second.next_out.size() < limits::kMessageTagsMax ||
         found->second.next_out.contains(tag);
}

bool MessageExchange::remembers(PeerId peer) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && found->second.former != 0;
}

// ------------------------------------------------------------------------------------------------ sending

void MessageExchange::send(Instant now, CallId call, PeerId to, std::uint64_t tag, std::span<const std::byte> data,
                           Instant until, Output& out) {
  Peer& peer = peers_[to];
  peer.is_member = true;
  ++in_flight_;
  deadlines_.insert(until);
  peer.held.push_back({.call = call, .tag = tag, .data = data, .began = now, .until = until});
  announce_held(to, peer, out);
}

/// In their order, as far as the receiver has room.
void MessageExchange::announce_held(PeerId to, Peer& peer, Output& out) {
  while (!peer.held.empty() && peer.waiting < limits::kMessagesWaitingMax) {
    Outgoing message = std::move(peer.held.front());
    peer.held.pop_front();
    announce(to, peer, std::move(message), out);
  }
}

void MessageExchange::announce(PeerId to, Peer& peer, Outgoing message, Output& out) {
  const OpKey key = message_key(message.tag, peer.next_out[message.tag]++);
  const std::size_t bytes = message.data.size();
  message.chunks_left = chunks_of(bytes);
  message.eager = bytes > 0 && bytes <= limits::kMessageEagerBytesMax &&
                  peer.eager_bytes + bytes <= limits::kMessageEagerBytesOfAll;
  ++peer.waiting;
  if (message.eager) peer.eager_bytes += bytes;
  out.sends.push_back({.to = to, .frame = control(FrameKind::have, key, bytes)});
  if (message.eager) send_chunks(to, key, message, out);
  peer.outgoing.emplace(key, std::move(message));
}

void MessageExchange::send_chunks(PeerId to, const OpKey& key, const Outgoing& message, Output& out) {
  const std::uint64_t bytes = message.data.size();
  for (std::uint64_t chunk = 0; chunk < chunks_of(bytes); ++chunk) {
    FrameHeader frame = control(FrameKind::chunk, key, bytes);
    frame.chunk = chunk;
    frame.payload_bytes = static_cast<std::uint32_t>(chunk_bytes(bytes, chunk));
    out.sends.push_back({.to = to, .frame = frame, .first = bytes <= limits::kMessageEagerBytesMax});
  }
}

std::span<const std::byte> MessageExchange::payload(PeerId to, const FrameHeader& header) const {
  const Outgoing& message = peers_.at(to).outgoing.at(header.key);
  return message.data.subspan(header.chunk * kChunkBytes, header.payload_bytes);
}

void MessageExchange::arrived(Instant now, PeerId to, const FrameHeader& header, Output& out) {
  const auto peer = peers_.find(to);
  if (peer == peers_.end()) return;
  const auto found = peer->second.outgoing.find(header.key);
  if (found == peer->second.outgoing.end() || found->second.ended || found->second.whole) return;
  Outgoing& message = found->second;
  if (--message.chunks_left > 0) return;
  out.sent.emplace_back(to, header.key);
  message.whole = true;
  end_in_order(now, to, peer->second, header.key, out);
}

/// Messages of that tag from this one on, as far as none before them is missing: what has come behind one that is lost
/// with its sender is never received.
void MessageExchange::end_in_order(Instant now, PeerId to, Peer& peer, const OpKey& first, Output& out) {
  auto one = peer.outgoing.lower_bound(first);
  if (one != peer.outgoing.begin()) {
    const auto& [key, before] = *std::prev(one);
    if (key.tag == first.tag && (!before.ended || before.failed)) return;
  }
  while (one != peer.outgoing.end() && one->first.tag == first.tag) {
    Outgoing& message = one->second;
    if (message.ended || !message.whole) return;
    end(now, message, to, {Status::success, {}}, out);
    message.ended = true;
    one = message.wanted ? peer.outgoing.erase(one) : std::next(one);
  }
}

/// The receiver has room for others.
void MessageExchange::was_wanted(Peer& peer, Outgoing& message) {
  if (std::exchange(message.wanted, true)) return;
  --peer.waiting;
  // The span of one that has ended still says how long it was.
  if (message.eager) peer.eager_bytes -= message.data.size();
}

// ---------------------------------------------------------------------------------------------- receiving

void MessageExchange::receive(Instant now, CallId call, std::optional<PeerId> from, std::uint64_t tag,
                              std::span<std::byte> into, Instant until, Output& out) {
  ++in_flight_;
  deadlines_.insert(until);
  if (from && !remembers(*from)) peers_[*from].is_member = true;
  receives_.push_back({.call = call, .from = from, .tag = tag, .into = into, .began = now, .until = until});
  match(now, tag, out);
  if (!from || !remembers(*from) || receives_.empty() || receives_.back().call != call) return;
  const Receive receive = receives_.back();
  receives_.pop_back();
  end(now, receive, *from, lost_before(*from, tag), out);
}

Error MessageExchange::lost_before(PeerId from, std::uint64_t tag) const {
  return {Status::peer_lost, name_of_(from) + " was lost before it had sent a message " + with_tag(tag)};
}

/// The oldest message of that tag that nobody has received, if it is known here. The sender learns of those that it has
/// given up and that are passed here: it may announce others.
MessageExchange::Incoming* MessageExchange::next_from(PeerId from, Peer& peer, std::uint64_t tag, Output& out) {
  const auto next = peer.next_in.find(tag);
  std::uint64_t sequence = next == peer.next_in.end() ? 0 : next->second;
  if (planted(PlantedFault::overtaking_message)) {
    const auto first = peer.incoming.lower_bound(message_key(tag, sequence));
    if (first != peer.incoming.end() && first->first.tag == tag) peer.next_in[tag] = sequence = first->first.sequence;
  }
  while (true) {
    const OpKey key = message_key(tag, sequence);
    const auto found = peer.incoming.find(key);
    if (found == peer.incoming.end()) return nullptr;
    if (!found->second.is_void) return &found->second;
    peer.incoming.erase(found);
    --peer.unreceived;
    peer.next_in[tag] = ++sequence;
    if (peer.former == 0)
      out.sends.push_back({.to = from, .frame = control(FrameKind::ready, message_key_of_receiver(key))});
  }
}

std::optional<std::pair<PeerId, OpKey>> MessageExchange::next_for(const Receive& receive, Output& out) {
  std::optional<std::pair<PeerId, OpKey>> best;
  std::uint64_t order = 0;
  for (auto& [id, peer] : peers_) {
    if ((!peer.is_member && peer.former == 0) || (receive.from && *receive.from != id)) continue;
    const Incoming* const next = next_from(id, peer, receive.tag, out);
    if (next == nullptr || (best && order < next->order)) continue;
    const auto number = peer.next_in.find(receive.tag);
    best = {id, message_key(receive.tag, number == peer.next_in.end() ? 0 : number->second)};
    order = next->order;
  }
  return best;
}

/// Brings together those who receive with this tag and what has been announced.
void MessageExchange::match(Instant now, std::uint64_t tag, Output& out) {
  for (auto one = receives_.begin(); one != receives_.end();) {
    const auto found = one->tag == tag ? next_for(*one, out) : std::nullopt;
    if (!found) {
      ++one;
      continue;
    }
    const auto& [from, key] = *found;
    const std::uint64_t bytes = peers_.at(from).incoming.at(key).bytes;
    const Receive receive = *one;
    one = receives_.erase(one);
    if (bytes == receive.into.size())
      begin_to_receive(now, from, key, receive, out);
    else
      end(now, receive, from,
          {Status::mismatch, name_of_(from) + " has sent a message of " + bytes_text(bytes) + " " +
                                 with_tag(receive.tag) + ", and the buffer that receives it has " +
                                 bytes_text(receive.into.size()) +
                                 ". The message waits: receive it with a buffer of its size"},
          out);
  }
}

void MessageExchange::begin_to_receive(Instant now, PeerId from, const OpKey& key, Receive receive, Output& out) {
  Peer& peer = peers_.at(from);
  Incoming& message = peer.incoming.at(key);
  ++peer.next_in[key.tag];
  --peer.unreceived;
  if (message.has.empty()) {
    message.chunks_left = chunks_of(message.bytes);
    message.has.resize(message.chunks_left);
  }
  if (!message.aside.empty()) {
    std::memcpy(receive.into.data(), message.aside.data(), message.aside.size());
    peer.aside_bytes -= message.aside.size();
    message.aside = {};
  }
  message.receive = receive;
  if (peer.former == 0)
    out.sends.push_back({.to = from, .frame = control(FrameKind::ready, message_key_of_receiver(key))});
  if (message.chunks_left == 0) received_whole(now, from, key, out);
}

void MessageExchange::received_whole(Instant now, PeerId from, const OpKey& key, Output& out) {
  Peer& peer = peers_.at(from);
  const auto found = peer.incoming.find(key);
  out.received.emplace_back(from, key);
  end(now, *found->second.receive, from, {Status::success, {}}, out);
  peer.incoming.erase(found);
}

/// The message that a frame is of, which is made known by any frame of it. Over: it was received, or given up by both.
/// Impossible: its sender may not have so many here.
std::pair<MessageExchange::Known, MessageExchange::Incoming*> MessageExchange::announced(Peer& peer,
                                                                                         const FrameHeader& header) {
  if (const auto found = peer.incoming.find(header.key); found != peer.incoming.end())
    return {Known::here, &found->second};
  const auto next = peer.next_in.find(header.key.tag);
  if (next != peer.next_in.end() && header.key.sequence < next->second) return {Known::over, nullptr};
  const std::size_t most = peer.is_member ? limits::kMessagesWaitingMax : limits::kMessagesOfStrangerMax;
  if (peer.unreceived >= most || (next == peer.next_in.end() && peer.next_in.size() >= limits::kMessageTagsMax))
    return {Known::impossible, nullptr};
  Incoming& message = peer.incoming[header.key];
  message.bytes = header.count;
  message.order = announcements_++;
  ++peer.unreceived;
  return {Known::here, &message};
}

MessageExchange::Heard MessageExchange::control_came(Instant now, PeerId from, bool is_member,
                                                     const FrameHeader& header, Output& out) {
  Peer& peer = peers_[from];
  peer.is_member = peer.is_member || is_member;
  const bool is_of_receiver = header.kind == FrameKind::ready || header.kind == FrameKind::unwant;
  const OpKey key = message_key(header.key.tag, header.key.sequence);
  if (header.key != (is_of_receiver ? message_key_of_receiver(key) : key)) return Heard::impossible;
  const auto outgoing = peer.outgoing.find(key);
  switch (header.kind) {
    case FrameKind::have: {
      const auto [known, message] = announced(peer, header);
      if (known == Known::impossible) return Heard::impossible;
      if (message == nullptr || message->is_void || message->receive) return Heard::fine;
      if (message->bytes != header.count) return Heard::impossible;
      match(now, header.key.tag, out);
      return Heard::fine;
    }
    case FrameKind::ready:
      if (outgoing == peer.outgoing.end() || outgoing->second.wanted) return Heard::fine;
      was_wanted(peer, outgoing->second);
      outgoing->second.whole = outgoing->second.whole || outgoing->second.data.empty();
      if (outgoing->second.ended)
        peer.outgoing.erase(outgoing);
      else if (!outgoing->second.eager && !outgoing->second.whole)
        send_chunks(from, key, outgoing->second, out);
      end_in_order(now, from, peer, key, out);
      announce_held(from, peer, out);
      return Heard::fine;
    case FrameKind::unwant:
      if (outgoing == peer.outgoing.end()) return Heard::fine;
      was_wanted(peer, outgoing->second);
      if (!outgoing->second.ended) {
        out.sent.emplace_back(from, key);
        end(now, outgoing->second, from,
            {Status::timeout, name_of_(from) + " has timed out while it received this message " +
                                  with_tag(header.key.tag) + ", and has given it up: send it again"},
            out);
      }
      peer.outgoing.erase(outgoing);
      end_in_order(now, from, peer, key, out);
      announce_held(from, peer, out);
      return Heard::fine;
    case FrameKind::decline: {
      const auto [known, message] = announced(peer, header);
      if (known == Known::impossible) return Heard::impossible;
      if (message == nullptr || message->is_void) return Heard::fine;
      if (!message->receive) {
        peer.aside_bytes -= message->aside.size();
        message->aside = {};
        message->is_void = true;
        (void)next_from(from, peer, header.key.tag, out);
        match(now, header.key.tag, out);
        return Heard::fine;
      }
      // Later calls have later messages: this one gets none of them.
      out.received.emplace_back(from, header.key);
      end(now, *message->receive, from,
          {Status::timeout, name_of_(from) + " has timed out while it sent this message " + with_tag(key.tag) +
                                ", and has given it up: receive again"},
          out);
      peer.incoming.erase(header.key);
      return Heard::fine;
    }
    default: return Heard::impossible;
  }
}

MessageExchange::Landing MessageExchange::chunk_begins(Instant now, PeerId from, bool is_member,
                                                       const FrameHeader& header, Output& out) {
  if (header.key != message_key(header.key.tag, header.key.sequence)) return {.use = Landing::Use::impossible};
  Peer& peer = peers_[from];
  peer.is_member = peer.is_member || is_member;
  const Landing impossible{.use = Landing::Use::impossible};
  const bool is_new = !peer.incoming.contains(header.key);
  const auto [known, message] = announced(peer, header);
  if (known == Known::impossible) return impossible;
  if (message == nullptr || message->is_void) return {};
  if (message->bytes != header.count || header.chunk >= chunks_of(message->bytes) ||
      header.payload_bytes != chunk_bytes(message->bytes, header.chunk) || header.compressed)
    return impossible;
  // The announcement of a small one may come behind it.
  if (is_new) {
    if (message->bytes > limits::kMessageEagerBytesMax) return impossible;
    match(now, header.key.tag, out);
  }
  if (!message->has.empty() && message->has[header.chunk] && !planted(PlantedFault::doubled_message)) return {};
  if (message->receive)
    return {.use = Landing::Use::place, .into = message->receive->into.data() + header.chunk * kChunkBytes};
  const std::size_t most = peer.is_member ? limits::kMessageEagerBytesOfAll : limits::kMessageBytesOfStrangerMax;
  if (message->bytes > limits::kMessageEagerBytesMax || peer.aside_bytes + message->bytes > most) return impossible;
  return {.use = Landing::Use::stage};
}

void MessageExchange::chunk_came(Instant now, PeerId from, const FrameHeader& header, const std::byte* bytes,
                                 Output& out) {
  const auto peer = peers_.find(from);
  if (peer == peers_.end()) return;
  const auto found = peer->second.incoming.find(header.key);
  if (found == peer->second.incoming.end() || found->second.is_void) return;
  Incoming& message = found->second;
  if (message.has.empty()) {
    message.chunks_left = chunks_of(message.bytes);
    message.has.resize(message.chunks_left);
  }
  if (message.has[header.chunk] && !planted(PlantedFault::doubled_message)) return;
  if (!message.receive) {
    if (message.aside.empty()) {
      message.aside.resize(message.bytes);
      peer->second.aside_bytes += message.bytes;
    }
    std::memcpy(message.aside.data() + header.chunk * kChunkBytes, bytes, header.payload_bytes);
  } else if (bytes != nullptr) {
    std::memcpy(message.receive->into.data() + header.chunk * kChunkBytes, bytes, header.payload_bytes);
  }
  message.has[header.chunk] = true;
  --message.chunks_left;
  if (message.receive && message.chunks_left == 0) received_whole(now, from, header.key, out);
}

// --------------------------------------------------------------------------------------------------- ends

void MessageExchange::end(Instant now, const Outgoing& message, PeerId to, Error error, Output& out) {
  --in_flight_;
  deadlines_.erase(deadlines_.find(message.until));
  out.ended.push_back(
      {.call = message.call,
       .error = std::move(error),
       .info = {.other = to, .tag = message.tag, .bytes = message.data.size(), .took = now - message.began}});
}

void MessageExchange::end(Instant now, const Receive& receive, PeerId from, Error error, Output& out) {
  --in_flight_;
  deadlines_.erase(deadlines_.find(receive.until));
  out.ended.push_back(
      {.call = receive.call,
       .error = std::move(error),
       .info = {.other = from, .tag = receive.tag, .bytes = receive.into.size(), .took = now - receive.began},
       .receives = true});
}

void MessageExchange::members(Instant now, const std::function<bool(PeerId)>& is_there, bool alone, Output& out) {
  for (auto& [id, peer] : peers_) {
    if (!is_there(id) && peer.is_member) go(now, id, peer, out);
    peer.is_member = is_there(id);
  }
  for (auto one = receives_.begin(); one != receives_.end();) {
    const bool is_lost = one->from ? !is_there(*one->from) : alone;
    if (!is_lost) {
      ++one;
      continue;
    }
    const Receive receive = *one;
    one = receives_.erase(one);
    end(now, receive, receive.from.value_or(PeerId{}),
        receive.from ? lost_before(*receive.from, receive.tag)
                     : Error{Status::too_few_peers, "nobody is left who could send a message " +
                                                        with_tag(receive.tag) + ": this peer is alone in its group"},
        out);
  }
  std::erase_if(peers_, [](const auto& entry) { return entry.second.former != 0 && entry.second.incoming.empty(); });
  forget_former();
  // What has come of those that are members from now on.
  std::set<std::uint64_t> tags;
  for (const Receive& receive : receives_) tags.insert(receive.tag);
  for (const std::uint64_t tag : tags) match(now, tag, out);
}

void MessageExchange::unlinked(PeerId peer) {
  const auto found = peers_.find(peer);
  if (found != peers_.end() && !found->second.is_member && found->second.former == 0) peers_.erase(found);
}

/// What it has sent whole stays, up to the first message of its tag that is not whole.
void MessageExchange::go(Instant now, PeerId id, Peer& peer, Output& out) {
  const std::string lost = name_of_(id) + " was lost while ";
  for (auto& [key, message] : peer.outgoing) {
    if (message.ended) continue;
    out.sent.emplace_back(id, key);
    end(now, message, id, {Status::peer_lost, lost + "a message " + with_tag(key.tag) + " was on its way to it"}, out);
  }
  for (const Outgoing& message : peer.held)
    end(now, message, id, {Status::peer_lost, lost + "a message " + with_tag(message.tag) + " waited for it"}, out);
  peer.outgoing.clear();
  peer.held.clear();
  std::erase_if(peer.incoming, [&](auto& entry) {
    auto& [key, message] = entry;
    if (!message.receive && planted(PlantedFault::forgotten_sender)) return true;
    if (!message.receive)
      return !message.is_void && message.bytes > 0 && (message.has.empty() || message.chunks_left > 0);
    out.received.emplace_back(id, key);
    end(now, *message.receive, id,
        {Status::peer_lost, lost + "a message " + with_tag(key.tag) + " came from it; the buffer is unspecified"}, out);
    return true;
  });
  peer.unreceived = peer.incoming.size();
  peer.former = ++gone_;
}

void MessageExchange::forget_former() {
  const auto is_former = [](const auto& entry) { return entry.second.former != 0; };
  while (static_cast<std::size_t>(std::count_if(peers_.begin(), peers_.end(), is_former)) > limits::kFormerSendersMax) {
    auto oldest = peers_.end();
    for (auto one = peers_.begin(); one != peers_.end(); ++one)
      if (is_former(*one) && (oldest == peers_.end() || one->second.former < oldest->second.former)) oldest = one;
    peers_.erase(oldest);
  }
}

void MessageExchange::end_all(Instant now, const Error& error, Output& out) {
  for (auto& [id, peer] : peers_) {
    for (const auto& [key, message] : peer.outgoing) {
      if (message.ended) continue;
      out.sent.emplace_back(id, key);
      end(now, message, id, error, out);
    }
    for (const Outgoing& message : peer.held) end(now, message, id, error, out);
    for (const auto& [key, message] : peer.incoming) {
      if (!message.receive) continue;
      out.received.emplace_back(id, key);
      end(now, *message.receive, id, error, out);
    }
  }
  for (const Receive& receive : receives_) end(now, receive, receive.from.value_or(PeerId{}), error, out);
  peers_.clear();
  receives_.clear();
  HAWSER_ASSERT(in_flight_ == 0);
}

void MessageExchange::cancel(Instant now, CallId call, Output& out) {
  const auto ends_now = [&](auto& one) {
    if (one.call != call || (now >= one.until)) return false;
    deadlines_.erase(deadlines_.find(one.until));
    one.until = *deadlines_.insert(now);
    return true;
  };
  const auto any_of = [&](auto& ones) { return std::any_of(ones.begin(), ones.end(), ends_now); };
  bool found = any_of(receives_);
  for (auto& [id, peer] : peers_) {
    if (found) break;
    found = any_of(peer.held);
    for (auto& [key, message] : peer.outgoing) found = found || (!message.ended && ends_now(message));
    for (auto& [key, message] : peer.incoming) found = found || (message.receive && ends_now(*message.receive));
  }
  if (found) end_due(now, call, out);
}

void MessageExchange::tick(Instant now, Output& out) {
  const auto due = next_deadline();
  if (due && now >= *due) end_due(now, std::nullopt, out);
}

void MessageExchange::end_due(Instant now, std::optional<CallId> cancelled, Output& out) {
  const auto after = [&](const auto& one) {
    return (cancelled == one.call ? "cancelled after " : "timed out after ") +
           std::to_string(whole_milliseconds(now - one.began)) + " ms: ";
  };
  for (auto& [id, peer] : peers_) {
    std::vector<OpKey> passed;
    for (auto& [key, message] : peer.outgoing) {
      if (message.ended || now < message.until) continue;
      if (!message.whole) out.sent.emplace_back(id, key);
      out.sends.push_back({.to = id, .frame = control(FrameKind::decline, key)});
      end(now, message, id,
          {Status::timeout, after(message) + name_of_(id) + " has not received " +
                                (message.whole ? "a message before this one " + with_tag(key.tag)
                                               : "this message " + with_tag(key.tag) +
                                                     (message.wanted ? " whole" : ": it has not called receive"))},
          out);
      message.ended = message.failed = true;
      if (message.wanted) passed.push_back(key);
    }
    for (const OpKey& key : passed) {
      peer.outgoing.erase(key);
      end_in_order(now, id, peer, key, out);
    }
    std::erase_if(peer.held, [&](const Outgoing& message) {
      if (now < message.until) return false;
      end(now, message, id,
          {Status::timeout, after(message) + name_of_(id) + " has " +
                                std::to_string(limits::kMessagesWaitingMax) + " messages to receive before this one"},
          out);
      return true;
    });
    for (auto one = peer.incoming.begin(); one != peer.incoming.end();) {
      auto& [key, message] = *one;
      if (!message.receive || now < message.receive->until) {
        ++one;
        continue;
      }
      out.received.emplace_back(id, key);
      out.sends.push_back({.to = id, .frame = control(FrameKind::unwant, message_key_of_receiver(key))});
      end(now, *message.receive, id,
          {Status::timeout, after(*message.receive) + "a message " + with_tag(key.tag) + " from " +
                                name_of_(id) + " has not come whole; the buffer is unspecified"},
          out);
      one = peer.incoming.erase(one);
    }
  }
  for (auto one = receives_.begin(); one != receives_.end();) {
    if (now < one->until) {
      ++one;
      continue;
    }
    const Receive receive = *one;
    one = receives_.erase(one);
    end(now, receive, receive.from.value_or(PeerId{}),
        {Status::timeout, after(receive) + (receive.from ? name_of_(*receive.from) + " has not" : "nobody has") +
                              " sent a message " + with_tag(receive.tag)},
        out);
  }
  for (auto& [id, peer] : peers_) announce_held(id, peer, out);
}

std::optional<Instant> MessageExchange::next_deadline() const {
  return deadlines_.empty() ? std::nullopt : std::optional(*deadlines_.begin());
}

}  // namespace hawser
