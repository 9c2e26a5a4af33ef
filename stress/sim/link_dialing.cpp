// How connections of links come to stand: dials, parking, greetings, redials.

#include <algorithm>
#include <utility>

#include "sim/link_network.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

void LinkNetwork::open(Process& process, const OpenLink& wish) {
  Link& link = process.links[wish.peer.id];
  link.peer = wish.peer;
  link.secret = wish.secret;
  link.slots.resize(world_.profile.network.connections_per_link);
  link.sides.begin(world_.queue.now(), process.id() < wish.peer.id, wish.dial_after);
  unpark_later(process, wish.peer.id);
  look_later(process, wish.peer.id);
}

void LinkNetwork::look_later(Process& process, PeerId peer) {
  Link* link = find(process, peer);
  if (!link) return;
  auto next = link->sides.dial_at();
  if (is_held(process, peer)) next = earlier(next, link->sides.next_look(world_.queue.now()));
  const std::uint64_t look_number = ++link->look;
  if (!next) return;
  world_.queue.at(*next, [this, &process, peer, look_number] {
    Link* now_there = find(process, peer);
    if (!now_there || now_there->look != look_number) return;
    unpark(process, peer);
    look(process, peer);
  });
}

void LinkNetwork::look(Process& process, PeerId peer) {
  Link* link = find(process, peer);
  if (!link) return;
  if (const auto due = link->sides.dial_at(); due && *due <= world_.queue.now()) {
    link->sides.dialling();
    start_dial(process, peer, 0, Duration::zero());
  }
  look_later(process, peer);
}

void LinkNetwork::start_dial(Process& dialer, PeerId to, std::uint32_t index, Duration backoff) {
  Link* link = find(dialer, to);
  if (!link || link->slots[index].end) return;
  const std::uint64_t dial = ++dials_;
  link->slots[index].dial = dial;
  world_.queue.after(backoff + world_.profile.network.link_dial.draw(world_.random),
                     [this, &dialer, to, index, dial] { attempt(dialer, to, index, dial); });
}

void LinkNetwork::redial(Process& process, LinkConnection name) {
  Link* link = find(process, name.peer);
  if (!link) return;
  if (std::none_of(link->slots.begin(), link->slots.end(), [](const LinkSlot& slot) { return slot.end && slot.end->up; }))
    link->sides.all_down(world_.queue.now());
  if (link->sides.dialler() == LinkSides::Dialler::ours)
    start_dial(process, name.peer, name.index, world_.profile.network.link_redial.draw(world_.random));
  unpark_later(process, name.peer);
  look_later(process, name.peer);
}

/// Longer and longer, as real dials.
Duration LinkNetwork::redial_delay(const LinkSlot& slot) {
  constexpr Duration kLongest = seconds(1);
  const Duration first = world_.profile.network.link_redial.draw(world_.random);
  return std::max(first, std::min(kLongest, first * (1 << std::min(slot.failures - 1, 16U))));
}

void LinkNetwork::dial_failed(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial,
                              Duration after, bool refused) {
  world_.queue.after(after, [this, &dialer, to, index, dial, refused] {
    Link* link = find(dialer, to);
    if (!link || link->slots[index].dial != dial) return;
    LinkSlot& slot = link->slots[index];
    slot.dial = 0;
    ++slot.failures;
    link->sides.attempt_ended();
    start_dial(dialer, to, index, redial_delay(slot));
    unpark_later(dialer, to);
    look_later(dialer, to);
    if (refused && link->sides.has_got_through()) {
      world_.coverage.saw("sim: redial refused");
      dialer.in_process(Duration::zero(), [&dialer, to] { dialer.deliver(LinkRefused{to}); });
    }
  });
}

void LinkNetwork::attempt(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial) {
  Link* link = find(dialer, to);
  if (!link || link->slots[index].dial != dial) return;
  Process* acceptor = world_.find(to);
  if (const Stranger* stranger = acceptor ? nullptr : world_.find_stranger(to); stranger && stranger->door == Door::no_answer)
    return dial_failed(dialer, to, index, dial, seconds(2));
  if (!acceptor || refused_.contains(pair(dialer, *acceptor)))
    return dial_failed(dialer, to, index, dial, milliseconds(1), !acceptor);
  if (acceptor->is_behind_nat() || acceptor->data_held() || dialer.data_held() || blocked(dialer, *acceptor) ||
      blocked(*acceptor, dialer))
    return dial_failed(dialer, to, index, dial, seconds(2));
  if (std::none_of(link->slots.begin(), link->slots.end(), [](const LinkSlot& slot) { return slot.end && slot.end->up; }))
    link->sides.greeted(world_.queue.now());
  // Meanwhile the other side's greeting may cross it.
  world_.queue.after(world_.profile.network.link_delay.draw(world_.random),
                     [this, greeting = Parked{&dialer, dialer.id(), to, index, dial, link->secret}] { greeting_came(greeting); });
}

