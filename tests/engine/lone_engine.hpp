#pragma once

#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

#include "../catch.hpp"
#include "engine/peer_engine.hpp"

namespace hawser::test {

/// One engine without a network: the test is its master and its neighbour.
class LoneEngine {
 public:
  explicit LoneEngine(EngineConfig config = {.name = "me"}, std::uint64_t relays = 0) : engine_(std::move(config)) {
    engine_.step(
        now_,
        ConnectCall{.call = {1}, .id = kMe, .token = 1, .address = {.host = "10.0.0.1", .port = 1}, .prefetch = {}},
        out_);
    engine_.step(now_, MasterUp{}, out_);
    say(Welcome{.run = {5}, .seen_host = "10.0.0.1"});
    view_.epoch = {1};
    view_.id = {77};
    view_.members = {{.id = kMe, .name = "me", .address = {.host = "10.0.0.1", .port = 1}},
                     {.id = kOther, .name = "other", .address = {.host = "10.0.0.2", .port = 1}}};
    for (std::uint64_t relay = 0; relay < relays; ++relay)
      view_.members.push_back({.id = PeerId{10 + relay},
                               .name = "relay",
                               .address = {.host = "10.0.0.3", .port = 1},
                               .is_relay = true});
    start_view({}, view_.epoch);
    engine_.step(now_, LinkUp{.connection = {.peer = kOther, .index = 0}, .round_trip = milliseconds(10)}, out_);
    REQUIRE(engine_.info().connected);
  }

  /// The next view: with one relay less, or as the last one was.
  void next_view(bool without_a_relay, const Error& cause, Epoch calls_since) {
    ++view_.epoch.value;
    ++view_.id.value;
    if (without_a_relay) view_.members.pop_back();
    start_view(cause, calls_since);
  }

  /// Calls an all-reduce, and the master commits it, whatever is there. Then plans follow that version.
  void all_reduce(std::uint64_t elements, std::uint64_t measures = 0, Quantization quantization = {}) {
    values_.assign(elements, 1.0F);
    CollectiveStart start{
        .call = {++calls_}, .collective = {}, .tag = 0, .compress = false, .epoch = {}, .transfer = {}};
    start.collective.signature = {.type = DataType::float32, .count = elements, .quantization = quantization};
    start.collective.send = reinterpret_cast<const std::byte*>(values_.data());
    start.collective.receive = reinterpret_cast<std::byte*>(values_.data());
    step(start);
    const OpKey key{.epoch = view_.epoch, .view = view_.id, .tag = 0, .sequence = sequence_++};
    say(Committed{.key = key, .measures = measures});
    engine_.call_told(start.call);
  }

  void say(MasterMessage message) { step(MasterSaid{std::move(message)}); }
  // Links, as a driver would tell of them. What the engine wants then is in out().
  void link_up(std::uint32_t index, std::uint64_t incarnation = 0) {
    step(LinkUp{.connection = {.peer = kOther, .index = index}, .incarnation = incarnation});
  }
  void link_down(std::uint32_t index, std::uint64_t incarnation = 0) {
    step(LinkDown{.connection = {.peer = kOther, .index = index}, .incarnation = incarnation, .reason = "a test"});
  }
  Landing frame_begins(std::uint32_t index, const FrameHeader& header) {
    out_.clear();
    const Landing landing = engine_.frame_begins(now_, {.peer = kOther, .index = index}, header, out_);
    run_works();
    return landing;
  }
  void frame_ends(std::uint32_t index, bool intact = true) {
    out_.clear();
    engine_.frame_ends(now_, {.peer = kOther, .index = index}, intact, out_);
    run_works();
  }
  /// Of the collective that this peer calls next.
  FrameHeader next_chunk(std::uint64_t chunk, std::uint32_t bytes) const {
    FrameHeader header;
    header.key = {.epoch = view_.epoch, .view = view_.id, .tag = 0, .sequence = sequence_};
    header.signature = 1;
    header.chunk = chunk;
    header.payload_bytes = bytes;
    return header;
  }
  template <class Action>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        out_.begin(), out_.end(), [](const EngineAction& action) { return std::holds_alternative<Action>(action); }));
  }
  void step(const EngineEvent& event) {
    out_.clear();
    engine_.step(now_, event, out_);
    run_works();
  }
  /// Nobody is told of the ends of calls: call_told() is the test's to say.
  const EngineActions& out() const { return out_; }
  PeerEngine& engine() { return engine_; }
  /// From now on works are done when the test says so.
  void hold_works() { holds_works_ = true; }
  const std::vector<RunWork>& held() const { return held_; }
  void finish(std::size_t held) {
    const RunWork one = std::move(held_[held]);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(held));
    const WorkResult result = run(one.work, desk_);
    step(WorkDone{.token = one.token, .result = result});
  }

  std::uint64_t plans_made() const { return engine_.info().plans_made; }
  const View& view() const { return view_; }

 private:
  void start_view(const Error& cause, Epoch calls_since) {
    say(StartView{.epoch = view_.epoch,
                  .id = view_.id,
                  .members = whole_list(view_.members),
                  .world = {.size = 2, .group_count = 1, .largest_group_size = 2},
                  .cause = cause,
                  .fingerprint = fingerprint(view_),
                  .calls_since = calls_since});
  }
  /// At once, as a driver without further threads does.
  void run_works() {
    for (std::size_t i = 0; i < out_.size(); ++i) {
      const auto* ordered = std::get_if<RunWork>(&out_[i]);
      if (ordered == nullptr) continue;
      if (holds_works_) {
        held_.push_back(*ordered);
        continue;
      }
      const WorkToken token = ordered->token;
      const WorkResult result = run(ordered->work, desk_);
      engine_.step(now_, WorkDone{.token = token, .result = result}, out_);
    }
  }

  static constexpr PeerId kMe{1};
  static constexpr PeerId kOther{2};
  PeerEngine engine_;
  EngineActions out_;
  WorkDesk desk_;
  Instant now_ = Instant{} + seconds(100);
  View view_;
  std::uint64_t calls_ = 1;
  std::uint64_t sequence_ = 0;
  std::vector<float> values_;
  bool holds_works_ = false;
  std::vector<RunWork> held_;
};

}  // namespace hawser::test
