#include "sim/user_buffers.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/typed_values.hpp"
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

}  // namespace

void contributions(std::uint64_t salt, std::span<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = contribution(salt, i);
}

void reduce_contributions(const Signature& signature, std::span<const std::uint64_t> salts,
                          std::span<double> results) {
  contributions(salts.front(), results);
  const auto combine = [&](auto op) {
    for (const std::uint64_t salt : salts.subspan(1))
      for (std::size_t i = 0; i < results.size(); ++i) results[i] = op(results[i], contribution(salt, i));
  };
  switch (signature.op) {
    case ReduceOp::sum: return combine([](double a, double b) { return a + b; });
    case ReduceOp::prod: return combine([](double a, double b) { return a * b; });
    case ReduceOp::max: return combine([](double a, double b) { return std::max(a, b); });
    case ReduceOp::min: return combine([](double a, double b) { return std::min(a, b); });
    case ReduceOp::avg: break;
  }
  combine([](double a, double b) { return a + b; });
  for (double& result : results) result = mean(signature.type, result, salts.size());
}

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

UserBuffers::UserBuffers(const Shape& shape, std::uint64_t salt)
    : shape_(shape), element_(element_bytes(shape.signature.type)) {
  send_bytes_ = static_cast<std::size_t>(std::max(sent(), shape.in_place ? received() : 0)) * element_;
  send_.reset(new std::byte[send_bytes_]);
  std::memset(send_.get(), 0xff, send_bytes_);
  if (!shape.in_place) {
    receive_.reset(new std::byte[received() * element_]);
    std::memset(receive_.get(), 0xff, received() * element_);
  }
  if (!gives()) return;
  std::vector<double> values(static_cast<std::size_t>(sent()));
  contributions(salt, values);
  given_.resize(values.size() * element_);
  store_all(shape.signature.type, given_.data(), values);
  if (!given_.empty()) std::memcpy(send_.get() + (send() - send_.get()), given_.data(), given_.size());
}

bool UserBuffers::gives() const {
  return shape_.signature.collective != Collective::broadcast || shape_.rank == shape_.signature.root;
}

std::uint64_t UserBuffers::sent() const {
  const bool scatters = shape_.signature.collective == Collective::reduce_scatter;
  return shape_.signature.count * (scatters ? shape_.world_size : 1);
}

std::uint64_t UserBuffers::received() const {
  const bool gathers = shape_.signature.collective == Collective::all_gather;
  return shape_.signature.count * (gathers ? shape_.world_size : 1);
}

std::size_t UserBuffers::own_share() const {
  return static_cast<std::size_t>(shape_.rank * shape_.signature.count) * element_;
}

const std::byte* UserBuffers::send() const {
  if (!gives()) return nullptr;
  const bool in_gathered = in_place() && shape_.signature.collective == Collective::all_gather;
  return send_.get() + (in_gathered ? own_share() : 0);
}

std::byte* UserBuffers::receive() {
  if (!in_place()) return receive_.get();
  return send_.get() + (shape_.signature.collective == Collective::reduce_scatter ? own_share() : 0);
}

bool UserBuffers::send_intact() const {
  if (!gives()) return true;
  return given_.empty() || std::memcmp(send(), given_.data(), given_.size()) == 0;
}

std::span<const std::byte> UserBuffers::result() const {
  const std::byte* from = receive_.get();
  if (in_place())
    from = send_.get() + (shape_.signature.collective == Collective::reduce_scatter ? own_share() : 0);
  return {from, static_cast<std::size_t>(received()) * element_};
}

void UserBuffers::retire_to(Quarantine& quarantine) && {
  quarantine.take(std::move(send_), send_bytes_);
  quarantine.take(std::move(receive_), static_cast<std::size_t>(received()) * element_);
}

}  // namespace hawser::sim
