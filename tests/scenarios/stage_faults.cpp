// The commands that make things go wrong.

#include <utility>

#include "stage.hpp"

namespace hawser::scenarios {
namespace {

sim::Ending read_ending(const Command& command) {
  const std::string how = command.option("how", "killed");
  if (how == "killed") return sim::Ending::flushed;
  if (how == "reset") return sim::Ending::reset;
  if (how == "vanished") return sim::Ending::vanished;
  throw ScriptError("how=killed, how=reset or how=vanished");
}

}  // namespace

void Stage::kill(const Command& command) {
  for (auto* one : processes(command)) one->kill(read_ending(command));
}

void Stage::kill_master(const Command& command) { world().master.kill(read_ending(command)); }

void Stage::stop(const Command& command) {
  for (auto* one : processes(command)) one->stop();
}

void Stage::resume(const Command& command) {
  for (auto* one : processes(command)) one->resume();
}

void Stage::silence(const Command& command) {
  for (auto* one : processes(command)) one->set_silent(true);
}

void Stage::speak(const Command& command) {
  for (auto* one : processes(command)) one->set_silent(false);
}

void Stage::cut(const Command& command) {
  const sim::Process& a = process(command.word(0));
  const sim::Process& b = process(command.word(1));
  const std::string which = command.words.size() > 2 ? command.word(2) : "all";
  bool any = false;
  for (sim::LinkEnd* end : world().links.established()) {
    const bool between = (end->process == &a && end->other->process == &b) ||
                         (end->process == &b && end->other->process == &a);
    if (!between || (which != "all" && which != std::to_string(end->name.index))) continue;
    world().links.cut(*end);
    any = true;
  }
  if (!any) say("there is no such connection");
}

void Stage::cut_control(const Command& command) {
  const std::string told = command.option("told", "both");
  const sim::CutSeenBy who = told == "both"     ? sim::CutSeenBy::both
                        : told == "peer"   ? sim::CutSeenBy::peer
                        : told == "master" ? sim::CutSeenBy::master
                                           : sim::CutSeenBy::nobody;
  for (auto* one : processes(command)) world().control.cut(*one, who);
}

void Stage::partition(const Command& command) {
  sim::Process& a = process(command.word(0));
  sim::Process& b = process(command.word(1));
  world().links.refuse_dials(a, b);
  world().links.cut_pair(a, b);
}

void Stage::blackhole(const Command& command) {
  sim::Process& a = process(command.word(0));
  sim::Process& b = process(command.word(1));
  world().links.block(a, b);
  world().links.block(b, a);
}

void Stage::heal(const Command&) { world().links.heal(); }

void Stage::repeat(const Command& command) {
  const std::string& who = command.word(0);
  const std::string& kind = command.word(1);
  const bool sent = who == "master" ? world().control.repeat_of_master(process(command.word(2)), kind)
                                    : world().control.repeat_of_peer(process(who), kind);
  if (!sent) say(who + " has sent no " + kind);
}

sim::LinkEnd* Stage::any_connection(const Command& command) {
  const sim::Process& from = process(command.word(0));
  const sim::Process& to = process(command.word(1));
  for (sim::LinkEnd* end : world().links.established())
    for (sim::LinkEnd* side : {end, end->other})
      if (side->process == &from && side->other->process == &to) return side;
  say("there is no such connection");
  return nullptr;
}

void Stage::damage(const Command& command) {
  for (const auto& [socket, end] : process(command.word(0)).port.sockets)
    if (end->up && end->other->process == &process(command.word(1))) end->flip_next = true;
}

/// A chunk that the plan does not have. Of a call that is planned from the measures which its view began with, or from
/// none.
void Stage::hostile(const Command& command) {
  sim::LinkEnd* sender = any_connection(command);
  if (!sender) return;
  for (const std::uint64_t measures : {0, 1}) {
    sim::FrameInFlight frame;
    frame.hostile = true;
    for (const auto& [id, call] : sender->other->process->calls()) {
      Signature signature = call.signature;
      signature.measures = measures;
      frame.header.key = call.key;
      frame.header.signature = fingerprint(signature);
    }
    frame.header.chunk = 1ULL << 40;
    frame.header.payload_bytes = 4;
    frame.payload.resize(4);
    world().links.inject(*sender->other, std::move(frame));
  }
}

}  // namespace hawser::scenarios
