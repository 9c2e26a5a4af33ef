/// Which calls a peer takes, and which it refuses: the engine is the judge, whatever face is above it.
#include <array>
#include <limits>
#include <string>

#include "base/limits.hpp"
#include "collective/residual.hpp"
#include "engine/call_check.hpp"
#include "engine/link_probing.hpp"
#include "lone_engine.hpp"

using namespace hawser;
using namespace hawser::test;

namespace {

/// Room for two shares of four elements.
std::array<float, 8> memory{};

std::byte* at(std::size_t element) { return reinterpret_cast<std::byte*>(memory.data() + element); }

/// In place, and nothing is wrong with it.
CollectiveStart sound_reduce(std::uint64_t tag = 0) {
  return {.call = {1000 + tag},
          .collective = {.signature = {.type = DataType::float32, .count = 4}, .send = at(0), .receive = at(0)},
          .tag = tag};
}

CollectiveStart sound_probe() {
  CollectiveStart start{.call = {2000}, .collective = {}, .tag = 99, .probing = std::make_shared<ProbeCall>()};
  start.collective.signature = {.collective = Collective::optimize, .type = DataType::uint8, .count = 1 << 20};
  return start;
}

/// How the engine answers at once; internal: it does not.
Error answer(LoneEngine& lone, const EngineEvent& event, CallId call) {
  lone.step(event);
  for (const EngineAction& action : lone.out())
    if (const auto* done = std::get_if<CallDone>(&action); done != nullptr && done->call == call) return done->error;
  return {};
}

Error answer(LoneEngine& lone, const CollectiveStart& start) { return answer(lone, start, start.call); }

bool says(const Error& error, Status status, const std::string& part) {
  INFO(error.sentence);
  CHECK(error.status == status);
  CHECK(error.sentence.find(part) != std::string::npos);
  return true;
}

}  // namespace

TEST_CASE("arguments that do not fit are refused, and the next call is as if nothing had been") {
  LoneEngine lone;
  CollectiveStart start = sound_reduce();
  CollectiveCall& call = start.collective;
  Signature& signature = call.signature;
  const auto refused = [&](Status status, const std::string& part) { says(answer(lone, start), status, part); };

  SECTION("no elements") {
    signature.count = 0;
    refused(Status::invalid_argument, "at least one element");
  }
  SECTION("a barrier with elements") {
    signature.collective = Collective::barrier;
    refused(Status::invalid_argument, "no elements");
  }
  SECTION("more elements than there is memory") {
    signature.count = std::numeric_limits<std::uint64_t>::max() / 8;
    refused(Status::invalid_argument, "address space");
  }
  SECTION("no such rank") {
    signature.collective = Collective::broadcast;
    signature.root = 2;
    refused(Status::invalid_argument, "no rank 2");
  }
  SECTION("null buffers") {
    call.send = nullptr;
    refused(Status::invalid_argument, "send buffer is null");
    call.send = at(0);
    call.receive = nullptr;
    refused(Status::invalid_argument, "receive buffer is null");
  }
  SECTION("a buffer that is not aligned") {
    call.send += 1;
    refused(Status::invalid_argument, "multiple");
  }
  SECTION("buffers that overlap in part") {
    call.receive = at(1);
    refused(Status::invalid_usage, "overlap");
  }
  SECTION("an all-gather in place anywhere but at this rank's share") {
    signature = {.collective = Collective::all_gather, .type = DataType::float32, .count = 4};
    call.send = at(4);
    refused(Status::invalid_usage, "share");
  }
  SECTION("a quantisation that does not go with the type") {
    signature.quantization = {.scheme = QuantizationScheme::cast, .type = QuantizedType::int8};
    refused(Status::invalid_argument, "cast");
  }
  SECTION("a residual without quantisation, or of another size") {
    start.residual = *Residual::create(4, DataType::float32);
    refused(Status::invalid_argument, "quantised");
    signature.quantization = {.scheme = QuantizationScheme::cast, .type = QuantizedType::bfloat16};
    start.residual = *Residual::create(5, DataType::float32);
    refused(Status::invalid_argument, "the residual is for 5");
  }
  SECTION("probes beyond their bounds") {
    start = sound_probe();
    start.probing->bounds.bytes_max = limits::kProbeBytesLeast - 1;
    refused(Status::invalid_argument, "a probe may have");
    start.probing->bounds = {.time_max = limits::kProbeTimeMax + milliseconds(1)};
    refused(Status::invalid_argument, "a probe may last");
  }
  SECTION("a view that is over") {
    start.epoch = {7};
    refused(Status::peer_lost, "epoch 7");
  }
  CHECK(answer(lone, sound_reduce()).status == Status::internal);
}

