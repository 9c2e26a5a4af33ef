// How a process's table of links is driven: what the engine asks for, what sockets bring, and what the table wants
// done.

#include <algorithm>
#include <utility>

#include "sim/link_network.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

constexpr Duration kNoAnswer = seconds(2);

ConnectionName name_of(LinkConnection name) { return {.peer = name.peer, .index = name.index}; }
LinkConnection name_of(ConnectionName name) { return {.peer = name.peer, .index = name.index}; }

}  // namespace

// ------------------------------------------------------------------------------- what the engine asks for

void LinkNetwork::open(Process& process, const OpenLink& wish) {
  if (world_.profile.network.keys == (wish.peer.key == KeyId{}))
    throw Violation(process.name() + " opens a link to a peer whose key it was not told");
  process.port.secrets[wish.peer.id] = wish.secret;
  ask(process, [&](links::Actions& out) {
    process.port.table.open(world_.queue.now(),
                            {.peer = wish.peer.id,
                             .name = wish.peer.name,
                             .address = wish.peer.address,
                             .secret = wish.secret,
                             .dial_after = wish.dial_after,
                             .may_ask = wish.may_ask,
                             .key = world_.profile.network.keys ? std::optional(wish.peer.key) : std::nullopt},
                            out);
  });
}

void LinkNetwork::dial_at_once(Process& process, const DialPeer& wish) {
  ask(process, [&](links::Actions& out) {
    process.port.table.dial_at_once(world_.queue.now(), wish.peer, wish.to, out);
  });
}

void LinkNetwork::close(Process& process, PeerId peer) {
  if (!process.port.table.has_link(peer)) throw Violation(process.name() + " closes a link that it has not");
  process.port.secrets.erase(peer);
  ask(process, [&](links::Actions& out) { process.port.table.close(peer, out); });
}

void LinkNetwork::drop(Process& process, const DropConnection& wish) {
  world_.coverage.saw("sim: connection dropped by an engine");
  const bool provoked =
      world_.profile.faults.weights.hostile != 0 || world_.profile.network.flip_per_million != 0 || scribbled_on_;
  if (!provoked && !world_.scripted)
    throw Violation(process.name() + " drops a connection though nobody breaks the protocol: " + wish.reason);
  if (world_.tracing()) world_.trace(process.name() + " drops a connection: " + wish.reason);
  // Another one may have taken its place meanwhile.
  const ConnectionName name = name_of(wish.connection);
  if (!process.port.table.is_established(name, wish.incarnation)) return;
  ask(process, [&](links::Actions& out) { process.port.table.drop(world_.queue.now(), name, out); });
}

void LinkNetwork::widen(Process& process, const WidenLink& wish) {
  const std::size_t before = process.port.table.connections(wish.peer);
  ask(process, [&](links::Actions& out) {
    process.port.table.widen(world_.queue.now(), wish.peer, wish.connections, out);
  });
  const std::size_t after = process.port.table.connections(wish.peer);
  if (after != before) world_.coverage.saw(after > before ? "sim: link widened" : "sim: link narrowed again");
}

void LinkNetwork::set_self(Process& process) {
  for (const auto& [socket, end] : std::exchange(process.port.sockets, {}))
    detach(*end, true, true, "closed by the other side");
  for (const auto& [socket, end] : std::exchange(process.port.joined, {})) cut(*end);
  process.port.dials.clear();
  process.port.punches.clear();
  process.port.secrets.clear();
  process.port.woken.clear();
  process.port.table.set_self(process.id());
}

bool LinkNetwork::is_established(const Process& process, const LinkUp& up) const {
  return process.port.table.is_established(name_of(up.connection), up.incarnation);
}

void LinkNetwork::up_told(Process& process, LinkConnection name) {
  if (LinkEnd* const end = find(process, name)) pump_later(*end, Duration::zero());
}

