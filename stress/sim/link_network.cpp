// What happens on connections that stand: frames are written and read piece by piece, connections break.

#include "sim/link_network.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/process.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

constexpr std::size_t kHeaderOnWire = kHeaderBytes;

std::uint64_t fingerprint_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = bytes.size() + 1;
  std::size_t i = 0;
  // Four at a time, since each step waits for the one before.
  std::uint64_t lanes[4] = {1, 2, 3, 4};
  for (; i + 32 <= bytes.size(); i += 32)
    for (std::size_t lane = 0; lane < 4; ++lane) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i + lane * 8, 8);
      lanes[lane] = (lanes[lane] ^ word) * 0x9e3779b97f4a7c15ULL;
      lanes[lane] ^= lanes[lane] >> 32;
    }
  for (const std::uint64_t lane : lanes) hash = (hash ^ lane) * 0x9e3779b97f4a7c15ULL;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
  }
  for (; i < bytes.size(); ++i) hash = (hash ^ std::to_integer<std::uint64_t>(bytes[i])) * 0x100000001b3ULL;
  return hash | 1;
}

}  // namespace

Duration LinkNetwork::time_to_write(const NetworkProfile& network, const LinkEnd& end, std::size_t bytes) {
  std::int64_t bytes_per_ms = network.bytes_per_ms;
  for (const Process* const process : {end.process, end.other->process})
    if (process && process->link_bytes_per_ms() != 0)
      bytes_per_ms = std::min(bytes_per_ms, process->link_bytes_per_ms());
  return microseconds(static_cast<std::int64_t>(bytes) * 1000 / bytes_per_ms);
}

LinkNetwork::ProcessPair LinkNetwork::pair(const Process& a, const Process& b) {
  return {std::min(a.number(), b.number()), std::max(a.number(), b.number())};
}

bool LinkNetwork::blocked(const Process& from, const Process& to) const {
  return !blocked_.empty() && blocked_.contains({from.number(), to.number()});
}

/// What this end writes does not arrive.
bool LinkNetwork::blocked(const LinkEnd& from) const {
  if (!from.process || !from.other->process) return false;
  const Process* const through = from.transport->through;
  if (!through) return blocked(*from.process, *from.other->process);
  return through->data_held() || blocked(*from.process, *through) || blocked(*through, *from.other->process);
}

bool LinkNetwork::takes_way(const LinkTransport& transport, const Process& a, const Process& b) {
  const Process* const first = transport.ends[0].process;
  const Process* const second = transport.ends[1].process;
  if (!first || !second) return false;
  if (!transport.through) return pair(*first, *second) == pair(a, b);
  return pair(*first, *transport.through) == pair(a, b) || pair(*transport.through, *second) == pair(a, b);
}

// ------------------------------------------------------------------------------------------- reading

void LinkNetwork::put(LinkEnd& receiver, Instant earliest, LinkItem item) {
  const Instant due = receiver.incoming.put(earliest, std::move(item));
  read_at(receiver, due);
}

void LinkNetwork::read_at(LinkEnd& end, Instant due) {
  world_.queue.at(due, [this, &end] {
    read(end);
    if (end.process) end.process->settle();
  });
}

void LinkNetwork::read(LinkEnd& end) {
  // What a stranger is answered is of no interest.
  if (!end.attached || !end.process) return end.incoming.clear();
  if (end.process->data_held()) return;
  if (blocked(*end.other)) return;
  if (end.landing_after != WorkToken{}) return;
  if (!end.incoming.readable(world_.queue.now())) return;
  LinkItem item = end.incoming.take();
  switch (item.kind) {
    case LinkItem::Kind::accepted: return read_accepted(end);
    case LinkItem::Kind::greeting: return end.meets ? met(end, item.said) : read_greeting(end, item.said);
    case LinkItem::Kind::invited:
      return ask(*end.process, [&](links::Actions& out) {
        end.process->port.table.invited(world_.queue.now(), end.socket, item.who, out);
      });
    case LinkItem::Kind::asked: return read_asked(end, item.connections);
    case LinkItem::Kind::piece: return read_piece(end, item);
    case LinkItem::Kind::down:
      detach(end, false, true, "connection reset");
      return end.meets ? met_in_vain(end) : broke(end, item.reason);
  }
}

