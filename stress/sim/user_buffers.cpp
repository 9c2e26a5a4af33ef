#include "sim/user_buffers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/violation.hpp"

#if defined(__SANITIZE_ADDRESS__)
#  define HAWSER_SIM_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define HAWSER_SIM_ASAN 1
#  endif
#endif
#ifndef HAWSER_SIM_ASAN
#  define HAWSER_SIM_ASAN 0
#endif

namespace hawser::sim {
namespace {

constexpr std::byte kPattern{0xa5};
constexpr std::size_t kHeldBytesMax = 256 << 10;
constexpr std::size_t kHeldMax = 64;

void inspect_one(std::span<const std::byte> memory) {
  const auto same = [](std::byte value) { return value == kPattern; };
  if (!std::all_of(memory.begin(), memory.end(), same))
    throw Violation("the memory of a call was written to after the call had ended");
}

float* floats(std::byte* memory) { return reinterpret_cast<float*>(memory); }

}  // namespace

void Quarantine::take(std::unique_ptr<std::byte[]> memory, std::size_t bytes) {
  if (!memory || HAWSER_SIM_ASAN) return;
  std::fill_n(memory.get(), bytes, kPattern);
  held_.push_back({std::move(memory), bytes});
  held_bytes_ += bytes;
  while (held_.size() > kHeldMax || (held_bytes_ > kHeldBytesMax && held_.size() > 1)) {
    inspect_one({held_.front().memory.get(), held_.front().bytes});
    held_bytes_ -= held_.front().bytes;
    held_.pop_front();
  }
}

void Quarantine::inspect() const {
  for (const Held& held : held_) inspect_one({held.memory.get(), held.bytes});
}

UserBuffers::UserBuffers(std::uint64_t count, std::uint64_t salt, bool in_place)
    : count_(count), salt_(salt), send_(new std::byte[count * sizeof(float)]) {
  float* values = floats(send_.get());
  for (std::uint64_t i = 0; i < count; ++i) values[i] = contribution(salt, i);
  if (in_place) return;
  receive_.reset(new std::byte[count * sizeof(float)]);
  std::memset(receive_.get(), 0xff, count * sizeof(float));
}

bool UserBuffers::send_intact() const {
  const float* values = floats(send_.get());
  for (std::uint64_t i = 0; i < count_; ++i) {
    const float expected = contribution(salt_, i);
    if (std::memcmp(&values[i], &expected, sizeof expected) != 0) return false;
  }
  return true;
}

std::span<const float> UserBuffers::result() const {
  return {floats(receive_ ? receive_.get() : send_.get()), count_};
}

void UserBuffers::retire_to(Quarantine& quarantine) && {
  quarantine.take(std::move(send_), count_ * sizeof(float));
  quarantine.take(std::move(receive_), count_ * sizeof(float));
}

}  // namespace hawser::sim