LinkEnd* LinkNetwork::find(Process& process, LinkConnection name) const {
  const auto socket = process.port.table.established(name_of(name));
  return socket ? process.port.sockets.at(*socket) : nullptr;
}

// ------------------------------------------------------------------------------ what the table wants done

void LinkNetwork::perform(Process& process, links::Actions& actions) {
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (i > 20000) throw Violation("the links of " + process.name() + " want 20,000 actions at once");
    links::Action action = std::move(actions[i]);
    std::visit([&](auto& one) { perform_one(process, one, actions); }, action);
  }
  check(process);
  arm(process);
}

/// The table and its sockets agree on what is open.
void LinkNetwork::check(Process& process) const {
  for (const auto& [socket, end] : process.port.sockets) {
    if (!process.port.table.knows(socket))
      throw Violation(process.name() + " has a connection open that its table of links has forgotten");
    if (end->up && process.port.table.established(name_of(end->name)) != socket)
      throw Violation(process.name() + " keeps a connection that its table of links takes for broken");
  }
  if (process.port.table.strangers() > world_.profile.network.strangers_most)
    throw Violation(process.name() + " keeps more strangers than its bound");
}

void LinkNetwork::perform_one(Process& process, const links::Dial& action, links::Actions&) {
  process.port.dials.insert(action.socket);
  process.in_process(world_.profile.network.link_dial.draw(world_.random),
                     [this, &process, to = action.peer, socket = action.socket, through = action.through] {
                       if (!process.port.dials.contains(socket)) return;
                       through ? meet(process, to, socket, through->greeting) : attempt(process, to, socket);
                     });
}

void LinkNetwork::attempt(Process& dialer, PeerId to, links::SocketId socket) {
  Process* const acceptor = world_.find_by_any_id(to);
  if (const auto fate = fate_of_dial(dialer, to, acceptor))
    return dial_failed(dialer, socket, fate->after, fate->was_refused);
  LinkTransport& transport = connect(&dialer, *acceptor);
  dialer.port.dials.erase(socket);
  dialer.port.sockets[socket] = &transport.ends[0];
  transport.ends[0].socket = socket;
  ask(dialer, [&](links::Actions& out) {
    dialer.port.table.dialled(world_.queue.now(), socket, {.low = dialer.machine(), .high = transport.number}, out);
  });
  dialer.settle();
}

std::optional<LinkNetwork::DialFate> LinkNetwork::fate_of_dial(const Process& dialer, PeerId to,
                                                               const Process* acceptor) const {
  const Stranger* const stranger = acceptor ? nullptr : world_.find_stranger(to);
  if (stranger && stranger->door == Door::no_answer) return DialFate{kNoAnswer, false};
  if (!acceptor) return DialFate{milliseconds(1), true};
  if (refused_.contains(pair(dialer, *acceptor))) return DialFate{milliseconds(1), false};
  if (acceptor->is_behind_nat() || dialer.data_held() || blocked(dialer, *acceptor) || blocked(*acceptor, dialer))
    return DialFate{kNoAnswer, false};
  return std::nullopt;
}

// ------------------------------------------------------------------------------------- by a go-between

/// It goes to a go-between, and waits there. `socket`: of the dial that it is for; none: it was invited.
void LinkNetwork::meet(Process& dialer, PeerId go_between, links::SocketId socket,
                       const std::vector<std::byte>& greeting) {
  Process* const acceptor = world_.find_by_any_id(go_between);
  if (const auto fate = fate_of_dial(dialer, go_between, acceptor)) {
    if (socket != links::SocketId{}) dial_failed(dialer, socket, fate->after, false);
    return;
  }
  LinkTransport& transport = connect(&dialer, *acceptor);
  transport.ends[0].meets = true;
  transport.ends[0].dial = socket;
  put(transport.ends[1], world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
      {.kind = LinkItem::Kind::greeting, .said = greeting});
}

