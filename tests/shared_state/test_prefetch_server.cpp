#include "catch.hpp"
#include "shared_state/prefetch_server.hpp"

namespace hawser {
namespace {

constexpr std::size_t kMiB = 1 << 20;

/// A server with one guest that wants everything, on a link that takes whatever comes after a millisecond.
class Serving {
 public:
  explicit Serving(double share) : server(share), bytes_(64 * kMiB) {
    offer_ = std::make_shared<StateOffer>();
    offer_->revision = 1;
    offer_->catalog.resize(100);
    offer_->tensors.push_back({.data = bytes_.data(), .bytes = bytes_.size(), .first_slice = 0});
    offer_->slices = 64;
    server.guests({guest});
    std::vector<PrefetchSend> sends;
    server.offer(now, offer_, sends);
    server.ready(now, guest, sends);
    key_ = sends.back().frame.key;
  }

  void want_all() {
    std::vector<PrefetchSend> sends;
    for (std::uint64_t chunk = 1; chunk <= 64; ++chunk) {
      FrameHeader frame;
      frame.kind = FrameKind::want;
      frame.key = key_;
      frame.chunk = chunk;
      REQUIRE(server.want(now, guest, frame, sends));
    }
    took(sends);
  }
  /// Lets so much time pass; answers how many chunks went.
  std::size_t pass(Duration time) {
    std::size_t went = 0;
    for (const Instant end = now + time; now < end;) {
      now += milliseconds(1);
      std::vector<PrefetchSend> sends;
      for (const FrameHeader& frame : std::exchange(flying_, {})) server.arrived(now, guest, frame, sends);
      server.tick(now, sends);
      went += sends.size();
      took(sends);
    }
    return went;
  }

  const PeerId guest{7};
  Instant now{seconds(100)};
  PrefetchServer server;

 private:
  void took(const std::vector<PrefetchSend>& sends) {
    for (const PrefetchSend& send : sends) flying_.push_back(send.frame);
  }

  std::vector<std::byte> bytes_;
  std::shared_ptr<StateOffer> offer_;
  OpKey key_;
  std::vector<FrameHeader> flying_;
};

/// Training has shown 100 MiB/s.
void show_traffic(Serving& serving) {
  for (int i = 0; i < 1000; ++i) {
    serving.now += milliseconds(1);
    serving.server.uplink().moved(serving.now, kMiB / 10);
  }
}

}  // namespace

TEST_CASE("guests get their share of what the uplink has shown, and a quarter of it beside collectives") {
  Serving serving(0.2);
  show_traffic(serving);
  serving.want_all();
  // 20 MiB/s.
  const std::size_t in_a_second = serving.pass(seconds(1));
  CHECK(in_a_second >= 18);
  CHECK(in_a_second <= 22);
  serving.server.training(true);
  const std::size_t beside_training = serving.pass(seconds(2));
  CHECK(beside_training >= 9);
  CHECK(beside_training <= 12);
}

TEST_CASE("pauses say nothing of an uplink's speed, and slices only as long as nothing else is known") {
  UplinkMeter meter;
  Instant now{seconds(100)};
  meter.slice_took(kMiB, milliseconds(10));
  CHECK(meter.bytes_per_second() == Approx(100.0 * kMiB));
  for (int i = 0; i < 300; ++i) meter.moved(now += milliseconds(1), kMiB / 100);
  CHECK(meter.bytes_per_second() == Approx(10.0 * kMiB).epsilon(0.1));
  for (int i = 0; i < 100; ++i) meter.moved(now += seconds(1), 100);
  CHECK(meter.bytes_per_second() == Approx(10.0 * kMiB).epsilon(0.1));
}

TEST_CASE("an offer that is over serves nobody any more") {
  Serving serving(0.5);
  serving.want_all();
  std::vector<PrefetchSend> sends;
  const auto key = serving.server.offer(serving.now, nullptr, sends);
  REQUIRE(key.has_value());
  REQUIRE(sends.size() == 1);
  CHECK(sends.front().frame.kind == FrameKind::have);
  CHECK(sends.front().frame.count == 0);
  FrameHeader late;
  late.kind = FrameKind::want;
  late.key = *key;
  sends.clear();
  CHECK(serving.server.want(serving.now, serving.guest, late, sends));
  CHECK(sends.empty());
  CHECK_FALSE(serving.server.next_deadline().has_value());
}

TEST_CASE("a guest that wants what does not exist is refused") {
  Serving serving(0.5);
  std::vector<PrefetchSend> sends;
  serving.server.ready(serving.now, serving.guest, sends);
  FrameHeader frame;
  frame.kind = FrameKind::want;
  frame.key = sends.back().frame.key;
  frame.chunk = 65;
  CHECK_FALSE(serving.server.want(serving.now, serving.guest, frame, sends));
}

TEST_CASE("a catalog is that of its content, and nothing else passes for one") {
  std::vector<float> values(600000, 2);
  auto content = StateContent::create({{.name = "a", .type = DataType::float32, .count = 0},
                                       {.name = "w",
                                        .type = DataType::float32,
                                        .count = values.size(),
                                        .data = reinterpret_cast<std::byte*>(values.data())}});
  REQUIRE(content.ok());
  for (const StateContent::Slice slice : (*content)->stale()) (*content)->digest(slice);
  (*content)->all_digested();
  const auto offer = make_offer(**content, 3);
  const auto catalog = decode_catalog(offer->catalog);
  REQUIRE(catalog.ok());
  CHECK(catalog->manifest.revision == 3);
  CHECK(catalog->digests.size() == 3);
  CHECK(offer->chunks() == 4);
  CHECK(offer->payload(3).size() == 4 * values.size() - 2 * kMiB);
  for (std::size_t at = 0; at < offer->catalog.size(); ++at) {
    auto damaged = offer->catalog;
    damaged[at] ^= std::byte{0x40};
    const auto other = decode_catalog(damaged);
    // What can be another catalog is another one.
    if (other.ok()) CHECK_FALSE(other->manifest == catalog->manifest);
  }
  for (std::size_t bytes = 0; bytes < offer->catalog.size(); ++bytes)
    CHECK_FALSE(decode_catalog({offer->catalog.data(), bytes}).ok());
}

}  // namespace hawser