TEST_CASE("calls that do not go together are refused, and the first one goes on") {
  LoneEngine lone;

  SECTION("beside a collective") {
    REQUIRE(answer(lone, sound_reduce(3)).status == Status::internal);
    CollectiveStart again = sound_reduce(3);
    again.call = {5};
    says(answer(lone, again), Status::invalid_usage, "tag 3 is in flight");
    says(answer(lone, sound_probe()), Status::invalid_usage, "optimize-topology");
    says(answer(lone, UpdateTopologyCall{{6}}, {6}), Status::invalid_usage, "in flight");
    CHECK(answer(lone, sound_reduce(4)).status == Status::internal);
  }
  SECTION("beside an optimize-topology") {
    REQUIRE(answer(lone, sound_probe()).status == Status::internal);
    says(answer(lone, sound_reduce()), Status::invalid_usage, "optimize-topology is under way");
  }
  SECTION("beside an update-topology") {
    REQUIRE(answer(lone, UpdateTopologyCall{{6}}, {6}).status == Status::internal);
    CHECK(lone.engine().info().updating);
    says(answer(lone, sound_reduce()), Status::invalid_usage, "update-topology is under way");
    says(answer(lone, UpdateTopologyCall{{7}}, {7}), Status::invalid_usage, "update-topology is under way");
  }
  SECTION("more than may be in flight") {
    for (std::uint64_t tag = 0; tag < limits::kOpsInFlightMax; ++tag)
      REQUIRE(answer(lone, sound_reduce(tag)).status == Status::internal);
    says(answer(lone, sound_reduce(limits::kOpsInFlightMax)), Status::invalid_usage, "4096 collectives");
  }
}

TEST_CASE("a member neither connects nor sets terms") {
  LoneEngine lone;
  const ConnectCall connect{.call = {5}, .id = {9}, .token = 1, .address = {}, .prefetch = {}};
  says(answer(lone, connect, {5}), Status::invalid_usage, "connected already");
  CHECK(lone.engine().info().self != connect.id);
  says(answer(lone, SetTermCall{.call = {6}, .name = "a", .value = "1"}, {6}), Status::invalid_usage, "before connect");
}

TEST_CASE("who is no member is told why, and how to become one") {
  PeerEngine engine(EngineConfig{.name = "me"});
  EngineActions out;
  const auto answer_to = [&](const EngineEvent& event) {
    out.clear();
    engine.step(Instant{}, event, out);
    for (const EngineAction& action : out)
      if (const auto* done = std::get_if<CallDone>(&action)) return done->error;
    return Error{};
  };
  const auto call_all = [&](const std::string& part) {
    says(answer_to(sound_reduce()), Status::invalid_usage, part);
    says(answer_to(UpdateTopologyCall{{2}}), Status::invalid_usage, part);
    says(answer_to(WaitCall{.call = {3}, .wish = {.joiner = true}, .bound = {}}), Status::invalid_usage, part);
    says(engine.info().not_a_member, Status::invalid_usage, part);
  };
  call_all("call connect first");
  for (std::size_t i = 0; i < limits::kTermsMax; ++i)
    CHECK(answer_to(SetTermCall{.call = {4}, .name = "t" + std::to_string(i), .value = "1"}).status == Status::success);
  says(answer_to(SetTermCall{.call = {4}, .name = "more", .value = "1"}), Status::invalid_argument, "the most");
  CHECK(answer_to(SetTermCall{.call = {4}, .name = "t0", .value = {}}).status == Status::success);
  const ConnectCall connect{.call = {5}, .id = {9}, .token = 1, .address = {}, .prefetch = {}};
  REQUIRE(answer_to(connect).status == Status::internal);
  call_all("connect is under way");
  says(answer_to(connect), Status::invalid_usage, "connect is under way");
  says(answer_to(SetTermCall{.call = {6}, .name = "t0", .value = "1"}), Status::invalid_usage, "before connect");
}