void LinkNetwork::met(LinkEnd& end, std::span<const std::byte> said) {
  const auto answer = decode_greeting_answer(said.first<kGreetingAnswerBytes>());
  if (!answer.ok()) throw Violation("a go-between answers with something else");
  detach(end, true, true, "closed by the other side");
  met_in_vain(end);
}

void LinkNetwork::met_in_vain(LinkEnd& end) {
  world_.coverage.saw("sim: met in vain");
  if (end.dial != links::SocketId{}) dial_failed(*end.process, end.dial, Duration::zero(), false);
}

void LinkNetwork::perform_one(Process& process, const links::Come& action, links::Actions&) {
  process.in_process(world_.profile.network.link_dial.draw(world_.random),
                     [this, &process, to = action.peer, greeting = action.through.greeting] {
                       meet(process, to, {}, greeting);
                     });
}

void LinkNetwork::perform_one(Process& process, const links::Invite& action, links::Actions&) {
  LinkEnd& other = *process.port.sockets.at(action.socket)->other;
  if (other.incoming.is_cut()) return;
  put(other, world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
      {.kind = LinkItem::Kind::invited, .who = action.who});
}

/// The two connections become one, between those who met here.
void LinkNetwork::perform_one(Process& process, const links::Join& action, links::Actions&) {
  world_.coverage.saw("sim: joined by a go-between");
  LinkTransport& transport = *transports_.emplace_back(std::make_unique<LinkTransport>());
  transport.number = transports_.size();
  transport.through = &process;
  transport.source = process.host();
  transport.joined = {action.first, action.second};
  for (std::size_t i = 0; i < 2; ++i) {
    LinkEnd& here = *process.port.sockets.at(transport.joined[i]);
    LinkEnd& before = *here.other;
    process.port.sockets.erase(transport.joined[i]);
    LinkEnd& end = transport.ends[i];
    end.transport = &transport;
    end.other = &transport.ends[1 - i];
    end.process = before.process;
    end.dial = before.dial;
    end.attached = before.attached;
    for (LinkEnd* const old : {&here, &before}) {
      old->attached = false;
      old->incoming.clear();
      old->incoming.cut(world_.random, Keep::all);
    }
    process.port.joined[transport.joined[i]] = &end;
  }
  if (!transport.ends[0].attached || !transport.ends[1].attached) {
    for (LinkEnd& end : transport.ends) detach(end, true, true, "closed by the other side");
    for (LinkEnd& end : transport.ends)
      if (end.dial != links::SocketId{}) dial_failed(*end.process, end.dial, Duration::zero(), false);
    return tell_go_between(transport);
  }
  const Duration delay = world_.profile.network.link_delay.draw(world_.random);
  put(transport.ends[1], world_.queue.now() + delay, {.kind = LinkItem::Kind::accepted});
  LinkEnd& first = transport.ends[0];
  first.process->in_process(delay, [this, &first] { go_on_through(first); });
}

void LinkNetwork::go_on_through(LinkEnd& end) {
  Process& dialer = *end.process;
  if (!end.attached) return;
  if (dialer.port.dials.erase(end.dial) == 0) return detach(end, true, true, "closed by the other side");
  end.socket = end.dial;
  dialer.port.sockets[end.dial] = &end;
  ask(dialer, [&](links::Actions& out) {
    dialer.port.table.dialled(world_.queue.now(), end.socket, {.low = dialer.machine(), .high = 0}, out);
  });
  dialer.settle();
}

/// One of the two has closed its connection: the go-between closes the other's, too.
void LinkNetwork::tell_go_between(LinkTransport& transport) {
  Process& process = *transport.through;
  process.in_process(world_.profile.network.told.draw(world_.random), [this, &process, socket = transport.joined[0]] {
    if (!process.port.joined.contains(socket)) return;
    ask(process, [&](links::Actions& out) {
      process.port.table.broke(world_.queue.now(), socket, "closed by the other side", out);
    });
    process.settle();
  });
}

