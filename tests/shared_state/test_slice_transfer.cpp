#include "shared_state/slice_transfer.hpp"

#include <array>

#include "catch.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/content.hpp"

/// Slices of devices: numbers, and addresses that nothing here may touch.
namespace hawser {
namespace {

constexpr std::int32_t kDevice = 3;
std::byte* const kNowhere = reinterpret_cast<std::byte*>(0x1000);
constexpr Instant kNow{seconds(1)};

/// The second of two members lacks one tensor on a device and one on the host, of one slice each.
struct Receiver {
  std::array<std::byte, 40> content{};
  std::array<std::byte, 40> host{};
  std::shared_ptr<TransferCall> call = std::make_shared<TransferCall>();
  std::unique_ptr<SliceTransfer> transfer;
  Execution::Output out;

  Receiver() {
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i);
    for (const bool on_device : {true, false}) {
      TransferPart& part = call->parts.emplace_back();
      part.data = on_device ? kNowhere : host.data();
      part.device = on_device ? kDevice : kOnHost;
      part.bytes = content.size();
      part.holders = {0};
      part.receivers = {1};
      part.digests = {digest_slice(content, kContentSeed)};
    }
    call->has = {false, false};
    transfer = std::make_unique<SliceTransfer>(call, 1, 2);
    transfer->ready(kNow, 0, out);
    REQUIRE(out.sends.size() == 2);
  }
  /// The only work that was asked for since the last one.
  Work work() {
    REQUIRE(out.works.size() == 1);
    Work one = std::move(out.works.front().work);
    out.works.clear();
    return one;
  }
  void arrive(std::uint64_t slice, const std::array<std::byte, 40>& bytes) {
    REQUIRE(transfer->judge(0, Direction::down, slice, bytes.size()) == Execution::Verdict::expected);
    transfer->arrived(kNow, 0, Direction::down, slice, {.bytes = bytes.data()}, out);
  }
  /// Runs it where it can be run here.
  std::optional<std::uint32_t> run_and_end(std::uint64_t slice, const Work& work) {
    WorkDesk desk;
    const WorkResult result = work.device == kOnHost ? run(work, desk) : WorkResult{};
    return transfer->worked(kNow, slice, result, out);
  }
};

}  // namespace

TEST_CASE("a slice for a device is checked on the host, and then uploaded") {
  Receiver one;
  CHECK(one.transfer->device_of(0) == kDevice);
  CHECK(one.transfer->landing(0, one.out) == nullptr);
  one.arrive(0, one.content);
  const Work check = one.work();
  CHECK(check.device == kOnHost);
  CHECK(check.steps.size() == 1);
  CHECK(!one.call->touched[0]);
  CHECK(!one.run_and_end(0, check));
  CHECK(!one.call->came[0]);
  const Work upload = one.work();
  CHECK(upload.device == kDevice);
  REQUIRE(upload.steps.size() == 1);
  const auto& copy = std::get<CopyBytes>(upload.steps.front());
  CHECK(copy.from == one.content.data());
  CHECK(copy.to == kNowhere);
  CHECK(copy.bytes == one.content.size());
  CHECK(one.call->touched[0]);
  // Another copy of it waits, and is forgotten.
  one.transfer->arrived(kNow, 0, Direction::down, 0, {.bytes = one.content.data()}, one.out);
  CHECK(one.out.works.empty());
  CHECK(!one.run_and_end(0, upload));
  CHECK(one.call->came[0]);
  CHECK(one.call->bytes_came == one.content.size());
  CHECK(one.call->bytes_again == one.content.size());
  CHECK(!one.transfer->complete());
}

TEST_CASE("a slice for a device that is not right does not get there") {
  Receiver one;
  std::array<std::byte, 40> wrong = one.content;
  wrong[7] ^= std::byte{1};
  one.arrive(0, wrong);
  CHECK(one.run_and_end(0, one.work()) == 0U);
  CHECK(one.out.works.empty());
  CHECK(!one.call->touched[0]);
  CHECK(one.call->bad.size() == 1);
}

TEST_CASE("in one transfer slices for the host land in their place") {
  Receiver one;
  CHECK(one.transfer->device_of(1) == kOnHost);
  REQUIRE(one.transfer->landing(1, one.out) == one.host.data());
  one.host = one.content;
  one.arrive(1, one.host);
  CHECK(!one.run_and_end(1, one.work()));
  CHECK(one.call->came[1]);
  CHECK(one.out.works.empty());
}

TEST_CASE("who serves from a device names it") {
  Receiver one;
  SliceTransfer holder(one.call, 0, 2);
  Execution::Output out;
  CHECK(holder.control_came(kNow, 1, FrameKind::want, 0, 1, out) == Execution::Heard::fine);
  REQUIRE(out.sends.size() == 1);
  const auto payload = holder.payload(Direction::down, 0, out);
  REQUIRE(payload);
  CHECK(payload->data() == kNowhere);
  CHECK(holder.device_of(0) == kDevice);
}

TEST_CASE("fewer slices are on their way to a device, whoever sends them") {
  CHECK(limits_on_device(1).asked_most == 32);
  CHECK(limits_on_device(4).asked_most == 8);
  CHECK(limits_on_device(16).asked_first == 2);
  CHECK(limits_on_device(100).asked_most == 1);
}

}  // namespace hawser
