#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <string_view>

#include "catch.hpp"
#include "device_kernels/kernels.hpp"

namespace hawser::device_kernels {
namespace {

/// As a fatbin begins: magic, version, bytes of this header, bytes after it.
struct FatbinHeader {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_bytes;
  std::uint64_t bytes;
};

std::string_view image_bytes(const void* image) {
  FatbinHeader header{};
  std::memcpy(&header, image, sizeof header);
  REQUIRE(header.magic == 0xba55ed50);
  return {static_cast<const char*>(image), header.header_bytes + header.bytes};
}

}  // namespace

TEST_CASE("every kernel has a name of its own and code for the host") {
  std::set<std::string> names;
  for (const device::Kernel* kernel : all_kernels()) {
    CHECK(kernel->run_block != nullptr);
    CHECK(names.insert(kernel->name).second);
  }
  CHECK(names.size() >= 16);
}

TEST_CASE("the image for GPUs has every kernel under its name, for each architecture") {
  // Without a compiler for GPUs there is none.
  if (all_kernels().front()->image == nullptr) return;
  const std::string_view image = image_bytes(all_kernels().front()->image);
  for (const device::Kernel* kernel : all_kernels()) {
    INFO(kernel->name);
    CHECK(kernel->image == all_kernels().front()->image);
    // Each architecture's code has a section of that name.
    const std::string section = std::string(".text.") + kernel->name + '\0';
    std::size_t found = 0;
    for (auto at = image.find(section); at != std::string_view::npos; at = image.find(section, at + 1)) ++found;
    CHECK(found >= 3);
  }
}

}  // namespace hawser::device_kernels