void LinkNetwork::dial_failed(Process& dialer, links::SocketId socket, Duration after, bool was_refused) {
  dialer.in_process(after, [this, &dialer, socket, was_refused] {
    if (dialer.port.dials.erase(socket) == 0) return;
    ask(dialer, [&](links::Actions& out) {
      dialer.port.table.dial_failed(world_.queue.now(), socket,
                                    {.why = was_refused ? "connection refused" : "it cannot be reached",
                                     .was_refused = was_refused},
                                    out);
    });
    dialer.settle();
  });
}

/// The kernels' part: nobody has read a byte yet.
LinkTransport& LinkNetwork::connect(Process* dialer, Process& acceptor) {
  LinkTransport& transport = *transports_.emplace_back(std::make_unique<LinkTransport>());
  transport.number = transports_.size();
  for (std::size_t i = 0; i < 2; ++i) {
    transport.ends[i].transport = &transport;
    transport.ends[i].other = &transport.ends[1 - i];
  }
  transport.ends[0].process = dialer;
  transport.ends[1].process = &acceptor;
  transport.trust.same_machine = dialer && dialer->machine() == acceptor.machine();
  if (dialer) transport.source = dialer->host();
  put(transport.ends[1], world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
      {.kind = LinkItem::Kind::accepted});
  return transport;
}

void LinkNetwork::knock(Process& at, Knock knock) {
  LinkTransport& transport = connect(nullptr, at);
  transport.source = std::move(knock.host);
  transport.stranger_key = knock.key;
  LinkEnd& end = transport.ends[1];
  const Instant now = world_.queue.now();
  if (!knock.says.empty())
    put(end, now + world_.profile.network.link_delay.draw(world_.random),
        {.kind = LinkItem::Kind::greeting, .said = std::move(knock.says)});
  if (knock.hangs_up_after)
    put(end, now + *knock.hangs_up_after, {.kind = LinkItem::Kind::down, .reason = "closed by the other side"});
}

void LinkNetwork::perform_one(Process& process, const links::Send& action, links::Actions& next) {
  const auto at = process.port.sockets.find(action.socket);
  if (at == process.port.sockets.end()) return;
  LinkEnd& other = *at->second->other;
  // The other side has closed it, and its kernel said so.
  if (!other.attached && world_.random.chance(1, 4)) {
    world_.coverage.saw("sim: greeting not taken");
    return process.port.table.broke(world_.queue.now(), action.socket, "broken pipe", next);
  }
  if (!other.incoming.is_cut())
    put(other, world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
        {.kind = LinkItem::Kind::greeting, .said = action.bytes});
  process.port.table.sent(world_.queue.now(), action.socket, {.round_trip = round_trip_least()}, next);
}

void LinkNetwork::perform_one(Process& process, const links::Close& action, links::Actions&) {
  process.port.dials.erase(action.socket);
  process.port.punches.erase(action.socket);
  if (const auto joined = process.port.joined.extract(action.socket); !joined.empty()) return cut(*joined.mapped());
  const auto at = process.port.sockets.find(action.socket);
  if (at == process.port.sockets.end()) return;
  LinkEnd& end = *at->second;
  process.port.sockets.erase(at);
  const bool was_up = end.up;
  detach(end, true, true, "closed by the other side");
  // A driver may hear of its break all the same.
  if (!was_up || !world_.random.chance(1, 4)) return;
  world_.coverage.saw("sim: late break of a closed connection");
  process.in_process(world_.profile.network.told.draw(world_.random), [this, &process, socket = action.socket] {
    ask(process, [&](links::Actions& out) {
      process.port.table.broke(world_.queue.now(), socket, "connection reset", out);
    });
    process.settle();
  });
}

void LinkNetwork::perform_one(Process& process, const links::Establish& action, links::Actions&) {
  LinkEnd& end = *process.port.sockets.at(action.socket);
  if (!end.other->process)
    throw Violation(process.name() + " lets a stranger in as " + world_.names.of(action.name.peer));
  if (action.same_machine != end.transport->trust.same_machine)
    throw Violation(process.name() + " is wrong about whether a connection leaves its machine");
  end.name = name_of(action.name);
  end.up = true;
}

