#include "device_kernels/list_launches.hpp"

#include <memory>

#include "compared.hpp"
#include "run_launches.hpp"

namespace hawser::device_kernels {
namespace {

/// Tensors of any sizes at any places.
struct Tensors {
  std::vector<std::unique_ptr<GuardedBuffer>> buffers;
  std::vector<Segment> segments;
  std::vector<std::byte> content;  ///< Of all, one behind the other.

  void add(std::size_t bytes, std::size_t misalignment, Random& random) {
    const auto added = any_elements(DataType::uint8, bytes, random);
    buffers.push_back(std::make_unique<GuardedBuffer>(misalignment, added));
    segments.push_back({buffers.back()->data(), bytes});
    content.insert(content.end(), added.begin(), added.end());
  }
  bool guards_hold() const {
    return std::all_of(buffers.begin(), buffers.end(), [](const auto& buffer) { return buffer->guards_hold(); });
  }
};

void check_list(Tensors& tensors, std::size_t misalignment) {
  GuardedBuffer packed(misalignment, tensors.content.size());
  std::vector<device::Launch> launches;
  gather(launches, tensors.segments, packed.data());
  run_launches(launches);
  REQUIRE(packed.content() == tensors.content);
  REQUIRE(launches.size() <= tensors.segments.size() / 60 + 1);

  auto changed = tensors.content;
  for (std::byte& byte : changed) byte ^= std::byte{0x5a};
  packed.assign(changed);
  launches.clear();
  scatter(launches, packed.data(), tensors.segments);
  run_launches(launches);
  std::vector<std::byte> scattered;
  for (const auto& buffer : tensors.buffers) {
    const auto one = buffer->content();
    scattered.insert(scattered.end(), one.begin(), one.end());
  }
  REQUIRE(scattered == changed);
  REQUIRE((packed.guards_hold() && tensors.guards_hold()));
}

}  // namespace

TEST_CASE("lists of tensors are gathered and scattered, whatever their sizes and places") {
  Random random(1);
  std::size_t checked = 0;
  for (const std::size_t tensors : {0U, 1U, 2U, 59U, 60U, 61U, 130U, 200U})
    for (std::size_t granularity = 1; granularity <= 16; granularity *= 2)
      for (const std::size_t most : {10U, 600U, 5000U}) {
        Tensors list;
        for (std::size_t i = 0; i < tensors; ++i)
          list.add(random.below(most) / granularity * granularity, random.below(64) / granularity * granularity,
                   random);
        check_list(list, random.below(64) / granularity * granularity);
        ++checked;
      }
  CHECK(checked == 8 * 5 * 3);
}

TEST_CASE("large tensors are copied by many blocks") {
  Random random(2);
  std::size_t checked = 0;
  for (const std::size_t bytes : {32767U, 32768U, 32769U, 65536U, 300001U})
    for (const std::size_t misalignment : {0U, 1U, 2U, 4U, 6U, 16U}) {
      Tensors list;
      list.add(bytes, misalignment, random);
      list.add(7, 0, random);
      list.add(bytes * 2, 8, random);
      check_list(list, 0);
      ++checked;
    }
  CHECK(checked == 5 * 6);
}

TEST_CASE("a copy onto itself is no launch") {
  std::byte byte{};
  std::vector<device::Launch> launches;
  copy(launches, &byte, &byte, 1);
  CHECK(launches.empty());
}

}  // namespace hawser::device_kernels
