// Those who are not part of the run and speak to its master all the same, and what keeps a peer from being dialled.

#include <algorithm>
#include <utility>

#include "sim/lies.hpp"
#include "stage.hpp"

namespace hawser::scenarios {
namespace {

constexpr Duration kDialTakes = seconds(1);

/// It says what it is told to say, and the script shows what becomes of it.
class ScriptedStranger : public sim::Stranger {
 public:
  using Say = std::function<void(const std::string&)>;
  ScriptedStranger(sim::World& world, const std::string& name, Say say)
      : Stranger(world, name, "10.9.0." + std::to_string(world.strangers().size() + 1)), say_(std::move(say)) {}

  void hear(const EngineEvent& event) override {
    Stranger::hear(event);
    if (const auto* said = std::get_if<MasterSaid>(&event)) {
      if (const auto* refused = std::get_if<Refused>(&said->message)) say_(name() + ": " + refused->error.sentence);
      if (const auto* expelled = std::get_if<Expelled>(&said->message)) say_(name() + ": " + expelled->error.sentence);
      if (std::holds_alternative<StartView>(said->message)) say_(name() + ": it is a member");
    } else if (std::holds_alternative<MasterDown>(event)) {
      say_(name() + ": closed");
    }
  }

 private:
  Say say_;
};

}  // namespace

sim::Stranger& Stage::stranger(const std::string& name) {
  for (const auto& one : world().strangers())
    if (one->name() == name) return *one;
  auto fresh = std::make_unique<ScriptedStranger>(world(), name, [this](const std::string& line) {
    if (out_ != nullptr) say(line);
  });
  sim::Stranger& kept = *fresh;
  world().add_stranger(std::move(fresh));
  return kept;
}

void Stage::stranger_says(const Command& command) {
  sim::Stranger& one = stranger(command.word(0));
  const std::string& what = command.word(1);
  Introduction& who = one.who;
  who.group = static_cast<std::uint32_t>(command.number("group", who.group));
  one.door = command.option("door", "closed") == "silent" ? sim::Door::no_answer : sim::Door::closed;
  who.party = {.id = {command.number("party", 0)}, .size = command.number("party", 0) == 0 ? 1U : 2U};
  if (const std::string like = command.option("like", ""); !like.empty()) who.id = process(like).id();
  one.dial();
  const Instant end = world().queue.now() + kDialTakes;
  while (!one.is_connected() && world().queue.now() < end) step();
  if (what == "hello") return one.say(Hello{.who = who});
  if (what == "status") return one.say(StatusRequest{});
  if (what == "ping") return one.say(Ping{});
  if (what != "resume") throw ScriptError("stranger NAME hello, resume, status or ping");
  // It invents a view of itself and of all that it has heard of.
  View view = world().hearsay.views.empty() ? View{} : world().hearsay.views.back();
  if (!view.find(who.id))
    view.members.push_back({.id = who.id, .name = who.name, .address = {.host = one.host(), .port = 4000}});
  view.group = who.group;
  view.epoch = {command.number("epoch", view.epoch.value + 1)};
  one.say(sim::Lies::resume(who, world().hearsay.run, view));
}

void Stage::stop_master(const Command&) { world().master.stop(); }

void Stage::resume_master(const Command&) { world().master.resume(); }

void Stage::nat(const Command& command) {
  for (auto* one : processes(command)) one->put_behind_nat(command.option("lets", "nothing") == std::string("crossed"));
}

}  // namespace hawser::scenarios