void LinkNetwork::greeting_came(const Parked& greeting) {
  Process& dialer = *greeting.dialer;
  const Link* const ours = find(dialer, greeting.to);
  if (!ours || dialer.id() != greeting.from || ours->slots[greeting.index].dial != greeting.dial) return;
  Process* const acceptor = world_.find(greeting.to);
  if (!acceptor || acceptor->data_held())
    return dial_failed(dialer, greeting.to, greeting.index, greeting.dial, milliseconds(1));
  const Link* const theirs = find(*acceptor, greeting.from);
  if (!theirs || theirs->secret != greeting.secret) return park(greeting, *acceptor);
  if (theirs->sides.judge(world_.queue.now()) == LinkSides::Verdict::accept)
    return establish(dialer, *acceptor, greeting);
  world_.coverage.saw("sim: greeting held");
  park(greeting, *acceptor);
  look_later(*acceptor, greeting.from);
}

bool LinkNetwork::is_held(const Process& acceptor, PeerId from) const {
  const auto waiting = parked_.find(acceptor.number());
  return waiting != parked_.end() && std::any_of(waiting->second.begin(), waiting->second.end(),
                                                 [&](const Parked& one) { return one.from == from; });
}

void LinkNetwork::park(const Parked& parked, Process& acceptor) {
  world_.coverage.saw("sim: dial parked");
  parked_[acceptor.number()].push_back(parked);
  world_.queue.after(world_.profile.network.parked, [this, parked, number = acceptor.number()] {
    auto& waiting = parked_[number];
    const auto same = [&](const Parked& p) { return p.dial == parked.dial; };
    const auto found = std::find_if(waiting.begin(), waiting.end(), same);
    if (found == waiting.end()) return;
    waiting.erase(found);
    dial_failed(*parked.dialer, parked.to, parked.index, parked.dial, Duration::zero());
  });
}

/// In an event of its own: an engine is never called from within its own action.
void LinkNetwork::unpark_later(Process& acceptor, PeerId from) {
  if (!is_held(acceptor, from)) return;
  world_.queue.after(Duration::zero(), [this, &acceptor, from] {
    if (!acceptor.gone()) unpark(acceptor, from);
  });
}

/// Greetings that were held are judged again.
void LinkNetwork::unpark(Process& acceptor, PeerId from) {
  std::vector<Parked> taken;
  std::erase_if(parked_[acceptor.number()], [&](const Parked& p) {
    const bool match = p.from == from && p.to == acceptor.id();
    if (match) taken.push_back(p);
    return match;
  });
  for (const Parked& parked : taken) greeting_came(parked);
}

/// The other side got through first, or has lost what this side had dialled.
void LinkNetwork::leave_dialling(Process& process, Link& link) {
  std::vector<LinkConnection> down;
  for (LinkSlot& slot : link.slots) {
    slot.dial = 0;
    if (!slot.end) continue;
    if (slot.end->up) down.push_back(slot.end->name);
    detach(*slot.end, false, true, "the other side dials this link");
  }
  for (const LinkConnection& name : down)
    if (!process.gone()) process.deliver(LinkDown{.connection = name, .reason = "the other side dials this link"});
}