void LinkNetwork::perform_one(Process& process, const links::Up& action, links::Actions&) {
  process.hear_later(LinkUp{.connection = name_of(action.name),
                            .incarnation = action.incarnation,
                            .round_trip = action.round_trip,
                            .same_host = action.same_machine,
                            .by = action.by});
}

void LinkNetwork::perform_one(Process& process, const links::Down& action, links::Actions&) {
  const LinkDown down{
      .connection = name_of(action.name), .incarnation = action.incarnation, .reason = action.reason};
  if (process.port.table.established(action.name)) {
    world_.coverage.saw("sim: connection replaced before its break was told");
    // Told late, maybe after the new one: it must not be taken for that one's end.
    if (world_.random.chance(1, 2))
      return process.in_process(world_.profile.network.told.draw(world_.random),
                                [&process, down] { process.deliver(down); });
  }
  process.hear_later(down);
}

void LinkNetwork::perform_one(Process& process, const links::Refused& action, links::Actions&) {
  world_.coverage.saw("sim: redial refused");
  process.hear_later(LinkRefused{action.peer});
}

void LinkNetwork::perform_one(Process& process, const links::StraightFailed& action, links::Actions&) {
  process.hear_later(StraightFailed{.peer = action.peer, .why = action.why});
}

void LinkNetwork::perform_one(Process& process, const links::RoundTrips& action, links::Actions&) {
  process.hear_later(LinkSampled{
      .peer = action.peer, .round_trip = action.round_trip, .round_trip_least = action.round_trip_least});
}

/// What is written to a process that reads nothing has arrived all the same.
TcpState LinkNetwork::state_of_way(const LinkEnd& from, bool is_blocked) const {
  const std::uint64_t under_way = from.other->unread_bytes;
  const bool is_held = from.other->process->data_held();
  return {.round_trip = round_trip_least(),
          .segments_unacknowledged = under_way > 0 && (is_blocked || !is_held) ? 1U : 0U,
          .segments_delivered = from.bytes_sent - std::min(from.bytes_sent, under_way)};
}

/// As a kernel tells of its connections: round trips are longer where data waits for slow links.
void LinkNetwork::perform_one(Process& process, const links::TakeSamples& action, links::Actions& next) {
  const NetworkProfile& network = world_.profile.network;
  Random& random = world_.random;
  // Samples that make the number of connections change, though the few calls of a run would not.
  const bool is_restless = network.restless && process.port.used_at + seconds(1) > world_.queue.now();
  std::vector<links::ConnectionSample> samples;
  for (const links::SocketId socket : action.sockets) {
    if (const auto joined = process.port.joined.find(socket); joined != process.port.joined.end()) {
      const LinkEnd& beyond = *joined->second;
      const bool is_blocked = blocked(process, *beyond.process) || blocked(*beyond.process, process);
      samples.push_back({.socket = socket, .state = state_of_way(*beyond.other, is_blocked)});
      continue;
    }
    LinkEnd& end = *process.port.sockets.at(socket);
    const Duration least = round_trip_least();
    // Of a way by a go-between the system knows the first part only.
    const Process& next_stop = end.transport->through ? *end.transport->through : *end.other->process;
    const bool is_blocked = blocked(process, next_stop) || blocked(next_stop, process);
    const TcpState way = state_of_way(end, is_blocked);
    Duration waits = time_to_write(network, end, network.piece_bytes_max);
    bool is_full = end.writing || end.other->starved;
    if (is_restless) {
      is_full = is_full || random.chance(31, 32);
      waits = random.chance(1, 32) ? least : Duration::zero();
      end.segments_sent += 100;
      if (random.chance(1, 4)) end.segments_repeated += random.below(20);
    }
    samples.push_back({.socket = socket,
                       .is_full = is_full,
                       .state = {.round_trip = least + waits,
                                 .round_trip_least = least,
                                 .window_bytes = network.window_bytes,
                                 .segments_sent = end.segments_sent,
                                 .segments_repeated = end.segments_repeated,
                                 .segments_unacknowledged = way.segments_unacknowledged,
                                 .segments_delivered = way.segments_delivered,
                                 .fills_alone = end.uses_bbr}});
  }
  process.port.table.sampled(world_.queue.now(), samples, next);
}

