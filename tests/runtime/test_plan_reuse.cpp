/// One engine without a network: the test is its master and its neighbour.
#include "../catch.hpp"
#include "runtime/peer_engine.hpp"

using namespace hawser;

namespace {

class LoneEngine {
 public:
  LoneEngine() {
    engine_.step(now_, ConnectCall{.call = {1}, .id = kMe, .token = 1, .address = {.host = "10.0.0.1", .port = 1}, .prefetch = {}}, out_);
    engine_.step(now_, MasterUp{}, out_);
    say(Welcome{.run = {5}, .seen_host = "10.0.0.1"});
    view_.epoch = {1};
    view_.id = {77};
    view_.members = {{.id = kMe, .name = "me", .address = {.host = "10.0.0.1", .port = 1}},
                     {.id = kOther, .name = "other", .address = {.host = "10.0.0.2", .port = 1}}};
    say(Prepare{view_});
    engine_.step(now_, LinkUp{.connection = {.peer = kOther, .index = 0}, .round_trip = milliseconds(10)}, out_);
    say(StartView{.view = view_, .world = {.size = 2, .group_count = 1, .largest_group_size = 2}, .cause = {}});
    REQUIRE(engine_.info().connected);
  }

  /// Calls an all-reduce, and the master commits it, whatever is there. Then plans follow that version.
  void all_reduce(std::uint64_t elements, std::uint64_t measures = 0, Quantization quantization = {}) {
    values_.assign(elements, 1.0F);
    CollectiveStart start{.call = {++calls_}, .collective = {}, .tag = 0, .compress = false, .epoch = {}, .transfer = {}};
    start.collective.signature = {.type = DataType::float32, .count = elements, .quantization = quantization};
    start.collective.send = reinterpret_cast<const std::byte*>(values_.data());
    start.collective.receive = reinterpret_cast<std::byte*>(values_.data());
    engine_.step(now_, start, out_);
    const OpKey key{.epoch = view_.epoch, .view = view_.id, .tag = 0, .sequence = sequence_++};
    say(Committed{.key = key, .measures = measures});
  }

  void say(MasterMessage message) {
    out_.clear();
    engine_.step(now_, MasterSaid{std::move(message)}, out_);
  }
  std::uint64_t plans_made() const { return engine_.info().plans_made; }
  const View& view() const { return view_; }

 private:
  static constexpr PeerId kMe{1};
  static constexpr PeerId kOther{2};
  PeerEngine engine_{EngineConfig{.name = "me"}};
  EngineActions out_;
  Instant now_ = Instant{} + seconds(100);
  View view_;
  std::uint64_t calls_ = 1;
  std::uint64_t sequence_ = 0;
  std::vector<float> values_;
};

LinkRow row_of(std::uint64_t rate) {
  return {.bytes_per_second = {rate, rate},
          .delay_ns = {5'000'000, 5'000'000},
          .uplink_bytes_per_second = rate,
          .downlink_bytes_per_second = rate};
}

}  // namespace

TEST_CASE("a call that repeats is planned once, until something that its plan depends on has changed") {
  LoneEngine engine;
  engine.all_reduce(1000);
  CHECK(engine.plans_made() == 1);
  engine.all_reduce(1000);
  CHECK(engine.plans_made() == 1);
  engine.all_reduce(1001);
  CHECK(engine.plans_made() == 2);
  const Quantization bytes{.scheme = QuantizationScheme::min_max, .type = QuantizedType::uint8};
  engine.all_reduce(1000, 0, bytes);
  CHECK(engine.plans_made() == 3);
  engine.all_reduce(1000, 0, bytes);
  CHECK(engine.plans_made() == 3);

  Measures measures{.view = engine.view().id, .version = 1, .rows = {row_of(1'000'000), row_of(1'000'000)}};
  measures.rows[0].bytes_per_second[0] = measures.rows[0].delay_ns[0] = 0;
  measures.rows[1].bytes_per_second[1] = measures.rows[1].delay_ns[1] = 0;
  engine.say(measures);
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 3);
  // What the commit named holds for the next one.
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 4);
  engine.all_reduce(1000, 1);
  CHECK(engine.plans_made() == 4);
}
