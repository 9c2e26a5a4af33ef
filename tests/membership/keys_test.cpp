#include "base/loggable_text.hpp"
#include "membership/admission_rules.hpp"
#include "membership/keyed_bench.hpp"

/// Runs with keys: who may do what, and what a holder of one key cannot do in another's name.
namespace hawser {
namespace {

std::string refusal_of(MasterBench& bench, std::uint64_t peer) {
  return bench.closed(peer) && bench.count<Refused>(peer) > 0 ? bench.last<Refused>(peer).error.sentence : "";
}
/// What comes of a command that an operator gives.
std::string command(MasterBench& bench, OperatorVerb verb, const std::string& argument,
                    Role role = Role::run_operator) {
  bench.hold(kOperator, badge_of(kOperator, role));
  bench.open(kOperator);
  bench.say(kOperator, OperatorCommand{.verb = verb, .argument = argument});
  REQUIRE(bench.closed(kOperator));
  if (bench.count<CommandDone>(kOperator) == 0) return "refused: " + refusal_of(bench, kOperator);
  const std::string done = bench.last<CommandDone>(kOperator).sentence;
  bench.forget(kOperator);
  return done;
}

}  // namespace

TEST_CASE("in a run with keys whoever has proven none is not heard, and views name the keys") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 3);
  bench.found(3);
  for (const Member& member : bench.view(1).members) CHECK(member.key == key_of(member.id.value));
  for (const PeerMessage& message : {PeerMessage(Hello{bench.introduction(4)}), PeerMessage(StatusRequest{}),
                                     PeerMessage(OperatorCommand{}), PeerMessage(bench.memory(2))}) {
    bench.open(4);
    bench.say(4, message);
    CHECK(bench.closed(4));
    CHECK(bench.told(4).empty());
  }
  CHECK(bench.members(1) == Peers{1, 2, 3});
}

TEST_CASE("a member's id and token are of no use with another key") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 4);
  bench.found(3);
  // Peer 4 has learnt all that peer 2 ever said, and has a valid key of its own.
  bench.open(4);
  bench.say(4, bench.memory(2));
  CHECK(bench.closed(4));
  bench.open(4);
  bench.say(4, Hello{bench.introduction(2)});
  CHECK(bench.closed(4));
  CHECK_FALSE(bench.closed(2));
  // While peer 2 is away, too.
  bench.close(2);
  bench.open(4);
  bench.say(4, bench.memory(2));
  CHECK(bench.closed(4));
  bench.open(2);
  bench.say(2, bench.memory(2));
  CHECK_FALSE(bench.closed(2));
  CHECK(bench.members(1) == Peers{1, 2, 3});
}

TEST_CASE("after a restart of the master a member's place is for its key only") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 4);
  bench.found(3);
  MasterBench restart(kWithKeys, 2);
  all_hold(restart, 4);
  // Peer 4 knows all that peer 2 knows, and comes in its place, first or last.
  const Resume stolen = bench.memory(2);
  const bool is_first = GENERATE(false, true);
  const auto thief_comes = [&] {
    restart.open(4);
    restart.say(4, stolen);
    if (restart.count<Present>(4) > 0 && restart.last<Present>(4).view) restart.say(4, ViewPresented{bench.view(2)});
  };
  if (is_first) thief_comes();
  for (const std::uint64_t peer : {1, 3}) restart.come_back(bench, peer);
  if (!is_first) thief_comes();
  restart.pass(seconds(5));
  restart.present_outcomes({1, 3});
  restart.pass(seconds(6));
  CHECK(restart.members(1) == Peers{1, 3});
}

TEST_CASE("roles: an observer asks for the status only, a reader fetches only, a newcomer waits for an operator") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 2);
  bench.found(2);
  bench.hold(5, badge_of(5, Role::observer));
  bench.hello(5);
  CHECK(refusal_of(bench, 5).find("observer") != std::string::npos);
  bench.open(5);
  bench.say(5, StatusRequest{});
  CHECK(bench.count<RunStatus>(5) == 1);

  bench.hold(6, badge_of(6, Role::reader));
  bench.hello(6);
  CHECK(refusal_of(bench, 6).find("reader") != std::string::npos);
  bench.open(6);
  bench.say(6, StatusRequest{});
  CHECK(bench.count<RunStatus>(6) == 0);
  bench.hello_guest(6);
  bench.pass(milliseconds(100));
  bench.link(6);
  CHECK_FALSE(bench.closed(6));
  bench.say(6, PrefetchOver{});
  CHECK(bench.closed(6));

  bench.hold(7, badge_of(7, Role::newcomer));
  bench.hello_guest(7);
  bench.pass(milliseconds(100));
  bench.link(7);
  bench.say(7, PrefetchOver{});
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2});
  bench.open(8);
  bench.hold(8, badge_of(8, Role::observer));
  bench.open(8);
  bench.say(8, StatusRequest{});
  REQUIRE(bench.last<RunStatus>(8).pending.size() == 1);
  CHECK(bench.last<RunStatus>(8).pending[0].awaits == Awaits::permission);
  CHECK(command(bench, OperatorVerb::admit, to_string(key_of(7))).starts_with("admit "));
  bench.call_update({1, 2});
  CHECK(bench.members(1) == Peers{1, 2, 7});
  CHECK(bench.kept_rules().admitted_keys.contains(key_of(7)));
}

