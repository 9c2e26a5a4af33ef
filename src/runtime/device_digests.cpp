#include <utility>
#include <vector>

#include "device_kernels/launches.hpp"
#include "runtime/device_tensors.hpp"

/// Digests that devices make themselves.
namespace hawser {
namespace {

constexpr std::uint64_t kDigestsBytes = DeviceTensors::kDigestedMost * kDigestBytes;
static_assert(kDigestsBytes <= DeviceTensors::kPieceBytes);

}  // namespace

std::span<const std::byte> DeviceTensors::memory_of(const StateContent& content, const Row& row) {
  const std::span<const std::byte> first = content.memory(row.first);
  const std::span<const std::byte> last =
      content.memory({.tensor = row.first.tensor, .slice = row.first.slice + row.slices - 1});
  return {first.data(), last.data() + last.size()};
}

bool DeviceTensors::can_digest() const {
  std::vector<device::Launch> launches;
  std::byte some{};
  device_kernels::digest_slices(launches, &some, 1, kContentSeed, &some);
  return devices_.runs(*launches.front().kernel);
}

Result<void> DeviceTensors::digest(StateContent& content, std::span<const Row> rows) {
  std::map<std::int32_t, std::vector<Row>> by_device;
  for (const Row& row : rows) by_device[content.tensors()[row.first.tensor].device].push_back(row);
  for (const auto& [device, its] : by_device) {
    std::span<const Row> left = its;
    while (!left.empty()) {
      std::size_t count = 0;
      for (std::uint64_t slices = 0; count < left.size(); ++count) {
        slices += left[count].slices;
        if (slices > kDigestedMost) break;
      }
      if (const auto digested = digest_some(content, device, left.first(count)); !digested.ok()) return digested;
      left = left.subspan(count);
    }
  }
  return {};
}

/// All launches, and then one copy for all of their digests.
Result<void> DeviceTensors::digest_some(StateContent& content, std::int32_t device, std::span<const Row> rows) {
  auto& memory = digests_[device];
  if (!memory) {
    auto made = devices_.allocate(device, kDigestsBytes);
    if (!made.ok()) return made.error();
    memory = std::move(*made);
  }
  std::vector<device::Launch> launches;
  std::uint64_t slices = 0;
  for (const Row& row : rows) {
    const std::span<const std::byte> bytes = memory_of(content, row);
    device_kernels::digest_slices(launches, bytes.data(), bytes.size(), kContentSeed,
                                  memory->bytes() + slices * kDigestBytes);
    slices += row.slices;
  }
  const PooledBuffer here = take();
  auto stream = make_stream(device);
  if (!stream.ok()) return stream.error();
  const auto done = [&]() -> Result<void> {
    for (const device::Launch& launch : launches)
      if (const auto put = (*stream)->launch(launch); !put.ok()) return put;
    if (const auto put = (*stream)->copy(here.get(), memory->bytes(), slices * kDigestBytes); !put.ok()) return put;
    const auto event = (*stream)->record();
    if (!event.ok()) return event.error();
    return wait(device, **stream, **event);
  }();
  end(device, std::move(*stream));
  if (!done.ok()) return done;
  std::span<const std::byte> digests(here.get(), slices * kDigestBytes);
  for (const Row& row : rows)
    for (std::uint64_t slice = 0; slice < row.slices; ++slice, digests = digests.subspan(kDigestBytes))
      content.digested({.tensor = row.first.tensor, .slice = row.first.slice + slice},
                       read_digest(digests.first<kDigestBytes>()));
  return {};
}

}  // namespace hawser