void LinkNetwork::perform_one(Process& process, const links::LimitQueue& action, links::Actions&) {
  if (!process.port.sockets.contains(action.socket))
    throw Violation(process.name() + " limits the queue of a connection that it has not");
}

void LinkNetwork::perform_one(Process& process, const links::UseBbr& action, links::Actions&) {
  const auto end = process.port.sockets.find(action.socket);
  if (end == process.port.sockets.end())
    throw Violation(process.name() + " chooses the congestion control of a connection that it has not");
  end->second->uses_bbr = true;
  world_.coverage.saw("sim: bbr chosen");
}

/// In order with all else on that connection.
void LinkNetwork::perform_one(Process& process, const links::AskConnections& action, links::Actions&) {
  LinkEnd& other = *process.port.sockets.at(action.socket)->other;
  world_.coverage.saw("sim: connections asked for");
  if (other.incoming.is_cut()) return;
  put(other, world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
      {.kind = LinkItem::Kind::asked, .connections = action.connections});
}

void LinkNetwork::perform_one(Process& process, const LogEvent& action, links::Actions&) {
  world_.log(process.name(), action);
}

// --------------------------------------------------------------------------------- what sockets bring

Duration LinkNetwork::round_trip_least() const {
  return 2 * world_.profile.network.link_delay.least + microseconds(10);
}

std::optional<KeyId> LinkNetwork::key_beyond(const LinkEnd& end) const {
  if (!world_.profile.network.keys) return std::nullopt;
  const Process* const other = end.other->process;
  return other ? other->badge()->key : end.transport->stranger_key;
}

void LinkNetwork::read_accepted(LinkEnd& end) {
  Process& process = *end.process;
  ask(process, [&](links::Actions& out) {
    links::LinkTable& table = process.port.table;
    const links::LinkTable::Newcomer newcomer{
        .source = end.transport->source,
        .remote_host = end.transport->source,
        .machine_proof = {.low = process.machine(), .high = end.transport->number},
        .is_through = end.transport->through != nullptr,
        .by = end.transport->through ? end.transport->through->id() : PeerId{}};
    const auto socket = end.yields == links::SocketId{}
                            ? table.accepted(world_.queue.now(), newcomer, out)
                            : table.yielded(world_.queue.now(), end.yields, newcomer, out);
    if (!socket) {
      world_.coverage.saw("sim: connection closed unread");
      return detach(end, true, true, "closed by the other side");
    }
    end.socket = *socket;
    process.port.sockets[*socket] = &end;
  });
}

/// In pieces, as a socket may give them, and never more than is asked for.
void LinkNetwork::read_greeting(LinkEnd& end, std::span<const std::byte> said) {
  Process& process = *end.process;
  const links::LinkTable& table = process.port.table;
  while (!said.empty() && end.attached && !end.up) {
    std::size_t count = std::min(said.size(), table.bytes_wanted(end.socket));
    if (count == 0) throw Violation(process.name() + " does not read what comes on a connection");
    if (world_.random.chance(1, 16)) {
      world_.coverage.saw("sim: greeting in pieces");
      count = 1 + static_cast<std::size_t>(world_.random.below(count));
    }
    ask(process, [&](links::Actions& out) {
      process.port.table.received(
          world_.queue.now(),
          {.socket = end.socket,
           .bytes = said.first(count),
           .state = {.round_trip = round_trip_least()},
           .key = key_beyond(end)},
          out);
    });
    said = said.subspan(count);
  }
  if (end.attached && !end.up && table.bytes_wanted(end.socket) == 1) world_.coverage.saw("sim: greeting held");
}

