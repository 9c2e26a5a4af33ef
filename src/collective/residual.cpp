#include "collective/residual.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "base/planted_fault.hpp"

namespace hawser {
namespace {

template <class Float>
double sum_of_squares(std::span<const std::byte> bytes) {
  double sum = 0;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Float)) {
    Float value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return sum;
}

}  // namespace

Result<std::shared_ptr<Residual>> Residual::create(std::uint64_t count, DataType type) {
  if (!is_float(type))
    return Error{Status::invalid_argument,
                 std::string("a residual is for floats, not for ") + to_string(type)};
  if (count == 0) return Error{Status::invalid_argument, "a residual needs at least one element"};
  std::shared_ptr<Residual> made(new Residual(count, type));
  if (const auto allocated = made->allocate_on_host(); !allocated.ok()) return allocated.error();
  return made;
}

/// With nothing owed.
Result<void> Residual::allocate_on_host() {
  std::vector<std::byte> memory;
  try {
    memory.resize(bytes());
  } catch (const std::exception&) {
    return Error{Status::system, "there is no memory for the residual of " + std::to_string(count_) + " elements"};
  }
  host_ = std::move(memory);
  halves_[0] = host_.data();
  halves_[1] = host_.data() + half_bytes();
  owed_half_ = 0;
  return {};
}

void Residual::release(bool success) {
  if (success || planted(PlantedFault::settled_residual)) owed_half_ = 1 - owed_half_;
  busy_ = false;
}

/// On the host a copy of what is owed, wherever that lies.
Result<std::vector<std::byte>> Residual::owed_on_host() const {
  if (device() == kOnHost) return std::vector<std::byte>(owed(), owed() + half_bytes());
  std::vector<std::byte> fetched(half_bytes());
  if (const auto copied = place_.copy({.from = owed(), .to = fetched.data(), .bytes = fetched.size()}); !copied.ok())
    return copied.error();
  return fetched;
}

Result<void> Residual::move_to(Place place) {
  const auto owed = owed_on_host();
  if (!owed.ok()) return owed.error();
  if (const auto copied = place.copy({.from = owed->data(), .to = place.memory, .bytes = half_bytes()}); !copied.ok())
    return copied;
  place_ = std::move(place);
  halves_[0] = place_.memory;
  halves_[1] = place_.memory + half_bytes();
  owed_half_ = 0;
  host_ = {};
  return {};
}

Result<void> Residual::move_to_host() {
  if (device() == kOnHost) return {};
  const auto owed = owed_on_host();
  if (!owed.ok()) return owed.error();
  if (const auto allocated = allocate_on_host(); !allocated.ok()) return allocated;
  std::copy(owed->begin(), owed->end(), host_.begin());
  place_ = {};
  return {};
}

Result<void> Residual::reset() {
  if (device() == kOnHost) {
    std::fill_n(halves_[owed_half_], half_bytes(), std::byte{0});
    return {};
  }
  const std::vector<std::byte> zeros(half_bytes());
  return place_.copy({.from = zeros.data(), .to = halves_[owed_half_], .bytes = zeros.size()});
}

Result<double> Residual::root_mean_square() const {
  std::vector<std::byte> fetched;
  if (device() != kOnHost) {
    auto owed = owed_on_host();
    if (!owed.ok()) return owed.error();
    fetched = std::move(*owed);
  }
  const std::span<const std::byte> owed(device() == kOnHost ? this->owed() : fetched.data(), half_bytes());
  const double sum =
      working_type(type_) == DataType::float64 ? sum_of_squares<double>(owed) : sum_of_squares<float>(owed);
  return std::sqrt(sum / static_cast<double>(count_));
}

}  // namespace hawser
