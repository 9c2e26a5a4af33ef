// hawser-hostile: what strangers and broken networks cost a run. One binary in several roles: it starts itself again as
// master, members and strangers.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>

#include "churn/die_with_parent.hpp"
#include "churn/enter_network.hpp"
#include "hostile/bench_lab.hpp"
#include "hostile/flood_messages.hpp"
#include "hostile/options.hpp"
#include "wan/plain_lab.hpp"

namespace hawser::hostile {
namespace {

std::map<std::string, FloodKind> flood_names() {
  std::map<std::string, FloodKind> names;
  for (const FloodKind kind :
       {FloodKind::opens, FloodKind::half_messages, FloodKind::pings, FloodKind::hellos, FloodKind::long_hellos,
        FloodKind::resumes, FloodKind::half_views, FloodKind::statuses, FloodKind::tar_pits, FloodKind::handshakes,
        FloodKind::names, FloodKind::garbage})
    names[flood_name(kind)] = kind;
  return names;
}

void add_member(CLI::App& app, MemberOptions& o) {
  app.add_option("--master", o.master)->required();
  app.add_option("--name", o.name);
  app.add_option("--address", o.address);
  app.add_option("--network", o.network);
  app.add_option("--port", o.port);
  app.add_option("--elements", o.elements);
  app.add_option("--state-bytes", o.state_bytes);
  app.add_option("--steps", o.steps);
  app.add_flag("--resolver-hangs", o.resolver_hangs);
  app.add_flag("--idle", o.is_idle);
  app.add_option("--first-of", o.first_of);
}

void add_flooder(CLI::App& app, FlooderOptions& o) {
  app.add_option("--target", o.targets)->required();
  app.add_option("--kind", o.kind)->transform(CLI::CheckedTransformer(flood_names()));
  app.add_option("--source", o.sources);
  app.add_option("--source-network", o.networks);
  app.add_option("--opens", o.opens_per_second);
  app.add_option("--connections", o.connections);
  app.add_option("--pings", o.pings_per_second);
  app.add_option("--messages", o.messages_per_second);
  app.add_option("--seconds", o.seconds);
  app.add_flag("--keeps", o.keeps);
  app.add_flag("--counts", o.counts);
  app.add_flag("--holds", o.holds);
  app.add_flag("--deaf", o.is_deaf);
}

void add_log(CLI::App& app, std::string& log) {
  app.add_option("--log", log, "append what all processes say and log to this file");
}

void add_flood_bench(CLI::App& app, FloodBenchOptions& o) {
  app.add_option("--only", o.only, "some of the floods, by name, with commas")->delimiter(',');
  app.add_option("--pairs", o.pairs, "slices of each flood, and as many of the same at a port that discards everything")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--slice-s", o.slice_s, "seconds of one slice")->capture_default_str()->check(CLI::Range(1.0, 600.0));
  app.add_option("--pause-s", o.pause_s, "seconds after a slice that are not counted")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 600.0));
  app.add_option("--sources", o.sources, "addresses that a flood from many comes from")
      ->capture_default_str()
      ->check(CLI::Range(1, 200));
  app.add_option("--messages", o.messages_per_second, "of garbage, a second in all")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 10e6));
  app.add_flag("--keys", o.keys, "the run has a secret, and the strangers have none");
  add_log(app, o.log);
}

void add_interruptions(CLI::App& app, InterruptionBenchOptions& o) {
  app.add_option("--resets", o.resets, "of members' connections to the master, one after the other")
      ->capture_default_str();
  app.add_option("--pauses", o.pauses_s, "seconds that the master stands still, one pause after the other, with commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--members", o.members)->capture_default_str()->check(CLI::Range(2, 40));
  app.add_option("--wan", o.wan, "in an emulated network by this spec; root");
  add_log(app, o.log);
}

// Before it has a thread.
void become_child(const std::string& network) {
  churn::die_with_parent();
  if (!network.empty()) churn::enter_network(network);
}