TEST_CASE("a key is for its groups, and an issued one for its name") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 2);
  bench.found(2);
  bench.hold(3, badge_of(3, Role::member, {0, 2}));
  bench.hello(3, 1);
  CHECK(refusal_of(bench, 3).find("not issued for group 1") != std::string::npos);
  bench.hello(3, 0);
  CHECK_FALSE(bench.closed(3));
  // It says that it is p1, and is shown as what it is.
  bench.hold(4, badge_of(4));
  bench.open(4);
  Introduction liar = bench.introduction(4);
  liar.name = "p1";
  bench.say(4, Hello{liar});
  bench.pass(milliseconds(100));
  bench.link(3);
  bench.link(4);
  bench.call_update({1, 2});
  const Member* const shown = bench.view(1).find({4});
  REQUIRE(shown != nullptr);
  CHECK(shown->name == "p4/p1");
}

TEST_CASE("a long name is cut between characters: others must be able to read it") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 3);
  bench.found(2);
  bench.open(3);
  Introduction named = bench.introduction(3);
  named.name = "x";
  for (int i = 0; i < 20; ++i) named.name += "\u20ac";
  bench.say(3, Hello{named});
  bench.pass(milliseconds(100));
  bench.link(3);
  bench.call_update({1, 2});
  const Member* const shown = bench.view(1).find({3});
  REQUIRE(shown != nullptr);
  CHECK(shown->name.starts_with("p3/x"));
  CHECK_FALSE(first_unloggable(shown->name));
}

TEST_CASE("a run that is drained, or has all its members, outlives a restart of its master") {
  AdmissionRules rules;
  if (GENERATE(false, true))
    rules.draining = true;
  else
    rules.members_max = 1;
  MasterBench bench(kWithKeys);
  all_hold(bench, 3);
  bench.found(3);
  MasterBench restart(kWithKeys, 2, rules);
  all_hold(restart, 4);
  for (const std::uint64_t peer : {1, 2, 3}) restart.come_back(bench, peer);
  restart.pass(seconds(5));
  restart.present_outcomes({1, 2, 3});
  restart.pass(seconds(6));
  CHECK(restart.members(1) == Peers{1, 2, 3});
  restart.hello(4);
  CHECK(restart.closed(4));
}

TEST_CASE("a run whose first peers have newcomers' keys begins when an operator admits them") {
  MasterBench bench(kWithKeys);
  for (const std::uint64_t peer : {1, 2}) {
    bench.hold(peer, badge_of(peer, Role::newcomer));
    bench.hello_guest(peer);
  }
  bench.pass(milliseconds(100));
  bench.say(1, PrefetchOver{});
  bench.say(2, PrefetchOver{});
  bench.link(1, 2);
  bench.pass(seconds(30));
  CHECK(bench.count<StartView>(1) == 0);
  for (const std::uint64_t peer : {1, 2})
    CHECK(command(bench, OperatorVerb::admit, to_string(key_of(peer))).starts_with("admit "));
  CHECK(bench.count<StartView>(1) > 0);
}

TEST_CASE("a banned key is out at once, and stays out through a restart") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 4);
  bench.found(3);
  bench.hello(4);
  CHECK(command(bench, OperatorVerb::ban, to_string(key_of(2))) ==
        "ban " + to_string(key_of(2)) + ": 1 peer was removed");
  CHECK(bench.closed(2));
  CHECK(bench.last<Expelled>(2).error.sentence.find("banned") != std::string::npos);
  CHECK(bench.members(1) == Peers{1, 3});
  bench.open(2);
  CHECK(bench.closed(2));
  CHECK(command(bench, OperatorVerb::ban, to_string(key_of(4))).ends_with("1 peer was removed"));
  CHECK(bench.closed(4));
  REQUIRE(bench.rules_kept() == 2);

  const auto kept = parse_rules(to_text(bench.kept_rules()));
  REQUIRE(kept.ok());
  MasterBench restart(kWithKeys, 2, *kept);
  all_hold(restart, 4);
  for (const std::uint64_t peer : {2, 4}) {
    restart.open(peer);
    CHECK(restart.closed(peer));
    CHECK(refusal_of(restart, peer).find("is banned from this run") != std::string::npos);
  }
  CHECK(command(restart, OperatorVerb::unban, to_string(key_of(2))) == "unban " + to_string(key_of(2)));
  restart.open(2);
  CHECK_FALSE(restart.closed(2));
}

