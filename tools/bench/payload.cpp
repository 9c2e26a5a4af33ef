#include "bench/payload.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hawser::bench {
namespace {

constexpr std::size_t kPeriod = 1048573;  // a prime, in elements

// 0 to 7: the sum of 18 members still fits into a signed byte.
double input_value(std::uint32_t rank, std::size_t index) {
  std::uint32_t v = rank * 0x85ebca6bU + static_cast<std::uint32_t>(index) * 0x9e3779b1U;
  v ^= v >> 15;
  v *= 0x85ebca77U;
  return v >> 29;
}

}  // namespace

Payload::Payload(const CollectiveKind& kind, std::uint32_t rank, std::uint32_t world)
    : kind_(kind), input_(kPeriod * kind.element_bytes), expected_(input_.size()) {
  std::vector<double> inputs(world);
  for (std::size_t i = 0; i < kPeriod; ++i) {
    for (std::uint32_t r = 0; r < world; ++r) inputs[r] = input_value(r, i);
    write_element(kind.type, inputs[rank], input_.data() + i * kind.element_bytes);
    write_element(kind.type, reduced_value(kind.options.op, inputs),
                  expected_.data() + i * kind.element_bytes);
  }
}

std::size_t Payload::start_of(std::uint64_t round) const {
  return (round * 7919 % kPeriod) * kind_.element_bytes;
}

void Payload::fill(std::uint64_t round, std::span<std::byte> send) const {
  for (std::size_t at = 0, from = start_of(round); at < send.size(); from = 0) {
    const std::size_t run = std::min(send.size() - at, input_.size() - from);
    std::memcpy(send.data() + at, input_.data() + from, run);
    at += run;
  }
}

std::string Payload::check(std::uint64_t round, std::span<const std::byte> received) const {
  for (std::size_t at = 0, from = start_of(round); at < received.size(); from = 0) {
    const std::size_t run = std::min(received.size() - at, expected_.size() - from);
    if (std::memcmp(received.data() + at, expected_.data() + from, run) != 0) {
      for (std::size_t i = 0; i < run; i += kind_.element_bytes) {
        const double got = read_element(kind_.type, received.data() + at + i);
        const double expected = read_element(kind_.type, expected_.data() + from + i);
        // Written so that a NaN is wrong.
        if (!(std::abs(got - expected) <= kind_.tolerance))
          return "element " + std::to_string((at + i) / kind_.element_bytes) + " is " + std::to_string(got) +
                 " instead of " + std::to_string(expected);
      }
    }
    at += run;
  }
  return {};
}

}  // namespace hawser::bench
