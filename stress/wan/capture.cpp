#include "wan/capture.hpp"

#include <array>
#include <cstdint>
#include <utility>

namespace hawser::wan {
namespace {

constexpr std::uint32_t kLengthMax = 1 << 18;
constexpr std::uint32_t kLinkTypeRaw = 101;

void write_words(std::ofstream& file, std::span<const std::uint32_t> words) {
  file.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(words.size_bytes()));
}

}  // namespace

Result<Capture> Capture::make(const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  constexpr std::uint32_t kVersion = 2 | 4 << 16;
  write_words(file, std::array<std::uint32_t, 6>{0xa1b2c3d4, kVersion, 0, 0, kLengthMax, kLinkTypeRaw});
  if (!file) return Error{.status = Status::system, .sentence = "cannot write " + path};
  return Capture(std::move(file));
}

void Capture::add(Duration since, std::span<const std::byte> packet) {
  const auto us = static_cast<std::uint64_t>(since / microseconds(1));
  const auto bytes = static_cast<std::uint32_t>(packet.size());
  write_words(file_, std::array<std::uint32_t, 4>{static_cast<std::uint32_t>(us / 1'000'000),
                                                  static_cast<std::uint32_t>(us % 1'000'000), bytes, bytes});
  file_.write(reinterpret_cast<const char*>(packet.data()), static_cast<std::streamsize>(packet.size()));
}

bool Capture::finish() {
  file_.flush();
  return file_.good();
}

}  // namespace hawser::wan