TEST_CASE("operators kick by name, drain, and nobody else does") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 4);
  bench.found(3);
  for (const Role role : {Role::member, Role::observer, Role::reader, Role::newcomer})
    for (const OperatorVerb verb : {OperatorVerb::kick, OperatorVerb::ban, OperatorVerb::drain})
      CHECK(
          command(bench, verb, verb == OperatorVerb::ban ? to_string(key_of(1)) : "p1", role).find("operator's key") !=
          std::string::npos);
  CHECK(command(bench, OperatorVerb::ban, "p1").find("64 hexadecimal digits") != std::string::npos);
  CHECK(bench.members(1) == Peers{1, 2, 3});
  CHECK(bench.rules_kept() == 0);
  CHECK(command(bench, OperatorVerb::kick, "p3") == "kick p3: 1 peer was removed");
  CHECK(command(bench, OperatorVerb::kick, "p3") == "kick p3: 0 peers were removed");
  CHECK(bench.members(1) == Peers{1, 2});
  bench.hello(3);
  CHECK_FALSE(bench.closed(3));
  CHECK(command(bench, OperatorVerb::drain, "").starts_with("drain"));
  bench.hello(4);
  CHECK(refusal_of(bench, 4).find("drains") != std::string::npos);
  // Members come back meanwhile.
  bench.close(2);
  bench.open(2);
  bench.say(2, bench.memory(2));
  CHECK_FALSE(bench.closed(2));
  CHECK(command(bench, OperatorVerb::end_drain, "").starts_with("drain --end"));
  bench.hello(4);
  CHECK_FALSE(bench.closed(4));
  // Without keys there are no operators.
  MasterBench open_run;
  open_run.open(1);
  open_run.say(1, OperatorCommand{.verb = OperatorVerb::drain, .argument = ""});
  CHECK(refusal_of(open_run, 1).find("no keys") != std::string::npos);
}

TEST_CASE("many addresses together cannot make the master reckon without end, and a new one still gets through") {
  MasterBench bench(kWithKeys);
  all_hold(bench, 2);
  bench.found(2);
  std::uint64_t next = 1000;
  std::uint64_t taken = 0;
  // Two connections of each address, as fast as they come.
  for (std::uint64_t i = 0; i < 4000; ++i, ++next) {
    bench.come_from(next, "198.51.100." + std::to_string(i % 250));
    bench.open(next);
    if (bench.closed(next)) continue;
    ++taken;
    bench.close(next);
  }
  CHECK(taken <= static_cast<std::uint64_t>(limits::kHandshakesOfAllBurst / 2) + 250);
  bench.come_from(next, "203.0.113.7");
  bench.open(next);
  CHECK_FALSE(bench.closed(next));
}

TEST_CASE("rules: whom they allow and deny, and how many") {
  const AdmissionRules rules = *parse_rules(
      "# of the spring run\n\n  deny name  mallory \ndeny group 3\nallow name p1\nallow key " + to_string(key_of(2)) +
      "\nmembers-max 2\n");
  CHECK(to_text(rules) == to_text(*parse_rules(to_text(rules))));
  MasterBench bench(kWithKeys, 1, rules);
  all_hold(bench, 9);
  bench.hold(4, Badge{.key = key_of(4), .name = "mallory", .role = Role::member});
  for (const std::uint64_t peer : {3, 4}) {
    bench.open(peer);
    CHECK(bench.closed(peer));
  }
  bench.hello(1);
  bench.hello(2, 3);
  CHECK(refusal_of(bench, 2).find("group 3 is closed") != std::string::npos);
  bench.hello(2);
  CHECK_FALSE(bench.closed(2));
  bench.hold(9, Badge{.key = key_of(9), .name = "root", .role = Role::run_operator, .holds_secret = true});
  bench.hello(9);
  CHECK(refusal_of(bench, 9).find("has its 2 members") != std::string::npos);
  for (const char* const wrong :
       {"deny", "deny key 12", "deny name", "allow group x", "members-max 0", "drain now", "kick p1"})
    CHECK(parse_rules(std::string("allow name a\n") + wrong).error().sentence.starts_with("line 2 of the rules"));
}

}  // namespace hawser
