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
  link.dial = wish.dial;
  link.slots.resize(world_.profile.network.connections_per_link);
  if (!wish.dial) return unpark(process, wish.peer.id);
  for (std::uint32_t index = 0; index < link.slots.size(); ++index)
    if (!link.slots[index].end && link.slots[index].dial == 0)
      start_dial(process, wish.peer.id, index, Duration::zero());
}

void LinkNetwork::start_dial(Process& dialer, PeerId to, std::uint32_t index, Duration backoff) {
  Link* link = find(dialer, to);
  if (!link || !link->dial || link->slots[index].end) return;
  const std::uint64_t dial = ++dials_;
  link->slots[index].dial = dial;
  world_.queue.after(backoff + world_.profile.network.link_dial.draw(world_.random),
                     [this, &dialer, to, index, dial] { attempt(dialer, to, index, dial); });
}

void LinkNetwork::redial(Process& process, LinkConnection name) {
  start_dial(process, name.peer, name.index, world_.profile.network.link_redial.draw(world_.random));
}

void LinkNetwork::dial_failed(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial,
                              Duration after) {
  world_.queue.after(after, [this, &dialer, to, index, dial] {
    Link* link = find(dialer, to);
    if (!link || link->slots[index].dial != dial) return;
    link->slots[index].dial = 0;
    redial(dialer, {to, index});
  });
}

void LinkNetwork::attempt(Process& dialer, PeerId to, std::uint32_t index, std::uint64_t dial) {
  Link* link = find(dialer, to);
  if (!link || link->slots[index].dial != dial) return;
  Process* acceptor = world_.find(to);
  if (!acceptor || refused_.contains(pair(dialer, *acceptor)))
    return dial_failed(dialer, to, index, dial, milliseconds(1));
  if (acceptor->data_held() || dialer.data_held() || blocked(dialer, *acceptor) || blocked(*acceptor, dialer))
    return dial_failed(dialer, to, index, dial, seconds(2));
  const Parked parked{&dialer, dialer.id(), to, index, dial, link->secret};
  const Link* answer = find(*acceptor, parked.from);
  if (answer && answer->secret == parked.secret) return establish(dialer, *acceptor, parked);
  park(parked, *acceptor);
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

void LinkNetwork::unpark(Process& acceptor, PeerId from) {
  auto& waiting = parked_[acceptor.number()];
  const Link& link = acceptor.links.at(from);
  std::vector<Parked> taken;
  std::erase_if(waiting, [&](const Parked& p) {
    const bool match = p.from == from && p.to == acceptor.id() && p.secret == link.secret;
    if (match) taken.push_back(p);
    return match;
  });
  for (const Parked& parked : taken) {
    // In its own event: an engine is never called from within its own action.
    world_.queue.after(Duration::zero(), [this, parked, &acceptor] {
      Link* ours = find(*parked.dialer, parked.to);
      Link* theirs = find(acceptor, parked.from);
      if (!ours || ours->slots[parked.index].dial != parked.dial) return;
      if (!theirs || theirs->secret != ours->secret || acceptor.id() != parked.to || acceptor.data_held())
        return dial_failed(*parked.dialer, parked.to, parked.index, parked.dial, Duration::zero());
      establish(*parked.dialer, acceptor, parked);
    });
  }
}

void LinkNetwork::establish(Process& dialer, Process& acceptor, const Parked& dial) {
  {
    const Link& theirs = acceptor.links.at(dial.from);
    if (theirs.dial)
      throw Violation("both " + dialer.name() + " and " + acceptor.name() + " dial the link between them");
    LinkEnd* old = theirs.slots[dial.index].end;
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
  auto& transport = *transports_.emplace_back(std::make_unique<LinkTransport>());
  const auto set = [&](LinkEnd& end, Process& process, PeerId peer, LinkEnd& other) {
    end.process = &process;
    end.transport = &transport;
    end.other = &other;
    end.name = {peer, dial.index};
    end.incarnation = transports_.size();
  };
  set(transport.ends[0], dialer, dial.to, transport.ends[1]);
  set(transport.ends[1], acceptor, dial.from, transport.ends[0]);
  ours->slots[dial.index] = {.end = &transport.ends[0], .dial = 0};
  theirs->slots[dial.index] = {.end = &transport.ends[1], .dial = 0};
  for (LinkEnd& end : transport.ends)
    put(end, world_.queue.now() + world_.profile.network.link_delay.draw(world_.random),
        {.kind = LinkItem::Kind::up});
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