void LinkNetwork::establish(Process& dialer, Process& acceptor, const Parked& dial) {
  {
    Link& theirs = acceptor.links.at(dial.from);
    if (theirs.sides.dialler() != LinkSides::Dialler::theirs) leave_dialling(acceptor, theirs);
  }
  if (Link* const theirs = find(acceptor, dial.from)) {
    for (LinkSlot& slot : theirs->slots) slot.dial = 0;
    LinkEnd* old = theirs->slots[dial.index].end;
    if (old) {
      // The acceptor has not yet been told that the connection before this one broke.
      world_.coverage.saw("sim: connection replaced before its break was told");
      const bool was_up = old->up;
      const LinkDown down{
          .connection = old->name, .incarnation = old->incarnation, .reason = "replaced by a new connection"};
      detach(*old, false, false, "");
      // Told late, maybe after the new one: it must not be taken for that one's end.
      if (was_up && world_.random.chance(1, 2))
        acceptor.in_process(world_.profile.network.told.draw(world_.random),
                            [&acceptor, down] { acceptor.deliver(down); });
      else if (was_up)
        acceptor.deliver(down);
    }
  }
  Link* ours = find(dialer, dial.to);
  Link* theirs = find(acceptor, dial.from);
  if (!ours || !theirs || ours->slots[dial.index].dial != dial.dial)
    return dial_failed(dialer, dial.to, dial.index, dial.dial, Duration::zero());
  theirs->sides.theirs_stands(world_.queue.now());
  auto& transport = *transports_.emplace_back(std::make_unique<LinkTransport>());
  const auto set = [&](LinkEnd& end, Process& process, PeerId peer, LinkEnd& other) {
    end.process = &process;
    end.transport = &transport;
    end.other = &other;
    end.name = {peer, dial.index};
    end.incarnation = transports_.size();
  };
  transport.trust.same_machine = dialer.machine() == acceptor.machine();
  set(transport.ends[0], dialer, dial.to, transport.ends[1]);
  set(transport.ends[1], acceptor, dial.from, transport.ends[0]);
  ours->slots[dial.index] = {.end = &transport.ends[0], .dial = 0};
  theirs->slots[dial.index] = {.end = &transport.ends[1], .dial = 0};
  for (LinkEnd& end : transport.ends)
    put(end, world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
        {.kind = LinkItem::Kind::up});
}

/// The answer to a greeting of this side has come: it dials the rest.
void LinkNetwork::dialled_stands(LinkEnd& end) {
  Link& link = end.process->links.at(end.name.peer);
  link.sides.ours_stands(world_.queue.now());
  for (std::uint32_t index = 0; index < link.slots.size(); ++index)
    if (!link.slots[index].end && link.slots[index].dial == 0)
      start_dial(*end.process, end.name.peer, index, Duration::zero());
}

void LinkNetwork::detach(LinkEnd& end, bool flush, bool tell_other, const char* reason) {
  if (!end.attached) return;
  end.attached = false;
  end.up = false;
  end.incoming.clear();
  end.incoming.cut(world_.random, Keep::all);
  end.writing.reset();
  end.reading.reset();
  if (Link* link = find(*end.process, end.name.peer); link && link->slots[end.name.index].end == &end)
    link->slots[end.name.index].end = nullptr;
  LinkEnd& other = *end.other;
  if (!other.attached || other.incoming.is_cut()) return;
  other.incoming.cut(world_.random, flush ? Keep::all : world_.profile.network.cut_keeps);
  if (tell_other)
    put(other, world_.queue.now() + world_.profile.network.told.draw(world_.random),
        {.kind = LinkItem::Kind::down, .reason = reason});
}

void LinkNetwork::close(Process& process, PeerId peer) {
  Link* link = find(process, peer);
  if (!link) throw Violation(process.name() + " closes a link that it has not");
  for (const LinkSlot& slot : link->slots)
    if (slot.end) detach(*slot.end, true, true, "closed by the other side");
  process.links.erase(peer);
}

void LinkNetwork::drop(Process& process, LinkConnection name, const std::string& reason) {
  world_.coverage.saw("sim: connection dropped by an engine");
  const bool provoked =
      world_.profile.faults.weights.hostile != 0 || world_.profile.network.flip_per_million != 0;
  if (!provoked && !world_.scripted)
    throw Violation(process.name() + " drops a connection though nobody breaks the protocol: " + reason);
  LinkEnd* end = find(process, name);
  if (!end) return;
  if (world_.tracing()) world_.trace(process.name() + " drops a connection: " + reason);
  detach(*end, false, true, "dropped by the other side");
  redial(process, name);
}

void LinkNetwork::process_gone(Process& process, Ending ending) {
  for (auto& [peer, link] : process.links)
    for (const LinkSlot& slot : link.slots) {
      if (!slot.end) continue;
      LinkEnd& other = *slot.end->other;
      detach(*slot.end, ending == Ending::flushed, ending != Ending::vanished, "closed by the other side");
      if (ending == Ending::vanished && other.attached)
        put(other, world_.queue.now() + world_.profile.network.user_timeout,
            {.kind = LinkItem::Kind::down, .reason = "no answer from the other host"});
    }
  process.links.clear();
  parked_.erase(process.number());
}

}  // namespace hawser::sim
