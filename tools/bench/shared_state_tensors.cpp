#include "bench/shared_state_tensors.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <span>
#include <thread>

namespace hawser::bench {
namespace {

constexpr std::size_t kLarge = 3;
constexpr std::size_t kSmall = 20;
/// What a thread reads before it asks for more: as the library's slices.
constexpr std::size_t kPieceBytes = 1 << 20;

std::vector<std::size_t> element_counts(std::uint64_t bytes) {
  const std::size_t all = bytes / sizeof(float);
  std::vector<std::size_t> counts;
  std::size_t left = all;
  for (std::size_t i = 0; i < kSmall; ++i) left -= counts.emplace_back(all / 4000 * (1 + i % 4) + i);
  counts.push_back(left / 2);
  counts.push_back(left / 3);
  counts.push_back(left - left / 2 - left / 3);
  return counts;
}

std::uint32_t mixed(std::uint32_t v) {
  v ^= v >> 16;
  v *= 0x7feb352dU;
  v ^= v >> 15;
  v *= 0x846ca68bU;
  return v ^ v >> 16;
}

std::uint64_t sum_of(const std::byte* bytes, std::size_t size) {
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, bytes + at, sizeof word);
    sum += word;
  }
  for (; at < size; ++at) sum += std::to_integer<std::uint64_t>(bytes[at]);
  return sum;
}

}  // namespace

Result<SharedStateTensors> SharedStateTensors::create(const Form& form) {
  SharedStateTensors state;
  state.compressible_ = form.compressible;
  for (const std::size_t count : element_counts(form.bytes)) state.tensors_.emplace_back(count);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < state.tensors_.size(); ++i)
    names.push_back((i < kSmall ? "layer." : "block.") + std::to_string(i) + ".weight");
  std::vector<hawserStateTensor_t> described;
  for (std::size_t i = 0; i < names.size(); ++i) {
    described.push_back({.name = names[i].c_str(),
                         .data = state.tensors_[i].data(),
                         .count = state.tensors_[i].size(),
                         .type = hawserFloat32,
                         .memory = hawserMemoryByAddress,
                         .allow_content_inequality = 0});
  }
  hawserSharedState_t handle = nullptr;
  if (const auto code = hawserSharedStateCreate(described.data(), described.size(), &handle);
      code != hawserSuccess)
    return Failure{.code = code, .sentence = hawserGetLastError()};
  state.handle_.reset(handle);
  return state;
}

std::uint32_t SharedStateTensors::element(std::uint32_t content, std::size_t tensor,
                                          std::size_t index) const {
  const std::uint32_t seed = mixed(content * 0x9e3779b1U + static_cast<std::uint32_t>(tensor) + 1);
  const std::uint32_t bits = mixed(static_cast<std::uint32_t>(index) + seed);
  if (!compressible_) return bits;
  return std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1p-31F);
}

void SharedStateTensors::fill(std::uint32_t content) {
  for (std::size_t t = 0; t < tensors_.size(); ++t)
    for (std::size_t i = 0; i < tensors_[t].size(); ++i) tensors_[t][i] = element(content, t, i);
}

std::string SharedStateTensors::check(std::uint32_t content) const {
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    for (std::size_t i = 0; i < tensors_[t].size(); ++i) {
      if (tensors_[t][i] != element(content, t, i))
        return "element " + std::to_string(i) + " of tensor " + std::to_string(t) + " of " +
               std::to_string(tensors_[t].size()) + " elements";
    }
  }
  return {};
}

std::uint64_t SharedStateTensors::read(unsigned threads) const {
  std::vector<std::span<const std::byte>> pieces;
  for (const auto& tensor : tensors_) {
    const auto bytes = std::as_bytes(std::span(tensor));
    for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes)
      pieces.push_back(bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at)));
  }
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> sum{0};
  const auto work = [&] {
    for (std::size_t mine = next++; mine < pieces.size(); mine = next++)
      sum += sum_of(pieces[mine].data(), pieces[mine].size());
  };
  {
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
  }
  return sum;
}

}  // namespace hawser::bench
