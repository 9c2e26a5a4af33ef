#include "state_content.hpp"

#include <algorithm>
#include <cstring>

#include "call_names.hpp"
#include "digest.hpp"

namespace hawser::churn {
namespace {

// Two bits of each byte: what zstd makes four times smaller.
constexpr std::uint64_t kFewBits = 0x0303030303030303u;
constexpr std::uint64_t kWordBytes = sizeof(std::uint64_t);

std::uint64_t stretches_of(std::uint64_t bytes) { return (bytes + kStretchBytes - 1) / kStretchBytes; }

/// The last step, up to this one, in which the stretch had its turn; all have it in step 0.
std::uint64_t last_turn(std::uint64_t stretch, std::uint64_t stretches, std::uint64_t step) {
  if (step < stretch) return 0;
  return step - (step - stretch) % stretches;
}

template <class Byte>
std::span<Byte> stretch_of(std::span<Byte> tensor, std::uint64_t stretch) {
  const std::uint64_t begin = stretch * kStretchBytes;
  return tensor.subspan(begin, std::min<std::uint64_t>(kStretchBytes, tensor.size() - begin));
}

void write_stretch(const BallastRule& rule, std::uint64_t stretch, std::uint64_t turn,
                   std::span<std::byte> out) {
  const std::uint64_t key = mix64(rule.origin ^ mix64(rule.tensor ^ mix64(stretch ^ mix64(turn))));
  for (std::uint64_t at = 0; at < out.size(); at += kWordBytes) {
    std::uint64_t word = mix64(key + at);
    if (rule.compressible) word &= kFewBits;
    std::memcpy(out.data() + at, &word, std::min<std::uint64_t>(kWordBytes, out.size() - at));
  }
}

}  // namespace

std::uint64_t StateTensorSpec::bytes() const { return count * bytes_of(type); }

std::vector<StateTensorSpec> state_tensors(std::uint64_t weights, std::uint64_t ballast_bytes) {
  std::vector<StateTensorSpec> all{
      {.name = "model/weights", .type = hawserFloat32, .count = weights},
      {.name = "optimizer/velocity", .type = hawserFloat32, .count = weights},
      {.name = "progress", .type = hawserUint64, .count = 3},
      {.name = "local/parity", .type = hawserUint32, .count = 1, .may_differ = true}};
  const auto ballast = [&](const std::string& name, hawserDataType_t type, std::uint64_t count) {
    all.push_back({.name = "ballast/" + name, .type = type, .count = count, .ballast = true});
  };
  ballast("large", hawserInt32, ballast_bytes * 3 / 4 / bytes_of(hawserInt32));
  ballast("medium", hawserBfloat16, ballast_bytes / 4 / bytes_of(hawserBfloat16));
  std::uint64_t count = 1;
  for (int i = 0; i < 8; ++i, count = 2 * count + 1) ballast("tiny/" + std::to_string(i), hawserInt8, count);
  ballast("empty", hawserFloat64, 0);
  return all;
}

void write_ballast(const BallastRule& rule, std::uint64_t step, std::span<std::byte> tensor) {
  if (step == 0) return fill_ballast(rule, 0, tensor);
  if (tensor.empty()) return;
  const std::uint64_t stretch = step % stretches_of(tensor.size());
  write_stretch(rule, stretch, step, stretch_of(tensor, stretch));
}

void fill_ballast(const BallastRule& rule, std::uint64_t step, std::span<std::byte> tensor) {
  const std::uint64_t stretches = stretches_of(tensor.size());
  for (std::uint64_t i = 0; i < stretches; ++i)
    write_stretch(rule, i, last_turn(i, stretches, step), stretch_of(tensor, i));
}

std::optional<std::size_t> find_wrong_ballast(const BallastRule& rule, std::uint64_t step,
                                              std::span<const std::byte> tensor) {
  const std::uint64_t stretches = stretches_of(tensor.size());
  std::vector<std::byte> expected;
  for (std::uint64_t i = 0; i < stretches; ++i) {
    const std::span<const std::byte> there = stretch_of(tensor, i);
    expected.resize(there.size());
    write_stretch(rule, i, last_turn(i, stretches, step), expected);
    const auto wrong = std::ranges::mismatch(there, expected).in1;
    if (wrong != there.end()) return i * kStretchBytes + static_cast<std::size_t>(wrong - there.begin());
  }
  return std::nullopt;
}

}  // namespace hawser::churn