int dispatch(int argc, char** argv) {
  CLI::App app{"What strangers and broken networks cost a run: measured with real processes on this machine. Linux."};
  app.require_subcommand(1);
  FloodBenchOptions flood;
  MemberOptions member;
  OperatorOptions status;
  MasterOptions master;
  SinkOptions sink;
  FlooderOptions flooder;
  CLI::App* const flood_app = app.add_subcommand("flood", "steps of members while strangers flood their master; root");
  add_flood_bench(*flood_app, flood);
  CostBenchOptions cost;
  CLI::App* const cost_app =
      app.add_subcommand("costs", "what a message of a stranger costs the master, on the loopback");
  cost_app->add_option("--seconds", cost.seconds, "of each message")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 600.0));
  add_log(*cost_app, cost.log);
  MemoryBenchOptions memory;
  CLI::App* const memory_app =
      app.add_subcommand("memory", "what strangers make a master keep, on the loopback; fails above 64 KiB for each");
  memory_app->add_option("--connections", memory.connections, "of strangers")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  add_log(*memory_app, memory.log);
  SetupBenchOptions setup;
  CLI::App* const setup_app = app.add_subcommand("setup", "how soon peers on awkward networks are one group; root");
  setup_app->add_option("--runs", setup.runs, "of each")->capture_default_str()->check(CLI::Range(1, 10'000));
  setup_app->add_option("--bound-s", setup.bound_s, "a run that takes longer fails")->capture_default_str();
  setup_app->add_option("--only", setup.only, "loopback or one-nat")->delimiter(',');
  add_log(*setup_app, setup.log);
  FirstBenchOptions first;
  CLI::App* const first_app = app.add_subcommand(
      "first", "peers that begin together on a long path: how soon they are in and have reduced, in plain and under "
               "TLS; root");
  first_app->add_option("--runs", first.runs, "of each")->capture_default_str()->check(CLI::Range(1, 10'000));
  first_app->add_option("--peers", first.peers)->capture_default_str()->check(CLI::Range(2, 64));
  first_app->add_option("--round-trip-ms", first.round_trip_ms)->capture_default_str()->check(CLI::Range(1.0, 1000.0));
  add_log(*first_app, first.log);
  InterruptionBenchOptions interruption;
  CLI::App* const interruption_app = app.add_subcommand(
      "interruptions", "members' connections to the master are reset, and the master stands still: nobody is lost");
  add_interruptions(*interruption_app, interruption);
  TagsBenchOptions tags;
  CLI::App* const tags_app = app.add_subcommand("tags", "what many collectives in flight at once cost the master");
  tags_app->add_option("--members", tags.members)->capture_default_str()->check(CLI::Range(2, 64));
  tags_app->add_option("--tags", tags.tags, "in flight at once")->capture_default_str()->check(CLI::Range(1, 4096));
  tags_app->add_option("--rounds", tags.rounds)->capture_default_str()->check(CLI::Range(1, 1000));
  add_log(*tags_app, tags.log);
  const auto internal = [&app](const char* name) { return app.add_subcommand(name, "internal")->group(""); };
  CLI::App* const member_app = internal("member");
  add_member(*member_app, member);
  TagsOptions tags_member;
  CLI::App* const tags_member_app = internal("tags-member");
  tags_member_app->add_option("--master", tags_member.master);
  tags_member_app->add_option("--name", tags_member.name);
  tags_member_app->add_option("--members", tags_member.members);
  tags_member_app->add_option("--tags", tags_member.tags);
  tags_member_app->add_option("--rounds", tags_member.rounds);
  tags_member_app->add_flag("--late", tags_member.is_late);
  CLI::App* const operator_app = internal("operator");
  operator_app->add_option("--master", status.master)->required();
  operator_app->add_option("--network", status.network);
  operator_app->add_option("--period-ms", status.period_ms);
  CLI::App* const master_app = internal("master");
  master_app->add_option("--listen", master.listen);
  master_app->add_option("--network", master.network);
  CLI::App* const sink_app = internal("sink");
  sink_app->add_option("--listen", sink.listen);
  sink_app->add_option("--network", sink.network);
  CLI::App* const flooder_app = internal("flooder");
  add_flooder(*flooder_app, flooder);
  CLI11_PARSE(app, argc, argv);

  if (member_app->parsed()) return become_child(member.network), run_member(member);
  if (operator_app->parsed()) return become_child(status.network), run_operator(status);
  if (master_app->parsed()) return become_child(master.network), run_master(master);
  if (sink_app->parsed()) return become_child(sink.network), run_sink(sink);
  if (flooder_app->parsed()) return become_child({}), run_flooder(flooder);
  if (tags_member_app->parsed()) return become_child({}), run_tags_member(tags_member);
  if (cost_app->parsed()) return run_cost_bench(cost);
  if (memory_app->parsed()) return run_memory_bench(memory);
  if (setup_app->parsed()) return run_setup_bench(setup);
  if (first_app->parsed()) return run_first_bench(first);
  if (interruption_app->parsed()) return run_interruption_bench(interruption);
  if (tags_app->parsed()) return run_tags_bench(tags);
  return run_flood_bench(flood);
}

}  // namespace
}  // namespace hawser::hostile

int main(int argc, char** argv) {
  hawser::allow_plain_in_lab();
  try {
    return hawser::hostile::dispatch(argc, argv);
  } catch (const hawser::hostile::NoLab& none) {
    std::fprintf(stderr, "hawser-hostile: %s\n", none.why.c_str());
    return none.exit_status;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "hawser-hostile: %s\n", e.what());
    return 70;
  }
}