void LinkNetwork::begin_frame(LinkEnd& end, LinkItem& item) {
  FrameHeader header = item.frame->header;
  if (world_.profile.network.wire_codecs && !item.frame->hostile) {
    const ReadHeader read = header_from_bytes(item.frame->bytes);
    if (!(read.header == header)) throw Violation("a frame header changed on its way through the wire codec");
  }
  if (world_.tracing())
    world_.trace(end.process->name() + " <- " + end.other->process->name() + "." +
                 std::to_string(end.name.index) + ": " + world_.names.of(header));
  world_.queue.remember(header.chunk ^ (header.key.tag << 32) ^ static_cast<std::uint64_t>(header.kind));
  if (!end.transport->trust.may_be_read(header)) return break_off(end);
  end.reading = item.frame;
  end.landing = nullptr;
  end.process->frame_begins(end, header);
}

/// As the real connection does where a payload has no checksum and comes from elsewhere.
void LinkNetwork::break_off(LinkEnd& end) {
  world_.coverage.saw("sim: payload without a checksum refused");
  end.incoming.clear();
  end.unread_bytes = 0;
  end.incoming.cut(world_.random, Keep::all);
  put(end, world_.queue.now(), {.kind = LinkItem::Kind::down, .reason = "it sent a payload without a checksum"});
  cut(end);
}

void LinkNetwork::read_piece(LinkEnd& end, LinkItem& item) {
  if (!end.up) throw Violation("a frame comes to " + end.process->name() + " before the connection is established");
  end.unread_bytes -= item.bytes + (item.first ? kHeaderOnWire : 0);
  if (std::exchange(end.starved, false)) pump_later(*end.other, Duration::zero());
  if (item.first) begin_frame(end, item);
  if (end.landing_after == WorkToken{}) return take_piece(end, item);
  world_.coverage.saw("sim: landing waits for its work");
  end.held = std::move(item);
}

void LinkNetwork::work_done(Process& process, WorkToken token) {
  for (const auto& [socket, waiting] : process.port.sockets) {
    if (waiting->landing_after != token) continue;
    LinkEnd& end = *waiting;
    end.landing_after = {};
    // It is in the middle of reading the piece that began the frame, if the work was done at once.
    if (!end.held.frame) return;
    LinkItem item = std::exchange(end.held, {});
    take_piece(end, item);
    if (end.attached) end.incoming.wake(world_.queue.now(), [&](Instant due) { read_at(end, due); });
    return;
  }
}

void LinkNetwork::take_piece(LinkEnd& end, LinkItem& item) {
  if (!end.attached || end.reading != item.frame) return;
  if (end.landing && item.bytes != 0)
    std::memcpy(end.landing + item.offset, item.frame->payload.data() + item.offset, item.bytes);
  if (item.last) return end_frame(end);
  if (item.bytes != 0) end.process->frame_moved(end);
}

