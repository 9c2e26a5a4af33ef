/// What a relay does with what members say that it is needed for.
#include <string>
#include <string_view>
#include <variant>

#include "../catch.hpp"
#include "base/limits.hpp"
#include "engine/peer_engine.hpp"

using namespace hawser;

namespace {

constexpr PeerId kRelay{9};

/// The engine of a relay without a network, in a view with members 1 and 2.
class LoneRelay {
 public:
  LoneRelay() : engine_({.name = "relay", .is_relay = true}) {
    engine_.step(now_, ConnectCall{.call = {1}, .id = kRelay, .token = 1, .address = {.host = "10.0.0.9", .port = 1},
                                   .prefetch = {}}, out_);
    engine_.step(now_, MasterUp{}, out_);
    say(Welcome{.run = {5}, .seen_host = "10.0.0.9"});
    view_.epoch = {1};
    view_.id = {77};
    for (const std::uint64_t id : {1, 2})
      view_.members.push_back({.id = PeerId{id}, .name = "m" + std::to_string(id),
                               .address = {.host = "10.0.0." + std::to_string(id), .port = 1}});
    view_.members.push_back(
        {.id = kRelay, .name = "relay", .address = {.host = "10.0.0.9", .port = 1}, .is_relay = true});
    say(StartView{.epoch = view_.epoch,
                  .id = view_.id,
                  .members = whole_list(view_.members),
                  .world = {.size = 2, .group_count = 1, .largest_group_size = 2},
                  .fingerprint = fingerprint(view_),
                  .calls_since = view_.epoch});
    REQUIRE(engine_.info().connected);
  }
  /// Whether the relay takes part in it; else what it logged.
  std::string calls(Signature signature) {
    say(RelayCall{.key = {.epoch = view_.epoch, .view = view_.id, .tag = tag_++, .sequence = 0},
                  .signature = signature});
    for (const EngineAction& action : out_)
      if (const auto* const log = std::get_if<LogEvent>(&action))
        if (std::string_view(log->what) == "relay-call-odd") return log->text;
    return {};
  }

 private:
  void say(MasterMessage message) {
    out_.clear();
    engine_.step(now_, MasterSaid{std::move(message)}, out_);
  }
  PeerEngine engine_;
  EngineActions out_;
  Instant now_ = Instant{} + seconds(100);
  View view_;
  std::uint64_t tag_ = 0;
};

Signature sum_of(std::uint64_t count, PlanKind plan = PlanKind::direct) {
  return {.type = DataType::float32, .plan = plan, .count = count};
}

}  // namespace

TEST_CASE("a relay takes part in nothing that has no relays in it, and says so") {
  LoneRelay relay;
  Signature gather = sum_of(1 << 20);
  gather.collective = Collective::all_gather;
  CHECK(relay.calls(gather).find("has none") != std::string::npos);
  CHECK(relay.calls(sum_of(1 << 20, PlanKind::ring)).find("are not") != std::string::npos);
  CHECK(relay.calls(sum_of(1 << 20)).empty());
}

TEST_CASE("a relay refuses what members call beyond its bound, before it takes memory, and takes part in the rest") {
  LoneRelay relay;
  std::uint64_t taken = 0;
  std::string why;
  // As large as a call with relays in its plan can be.
  Signature largest = sum_of((limits::kRelayedChunksMax * (128ULL << 10)) / 4);
  for (int calls = 0; calls < 100 && why.empty(); ++calls) {
    why = relay.calls(largest);
    taken += why.empty() ? 1 : 0;
  }
  INFO(why);
  CHECK(why.find("more at one time") != std::string::npos);
  CHECK(taken == limits::kRelayedChunksOfAllMax / limits::kRelayedChunksMax);
  // It keeps what it had, and hears of no harm.
  CHECK(relay.calls(sum_of(1 << 20)).find("more at one time") != std::string::npos);
}
