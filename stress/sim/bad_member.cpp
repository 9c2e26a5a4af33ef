#include "sim/bad_member.hpp"

#include <utility>

#include "sim/process.hpp"
#include "sim/world.hpp"

namespace hawser::sim {

void BadMember::speak() {
  if (!process_.control.connection || !process_.control.connection->peer_up) return;
  Random& random = world_.random;
  PeerMessage word = calls_ && random.chance(1, 3) ? call() : any_word();
  if (world_.tracing()) world_.trace(process_.name() + " lies: " + world_.names.of(word));
  world_.control.send(process_, std::move(word));
}

PeerMessage BadMember::call() {
  Random& random = world_.random;
  Lies lies(world_);
  world_.coverage.saw("bad member: call that it has not made");
  world_.checker.called_otherwise(process_.id());
  switch (random.below(4)) {
    case 0: return lies.begun();
    case 1: return lies.report();
    default:
      return UpdateCall{.first = random.chance(1, 2),
                        .update_round = random.chance(1, 2) ? random.below(5) : random.next(),
                        .was_over = random.chance(1, 2),
                        .waits = random.chance(1, 2),
                        .after_error = random.chance(1, 4)};
  }
}

PeerMessage BadMember::any_word() {
  Random& random = world_.random;
  Lies lies(world_);
  switch (random.below(24)) {
    case 0:
      world_.coverage.saw("bad member: introduces itself again");
      return Hello{.who = process_.introduction()};
    case 1: return Lies::resume(process_.introduction(), world_.hearsay.run, lies.true_view());
    case 2: world_.coverage.saw("bad member: says that it leaves"); return Leave{};
    case 3: return StatusRequest{};
    case 4: return PrefetchOver{};
    case 5: return Ping{};
    case 6:
    case 7: world_.coverage.saw("bad member: view unasked"); return lies.view_presented(process_.group());
    case 8:
    case 9: {
      world_.coverage.saw("bad member: outcomes unasked");
      return OutcomesPresented{.undecided = {}, .committed = lies.outcomes().committed};
    }
    case 10:
    case 11:
    case 12: world_.coverage.saw("bad member: measures"); return lies.measured();
    case 13:
    case 14:
    case 15:
    case 16: world_.coverage.saw("bad member: complaint"); return lies.complaint();
    default: world_.coverage.saw("bad member: links"); return lies.linked();
  }
}

PeerMessage BadMember::instead_of(PeerMessage honest) {
  if (auto* resume = std::get_if<Resume>(&honest)) {
    claimed_ = {};
    if (world_.random.chance(1, 2)) return altered(std::move(*resume));
  } else if (std::holds_alternative<ViewPresented>(honest)) {
    if (world_.random.chance(1, 4)) return Lies(world_).view_presented(process_.group());
    if (claimed_.size() > 0) return ViewPresented{claimed_};
  } else if (auto* outcomes = std::get_if<OutcomesPresented>(&honest)) {
    if (world_.random.chance(1, 2)) return altered(std::move(*outcomes));
  } else if (std::holds_alternative<Linked>(honest) && world_.random.chance(1, 8)) {
    return Lies(world_).linked();
  }
  return honest;
}

/// It was in another view, or in a later round.
Resume BadMember::altered(Resume honest) {
  Random& random = world_.random;
  Lies lies(world_);
  world_.coverage.saw("bad member: resumes otherwise");
  if (random.chance(1, 2)) {
    claimed_ = lies.invented_view(
        {{.id = process_.id(), .name = process_.name(), .address = {.host = process_.host(), .port = 4000}}},
        process_.group());
    honest.view = Lies::resume(honest.who, honest.run, claimed_).view;
  }
  if (random.chance(1, 4)) honest.run = {random.next()};
  if (random.chance(1, 2)) honest.update_round += random.chance(1, 2) ? 1 : 1ULL << 40;
  if (calls_ && random.chance(1, 2)) {
    honest.in_update = true;
    world_.checker.called_otherwise(process_.id());
  }
  return honest;
}

/// Nothing that it has a result of is left out: then all would wait for its word as long as it lives, which is its
/// right.
OutcomesPresented BadMember::altered(OutcomesPresented honest) {
  Random& random = world_.random;
  const OutcomesPresented invented = Lies(world_).outcomes();
  world_.coverage.saw("bad member: other outcomes");
  honest.committed.insert(honest.committed.end(), invented.committed.begin(), invented.committed.end());
  if (calls_) {
    honest.undecided.insert(honest.undecided.end(), invented.undecided.begin(), invented.undecided.end());
    world_.checker.called_otherwise(process_.id());
  }
  for (UndecidedOp& op : honest.undecided)
    if (random.chance(1, 4)) op.reported = true;
  return honest;
}

}  // namespace hawser::sim
