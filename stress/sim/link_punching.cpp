// Both sides of a link dial at once: whose dial comes through NATs, and dials that cross.

#include "sim/link_network.hpp"
#include "sim/process.hpp"
#include "sim/world.hpp"

namespace hawser::sim {
namespace {

/// As a dialler does that was refused.
constexpr Duration kRedialAfter = milliseconds(100);

}  // namespace

void LinkNetwork::perform_one(Process& process, const links::AskBothDial& action, links::Actions&) {
  process.hear_later(LinkUnreached{.peer = action.peer, .why = action.why});
}

void LinkNetwork::perform_one(Process& process, const links::Punch& action, links::Actions&) {
  if (action.to.empty()) throw Violation(process.name() + " is to dial a peer of which it knows no address");
  world_.coverage.saw("sim: both are told to dial");
  process.in_process(world_.profile.network.link_dial.draw(world_.random),
                     [this, &process, socket = action.socket] { punch(process, socket); });
  process.port.punches[action.socket] = action;
}

/// Until the table gives it up.
void LinkNetwork::punch(Process& dialer, links::SocketId socket) {
  const auto mine = dialer.port.punches.find(socket);
  if (mine == dialer.port.punches.end()) return;
  Process* const other = world_.find_by_any_id(mine->second.peer);
  const bool is_cut = other && (refused_.contains(pair(dialer, *other)) || dialer.data_held() || other->data_held() ||
                                blocked(dialer, *other) || blocked(*other, dialer));
  if (other && !is_cut) {
    if (!other->is_behind_nat()) return punch_is_accepted(dialer, *other, socket);
    if (dialer.may_cross() && other->may_cross())
      for (const auto& [theirs, punch] : other->port.punches)
        if (punch.peer == dialer.id() && mine->second.peer == other->id())
          return mine->second.greets_if_crossed ? cross(dialer, socket, *other, theirs)
                                                : cross(*other, theirs, dialer, socket);
  }
  dialer.in_process(kRedialAfter, [this, &dialer, socket] { punch(dialer, socket); });
}

void LinkNetwork::punch_is_accepted(Process& dialer, Process& acceptor, links::SocketId socket) {
  world_.coverage.saw("sim: punch accepted");
  const Address to = dialer.port.punches.at(socket).to.front();
  dialer.port.punches.erase(socket);
  LinkTransport& transport = connect(&dialer, acceptor);
  dialer.port.sockets[socket] = &transport.ends[0];
  transport.ends[0].socket = socket;
  ask(dialer, [&](links::Actions& out) {
    dialer.port.table.punched(
        world_.queue.now(),
        {.socket = socket, .machine_proof = {.low = dialer.machine(), .high = transport.number}, .to = to}, out);
  });
  dialer.settle();
}

/// Each side learns of it in its own time, and may have given up by then.
void LinkNetwork::cross(Process& greeter, links::SocketId greets, Process& yielder, links::SocketId yields) {
  world_.coverage.saw("sim: dials crossed");
  const Address to = greeter.port.punches.at(greets).to.front();
  greeter.port.punches.erase(greets);
  yielder.port.punches.erase(yields);
  LinkTransport& transport = connect(&greeter, yielder);
  transport.ends[1].yields = yields;
  LinkEnd& first = transport.ends[0];
  greeter.in_process(world_.profile.network.link_delay.draw(world_.random), [this, &greeter, &first, greets, to] {
    if (!first.attached) return;
    if (!greeter.port.table.knows(greets)) return detach(first, true, true, "closed by the other side");
    first.socket = greets;
    greeter.port.sockets[greets] = &first;
    ask(greeter, [&](links::Actions& out) {
      greeter.port.table.punched(world_.queue.now(),
                                 {.socket = greets,
                                  .machine_proof = {.low = greeter.machine(), .high = first.transport->number},
                                  .to = to,
                                  .is_crossed = true},
                                 out);
    });
    greeter.settle();
  });
}

}  // namespace hawser::sim