void LinkNetwork::end_frame(LinkEnd& end) {
  const std::shared_ptr<FrameInFlight> frame = std::exchange(end.reading, nullptr);
  bool intact = true;
  // A state that is on offer may be written to by whoever has not read what an offer means: digests find that.
  const bool is_scribbled_on = end.landing && frame->changed && is_prefetch(frame->header.key);
  if (is_scribbled_on) {
    world_.coverage.saw("sim: state on offer written to while it is sent");
    intact = frame->header.unchecked;
    scribbled_on_ = true;
  } else if (end.landing && frame->changed) {
    throw Violation("a payload of " + end.other->process->name() + " changed while it was being written, and " +
                    end.process->name() + " uses it");
  }
  if (end.landing && frame->flipped && !frame->payload.empty()) {
    const std::size_t bit = static_cast<std::size_t>(world_.random.below(frame->payload.size() * 8));
    end.landing[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    intact = frame->header.unchecked;
  }
  if (end.landing && world_.profile.network.wire_codecs && !frame->hostile && !frame->header.unchecked) {
    const std::uint64_t promised = header_from_bytes(frame->bytes).payload_checksum;
    if ((payload_checksum({end.landing, frame->payload.size()}) == promised) != intact)
      throw Violation("the checksum of a payload says the wrong thing");
  }
  end.landing = nullptr;
  end.process->frame_ends(end, intact);
  if (!intact && end.attached)
    throw Violation(end.process->name() + " keeps a connection that brought a broken payload");
}

void LinkNetwork::release_receive(Process& process, LinkConnection name) {
  LinkEnd* end = find(process, name);
  if (!end) return;
  world_.coverage.saw("sim: receive released");
  end->landing = nullptr;
}

// ------------------------------------------------------------------------------------------- writing

void LinkNetwork::wake(Process& process, PeerId peer) {
  DataPort& port = process.port;
  if (!port.table.has_link(peer)) throw Violation(process.name() + " wakes a link that it has not");
  port.used_at = world_.queue.now();
  if (!port.table.is_sampling()) {
    port.table.used(world_.queue.now());
    arm(process);
  }
  if (!port.woken.insert(peer).second) return;
  world_.queue.after(microseconds(world_.random.between(0, 20)), [this, &process, peer] {
    process.port.woken.erase(peer);
    const std::size_t count = process.port.table.connections(peer);
    const std::size_t start = static_cast<std::size_t>(world_.random.below(count));
    for (std::size_t i = 0; i < count; ++i)
      if (LinkEnd* end = find(process, {peer, static_cast<std::uint32_t>((start + i) % count)})) pump(*end);
    process.settle();
  });
}

void LinkNetwork::pump_later(LinkEnd& end, Duration delay) {
  if (std::exchange(end.pump_scheduled, true)) return;
  world_.queue.after(delay, [this, &end] {
    end.pump_scheduled = false;
    pump(end);
    end.process->settle();
  });
}

void LinkNetwork::pump(LinkEnd& end) {
  const NetworkProfile& network = world_.profile.network;
  if (end.pump_scheduled) return;
  std::size_t written = 0;
  for (int frames = 0; frames < 8; ++frames) {
    if (!end.attached || !end.up || end.process->data_held()) return;
    LinkEnd& other = *end.other;
    if (other.unread_bytes + kHeaderOnWire >= network.window_bytes) {
      other.starved = true;
      return;
    }
    if (!end.writing && !start_frame(end)) return;
    written += write_piece(end, network.window_bytes - other.unread_bytes);
    if (Process* const through = end.transport->through; through && !through->port.table.is_sampling()) {
      through->port.table.used(world_.queue.now());
      arm(*through);
    }
    if (written >= network.piece_bytes_max / 2) break;
  }
  pump_later(end, microseconds(1) + time_to_write(network, end, written));
}

bool LinkNetwork::start_frame(LinkEnd& end) {
  const std::optional<OutFrame> frame = end.process->next_frame(end);
  if (!frame || !end.attached) return false;
  if (frame->payload.size() != frame->header.payload_bytes)
    throw Violation(end.process->name() + " hands out a payload of another length than its header says");
  end.writing = std::make_shared<FrameInFlight>();
  end.writing->header = frame->header;
  end.writing->payload.resize(frame->payload.size());
  FrameHeader& header = end.writing->header;
  header.unchecked = end.transport->trust.goes_unchecked(header);
  if (header.unchecked) world_.coverage.saw("sim: payload without a checksum");
  // What never leaves a machine comes in as it was.
  if (!header.unchecked) flip(end);
  if (world_.profile.network.wire_codecs) header_to_bytes(header, frame->payload, end.writing->bytes);
  end.source = frame->payload;
  end.copied = 0;
  end.written = 0;
  end.header_written = false;
  return true;
}

/// Payloads are damaged on their way. One that needs no checksum, by the word of whoever changed it, may be damaged in
/// any way.
void LinkNetwork::flip(LinkEnd& end) {
  FrameInFlight& frame = *end.writing;
  frame.flipped = world_.random.chance(world_.profile.network.flip_per_million, 1000000);
  if (frame.payload.empty()) return;
  if (end.flip_next) frame.flipped = std::exchange(end.flip_next, false);
  else if (frame.flipped && frame.header.kind == FrameKind::chunk) frame.header.unchecked = world_.random.chance(1, 2);
}

std::size_t LinkNetwork::write_piece(LinkEnd& end, std::size_t room) {
  FrameInFlight& frame = *end.writing;
  const NetworkProfile& network = world_.profile.network;
  const std::size_t left = frame.payload.size() - end.written;
  std::size_t bytes = std::min({left, network.piece_bytes_max, room});
  const bool first = !end.header_written;
  if (first && bytes != 0 && world_.random.below(256) < network.split_per_256)
    bytes = static_cast<std::size_t>(world_.random.below(bytes));
  if (first && bytes < left) frame.fingerprint = fingerprint_of(end.source);
  if (end.written + bytes > end.copied) {
    std::memcpy(frame.payload.data() + end.copied, end.source.data() + end.copied,
                end.written + bytes - end.copied);
    end.copied = end.written + bytes;
  }
  LinkItem item{.frame = end.writing, .offset = end.written, .bytes = bytes, .first = first};
  end.written += bytes;
  end.header_written = true;
  item.last = end.written == frame.payload.size();
  if (item.last) {
    frame.changed = frame.fingerprint != 0 && fingerprint_of(frame.payload) != frame.fingerprint;
    end.writing.reset();
  }
  const std::size_t on_wire = bytes + (first ? kHeaderOnWire : 0);
  end.bytes_sent += on_wire;
  end.segments_sent += 1 + on_wire / 1448;
  LinkEnd& other = *end.other;
  other.unread_bytes += on_wire;
  if (!other.incoming.is_cut())
    put(other, world_.queue.now() + network.link_delay.draw(world_.random) + time_to_write(network, end, on_wire),
        std::move(item));
  return on_wire;
}

void LinkNetwork::release_send(Process& process, LinkConnection name) {
  LinkEnd* end = find(process, name);
  if (!end || !end->writing) return;
  world_.coverage.saw("sim: send released while being written");
  FrameInFlight& frame = *end->writing;
  std::memcpy(frame.payload.data() + end->copied, end->source.data() + end->copied,
              frame.payload.size() - end->copied);
  end->copied = frame.payload.size();
  end->source = {};
}

// -------------------------------------------------------------------------------------------- faults

void LinkNetwork::cut(LinkEnd& end) {
  for (LinkEnd* side : {&end, end.other}) {
    if (!side->attached || side->incoming.is_cut()) continue;
    side->incoming.cut(world_.random, world_.profile.network.cut_keeps);
    put(*side, world_.queue.now() + world_.profile.network.told.draw(world_.random),
        {.kind = LinkItem::Kind::down, .reason = "connection reset"});
  }
}

void LinkNetwork::cut_pair(Process& a, Process& b) {
  for (LinkEnd* end : established())
    if (takes_way(*end->transport, a, b)) cut(*end);
}

void LinkNetwork::block(Process& from, Process& to) {
  blocked_.insert({from.number(), to.number()});
  std::vector<LinkEnd*> concerned;
  for (LinkEnd* end : established())
    if (takes_way(*end->transport, from, to)) concerned.push_back(end);
  world_.queue.after(world_.profile.network.user_timeout, [this, &from, &to, concerned] {
    if (!blocked(from, to)) return;
    world_.coverage.saw("sim: blocked connection given up");
    for (LinkEnd* end : concerned)
      for (LinkEnd* side : {end, end->other}) {
        if (!side->attached) continue;
        // The end of what was held: no byte of it gets through any more.
        side->incoming.clear();
        side->incoming.cut(world_.random, Keep::all);
        if (side->process->data_held()) {
          put(*side, world_.queue.now(), {.kind = LinkItem::Kind::down, .reason = "no answer"});
          continue;
        }
        detach(*side, false, false, "");
        broke(*side, "no answer");
        side->process->settle();
      }
  });
}

bool LinkNetwork::may_lose_way(const Process& a, const Process& b) const {
  if (!blocked_.empty() || !refused_.empty() || a.group() != b.group() || a.machine() == b.machine()) return false;
  const auto stands = [](const Process& from, const Process& to) {
    return from.port.table.established({to.id(), 0}) && !from.port.table.is_through(to.id());
  };
  for (const Process* const third : world_.living())
    if (third != &a && third != &b && third->info().connected && !third->data_held() && stands(*third, a) &&
        stands(*third, b) && stands(a, *third) && stands(b, *third))
      return a.info().connected && b.info().connected;
  return false;
}

void LinkNetwork::heal() {
  for (const auto& process : world_.processes())
    if (!process->gone() && hampered(*process)) process->was_hampered();
  blocked_.clear();
  refused_.clear();
  for (const auto& transport : transports_)
    for (LinkEnd& end : transport->ends)
      if (end.attached)
        end.incoming.wake(world_.queue.now(), [&](Instant due) { read_at(end, due); });
}

void LinkNetwork::process_awake(Process& process) {
  for (LinkEnd* const end : ends_of(process)) {
    const Duration delay = world_.profile.network.link_delay.draw(world_.random);
    end->incoming.wake(world_.queue.now() + delay, [&](Instant due) { read_at(*end, due); });
    if (end->up) pump_later(*end, delay);
  }
  for (const auto& transport : transports_)
    if (transport->through == &process)
      for (LinkEnd& end : transport->ends)
        if (end.attached) end.incoming.wake(world_.queue.now(), [&](Instant due) { read_at(end, due); });
}

void LinkNetwork::inject(LinkEnd& receiver, FrameInFlight frame) {
  receiver.incoming.clear();
  receiver.unread_bytes = 0;
  receiver.reading.reset();
  auto shared = std::make_shared<FrameInFlight>(std::move(frame));
  const std::size_t bytes = shared->payload.size();
  receiver.unread_bytes += bytes + kHeaderOnWire;
  put(receiver, world_.queue.now(),
      {.frame = shared, .offset = 0, .bytes = bytes, .first = true, .last = true});
  receiver.incoming.cut(world_.random, Keep::all);
  put(receiver, world_.queue.now() + world_.profile.network.told.draw(world_.random),
      {.kind = LinkItem::Kind::down, .reason = "connection reset"});
  cut(receiver);  // The other direction: acknowledgements of what the sender never sent must not reach it.
}

bool LinkNetwork::hampered(const Process& process) const {
  const auto concerns = [&](const ProcessPair& pair) {
    return pair.first == process.number() || pair.second == process.number();
  };
  return std::any_of(blocked_.begin(), blocked_.end(), concerns) ||
         std::any_of(refused_.begin(), refused_.end(), concerns);
}

std::vector<LinkEnd*> LinkNetwork::established() const {
  std::vector<LinkEnd*> ends;
  for (const auto& transport : transports_)
    if (transport->ends[0].attached && transport->ends[0].up && transport->ends[1].attached &&
        transport->ends[1].up)
      ends.push_back(&transport->ends[0]);
  return ends;
}

}  // namespace hawser::sim