void LinkNetwork::read_asked(LinkEnd& end, std::uint32_t connections) {
  ask(*end.process, [&](links::Actions& out) {
    end.process->port.table.asked(world_.queue.now(), end.socket, connections, out);
  });
}

void LinkNetwork::broke(LinkEnd& end, const std::string& reason) {
  Process& process = *end.process;
  if (process.port.sockets.erase(end.socket) == 0) return;
  ask(process, [&](links::Actions& out) {
    process.port.table.broke(world_.queue.now(), end.socket, reason, out);
  });
}

void LinkNetwork::detach(LinkEnd& end, bool flush, bool tell_other, const char* reason) {
  if (!end.attached) return;
  end.attached = false;
  end.up = false;
  end.incoming.clear();
  end.incoming.cut(world_.random, Keep::all);
  end.writing.reset();
  end.reading.reset();
  LinkEnd& other = *end.other;
  if (end.transport->through) tell_go_between(*end.transport);
  if (!other.attached || other.incoming.is_cut()) return;
  other.incoming.cut(world_.random, flush ? Keep::all : world_.profile.network.cut_keeps);
  if (tell_other)
    put(other, world_.queue.now() + world_.profile.network.told.draw(world_.random),
        {.kind = LinkItem::Kind::down, .reason = reason});
}

// ------------------------------------------------------------------------------------------------ time

void LinkNetwork::arm(Process& process) {
  if (process.gone()) return;
  DataPort& port = process.port;
  const auto deadline = port.table.next_deadline();
  if (!deadline || (port.timer_at && *port.timer_at <= *deadline)) return;
  port.timer_at = std::max(*deadline, world_.queue.now());
  const Instant at = *port.timer_at + world_.profile.network.timer_latency.draw(world_.random);
  process.in_process(at - world_.queue.now(), [this, &process, armed = *port.timer_at] {
    if (process.port.timer_at == armed) tick(process);
  });
}

void LinkNetwork::tick(Process& process) {
  DataPort& port = process.port;
  port.timer_at.reset();
  const Instant now = world_.queue.now();
  if (const auto due = port.table.next_deadline(); due && *due <= now) {
    ask(process, [&](links::Actions& out) { port.table.tick(now, out); });
    const auto next = port.table.next_deadline();
    port.barren_ticks = next && *next <= now ? port.barren_ticks + 1 : 0;
    if (port.barren_ticks > 2)
      throw Violation("a deadline of the links of " + process.name() + " stays in the past: a busy loop");
  }
  arm(process);
  process.settle();
}

// ------------------------------------------------------------------------------------ how a process ends

std::vector<LinkEnd*> LinkNetwork::ends_of(const Process& process) const {
  std::vector<LinkEnd*> found;
  for (const auto& transport : transports_)
    for (LinkEnd& end : transport->ends)
      if (end.attached && end.process == &process) found.push_back(&end);
  return found;
}

void LinkNetwork::process_gone(Process& process, Ending ending) {
  for (LinkEnd* const end : ends_of(process)) {
    LinkEnd& other = *end->other;
    detach(*end, ending == Ending::flushed, ending != Ending::vanished, "closed by the other side");
    if (ending == Ending::vanished && other.attached)
      put(other, world_.queue.now() + world_.profile.network.user_timeout,
          {.kind = LinkItem::Kind::down, .reason = "no answer from the other host"});
  }
  for (const auto& [socket, end] : std::exchange(process.port.joined, {})) cut(*end);
  process.port.sockets.clear();
  process.port.dials.clear();
  process.port.punches.clear();
  process.port.woken.clear();
  process.port.table.close_all();
}

}  // namespace hawser::sim
