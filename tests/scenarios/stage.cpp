#include "stage.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hawser::scenarios {
namespace {

constexpr Duration kPatience = seconds(1200);

class ScriptedApplication : public sim::Application {
 public:
  ScriptedApplication(Stage& stage, const sim::Process& process) : stage_(stage), process_(process) {}
  void call_ended(const sim::Call& call, const CallDone& done) override {
    stage_.call_ended(process_, call, done);
  }

 private:
  Stage& stage_;
  const sim::Process& process_;
};

std::string tenths(Duration time) {
  const auto tenths_of_second = (time.count() + 50000) / 100000;
  return std::to_string(tenths_of_second / 10) + "." + std::to_string(tenths_of_second % 10) + " s";
}

const char* plan_name(PlanKind plan) {
  switch (plan) {
    case PlanKind::automatic: return "auto";
    case PlanKind::ring: return "ring";
    case PlanKind::direct: return "direct";
    case PlanKind::hierarchical: return "hierarchical";
  }
  return "?";
}

struct CollectiveName {
  const char* name;
  Collective value;
};
constexpr std::array kCollectiveNames{CollectiveName{"all-reduce", Collective::all_reduce},
                                      CollectiveName{"broadcast", Collective::broadcast},
                                      CollectiveName{"all-gather", Collective::all_gather},
                                      CollectiveName{"reduce-scatter", Collective::reduce_scatter},
                                      CollectiveName{"barrier", Collective::barrier}};
struct TypeName {
  const char* name;
  DataType value;
};
constexpr std::array kTypeNames{TypeName{"float32", DataType::float32}, TypeName{"float16", DataType::float16},
                                TypeName{"int8", DataType::int8}};

const char* name_of(Collective collective) {
  return kCollectiveNames.at(static_cast<std::size_t>(collective)).name;
}

template <class Names>
auto one_of(const Names& names, const std::string& word) {
  for (const auto& entry : names)
    if (word == entry.name) return entry.value;
  throw ScriptError("unknown word \"" + word + "\"");
}

PlanKind read_plan(const std::string& name) {
  for (const PlanKind plan : {PlanKind::automatic, PlanKind::ring, PlanKind::direct, PlanKind::hierarchical})
    if (name == plan_name(plan)) return plan;
  throw ScriptError("there is no plan " + name);
}

}  // namespace

Stage::Handler Stage::handler(const std::string& name) {
  static const std::map<std::string, Handler> kHandlers = {
      {"config", &Stage::configure},
      {"master", &Stage::master},
      {"peer", &Stage::peer},
      {"relay", &Stage::relay},
      {"connect", &Stage::connect},
      {"update", &Stage::update},
      {"reduce", &Stage::reduce},
      {"optimize", &Stage::optimize},
      {"leave", &Stage::leave},
      {"run", &Stage::run},
      {"wait", &Stage::wait},
      {"until", &Stage::until},
      {"kill", &Stage::kill},
      {"kill-master", &Stage::kill_master},
      {"stop", &Stage::stop},
      {"cont", &Stage::resume},
      {"silence", &Stage::silence},
      {"speak", &Stage::speak},
      {"cut", &Stage::cut},
      {"cut-control", &Stage::cut_control},
      {"partition", &Stage::partition},
      {"blackhole", &Stage::blackhole},
      {"heal", &Stage::heal},
      {"repeat", &Stage::repeat},
      {"damage", &Stage::damage},
      {"hostile", &Stage::hostile},
      {"stop-master", &Stage::stop_master},
      {"cont-master", &Stage::resume_master},
      {"nat", &Stage::nat},
      {"stranger", &Stage::stranger_says},
      {"show", &Stage::show},
      {"watch", &Stage::watch},
  };
  const auto found = kHandlers.find(name);
  if (found == kHandlers.end()) throw ScriptError("there is no command " + name);
  return found->second;
}

void Stage::perform(const std::string& line, std::vector<std::string>& out) {
  out_ = &out;
  const Command command(line);
  (this->*handler(command.name))(command);
  out_ = nullptr;
}

void Stage::say(const std::string& line) { out_->push_back(line); }

sim::World& Stage::world() {
  if (!world_) {
    world_ = std::make_unique<sim::World>(profile_, 1);
    world_->control.keep_messages();
    world_->scripted = true;
    world_->on_message = [this](const std::string& who, const char* kind) {
      if (awaited_times_ != 0 && who == awaited_who_ && kind == awaited_kind_) --awaited_times_;
    };
    world_->on_log = [this](const std::string& who, const LogEvent& event) {
      if (watched_.contains(event.what)) say(who + " logs " + event.what + ": " + event.text);
    };
  }
  return *world_;
}

sim::Process& Stage::process(const std::string& name) {
  // The last one of that name: a process that was killed may be started again.
  const auto& all = world().processes();
  for (auto it = all.rbegin(); it != all.rend(); ++it)
    if ((*it)->name() == name) return **it;
  throw ScriptError("there is no peer " + name);
}

std::vector<sim::Process*> Stage::processes(const Command& command) {
  std::vector<sim::Process*> found;
  for (const std::string& name : command.words) found.push_back(&process(name));
  if (found.empty()) throw ScriptError(command.name + " wants the names of peers");
  return found;
}

void Stage::step() {
  if (!world().step()) throw ScriptError("nothing is left to happen");
}

// ------------------------------------------------------------------------------------------- the cast

void Stage::configure(const Command& command) {
  if (world_) throw ScriptError("config comes before everything else");
  MasterConfig& master = profile_.master;
  EngineConfig& engine = profile_.engine;
  master.silence = engine.silence = command.time("silence", master.silence);
  master.stall = engine.stall = command.time("stall", master.stall);
  master.call_wait = command.time("call_wait", master.call_wait);
  master.recovery = command.time("recovery", master.recovery);
  engine.master_redial = command.time("master_redial", engine.master_redial);
  // Larger groups have links along rows of two and columns.
  if (const auto most = command.number("all_links", 0); most != 0)
    master.links = engine.links = {.all_links_max = static_cast<std::uint32_t>(most), .width = 2, .sponsors = 2};
  profile_.network.connections_per_link =
      static_cast<std::uint32_t>(command.number("connections", profile_.network.connections_per_link));
  // Slower wires give a scenario time to interfere with a transfer.
  profile_.network.bytes_per_ms = static_cast<std::int64_t>(
      command.number("bytes_per_ms", static_cast<std::uint64_t>(profile_.network.bytes_per_ms)));
}

void Stage::master(const Command&) {
  if (world().master.running()) throw ScriptError("the master runs already");
  world().master.start();
}

void Stage::peer(const Command& command) {
  for (const std::string& name : command.words) {
    auto& started = world().start_process(name, {.group = static_cast<std::uint32_t>(command.number("group", 0)),
                                                      .party = {.id = {command.number("party", 0)},
                                                                .size = command.number("party", 0) == 0 ? 1U : 2U}});
    started.run(std::make_unique<ScriptedApplication>(*this, started));
  }
}

void Stage::relay(const Command& command) {
  for (const std::string& name : command.words) {
    auto& started = world().start_process(
        name, {.group = static_cast<std::uint32_t>(command.number("group", 0)), .relay = true});
    started.run(std::make_unique<ScriptedApplication>(*this, started));
  }
}

// -------------------------------------------------------------------------------------------- calls

void Stage::connect(const Command& command) {
  for (auto* one : processes(command)) one->connect();
}

void Stage::update(const Command& command) {
  for (auto* one : processes(command)) one->update_topology();
}

void Stage::reduce(const Command& command) {
  const sim::CollectiveWish wish{
      .tag = command.number("tag", 0),
      .signature = {.collective = one_of(kCollectiveNames, command.option("what", "all-reduce")),
                    .type = one_of(kTypeNames, command.option("type", "float32")),
                    .op = command.option("op", "sum") == "avg" ? ReduceOp::avg : ReduceOp::sum,
                    .plan = read_plan(command.option("plan", "auto")),
                    .count = command.number("count", command.option("what", "") == "barrier" ? 0 : 8),
                    .root = static_cast<std::uint32_t>(command.number("root", 0))},
      .in_place = command.option("place", "out") == "in"};
  for (auto* one : processes(command)) one->collective(wish);
}

void Stage::optimize(const Command& command) {
  for (auto* one : processes(command))
    one->optimize_topology({.all_pairs = command.option("pairs", "unknown") == "all"});
}

void Stage::leave(const Command& command) {
  for (auto* one : processes(command)) one->leave();
}

std::string Stage::describe_end(const sim::Call& call, const CallDone& done) {
  std::string text;
  switch (call.kind) {
    case sim::Call::Kind::connect: text = "connect"; break;
    case sim::Call::Kind::update: text = "update"; break;
    case sim::Call::Kind::reduce: text = "reduce tag=" + std::to_string(call.key.tag); break;
    case sim::Call::Kind::optimize: text = "optimize"; break;
    default: break;  // No command makes these.
  }
  text += ": " + world().names.of(done.error);
  if (call.kind == sim::Call::Kind::optimize && done.info)
    text += ", with " + world().names.of(done.info->contributors);
  if (call.kind == sim::Call::Kind::optimize) return text + lasted(call);
  if (done.info)
    text += std::string(", ") +
            (reduces(call.signature.collective) ? to_string(call.signature.op) : name_of(call.signature.collective)) +
            " of " + world().names.of(done.info->contributors) + ", " + plan_name(done.info->plan);
  return text + lasted(call);
}

std::string Stage::lasted(const sim::Call& call) {
  const Duration took = world().queue.now() - call.made;
  return took < milliseconds(100) ? "" : " [" + tenths(took) + "]";
}

void Stage::call_ended(const sim::Process& process, const sim::Call& call, const CallDone& done) {
  say(process.name() + ": " + describe_end(call, done));
}

// --------------------------------------------------------------------------------------------- time

void Stage::run(const Command& command) {
  const Instant end = world().queue.now() + read_time(command.word(0));
  for (;;) {
    const auto due = world().next_due();
    if (!due || *due > end) break;
    step();
  }
  world().queue.idle_until(end);
}

bool Stage::waits_for(const std::vector<sim::Process*>& whom) {
  return std::any_of(whom.begin(), whom.end(),
                     [](const sim::Process* one) { return !one->gone() && !one->calls().empty(); });
}

void Stage::wait(const Command& command) {
  const auto whom = processes(command);
  const Instant end = world().queue.now() + kPatience;
  while (waits_for(whom) && world().queue.now() < end) step();
  for (sim::Process* one : whom)
    if (waits_for({one})) say(one->name() + " still waits");
}

void Stage::until(const Command& command) {
  awaited_who_ = command.word(0);
  const std::string& what = command.word(1);
  if (what == "done") {
    const auto whom = std::vector<sim::Process*>{&process(awaited_who_)};
    const Instant end = world().queue.now() + kPatience;
    while (waits_for(whom) && world().queue.now() < end) step();
    return;
  }
  if (what != "sends") throw ScriptError("until WHO sends KIND, or until WHO done");
  awaited_kind_ = command.word(2);
  awaited_times_ = command.number("times", 1);
  const Instant end = world().queue.now() + kPatience;
  while (awaited_times_ != 0 && world().queue.now() < end) step();
  if (std::exchange(awaited_times_, 0) != 0) say(awaited_who_ + " never sends " + awaited_kind_);
}

// --------------------------------------------------------------------------------- what is to be seen

std::string Stage::view_of(const View& view) {
  std::string text = "epoch " + std::to_string(view.epoch.value) + " (";
  for (const Member& member : view.members) text += (text.back() == '(' ? "" : " ") + member.name;
  return text + ")";
}

void Stage::show_master() {
  if (!world().master.running()) return say("master: down");
  const auto snapshot = world().master.machine().snapshot();
  for (const View& view : snapshot.views)
    say("master: group " + std::to_string(view.group) + ", " + view_of(view) + ", " +
        std::to_string(snapshot.pending) + " pending");
  if (snapshot.views.empty()) say("master: no members, " + std::to_string(snapshot.pending) + " pending");
}

void Stage::show(const Command& command) {
  for (const std::string& name : command.words) {
    if (name == "master") {
      show_master();
      continue;
    }
    const sim::Process& one = process(name);
    if (one.gone()) {
      say(name + ": gone");
      continue;
    }
    const EngineInfo info = one.info();
    if (!info.connected) {
      say(name + ": not a member" +
          (info.not_a_member.status == Status::invalid_usage ? "" : ", " + world().names.of(info.not_a_member)));
      continue;
    }
    say(name + ": " + view_of(info.view) + ", rank " + std::to_string(*info.view.rank_of(info.self)) +
        " of " + std::to_string(info.view.size()) + ", world " + std::to_string(info.world.size) +
        ", pending " + std::to_string(info.pending) + (one.calls().empty() ? "" : ", waits"));
  }
}

void Stage::watch(const Command& command) { watched_.insert(command.words.begin(), command.words.end()); }

}  // namespace hawser::scenarios
