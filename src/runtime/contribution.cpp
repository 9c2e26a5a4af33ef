#include "runtime/contribution.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/half_float.hpp"

namespace hawser {
namespace {

/// Both passes over it find it in a cache.
constexpr std::size_t kPieceBytes = 64 << 10;

template <class Element, class Value>
void look_at(std::span<const std::byte> piece, const Value& value_of, Contribution& known, double& squares) {
  double largest = known.largest;
  double sum = 0;
  std::uint64_t not_finite = 0;
  for (std::size_t at = 0; at + sizeof(Element) <= piece.size(); at += sizeof(Element)) {
    Element element;
    std::memcpy(&element, piece.data() + at, sizeof element);
    const double value = std::abs(static_cast<double>(value_of(element)));
    const bool finite = value <= std::numeric_limits<double>::max();
    const double counted = finite ? value : 0;
    not_finite += finite ? 0 : 1;
    largest = std::max(largest, counted);
    sum += counted * counted;
  }
  known.largest = largest;
  known.not_finite += not_finite;
  squares += sum;
}

}  // namespace

void ContributionReader::add(std::span<const std::byte> piece) {
  for (; !piece.empty(); piece = piece.subspan(std::min(kPieceBytes, piece.size()))) {
    const auto next = piece.first(std::min(kPieceBytes, piece.size()));
    sha256_.add(next);
    known_.bytes += next.size();
    const auto same = [](auto value) { return value; };
    if (type_ == DataType::float32) look_at<float>(next, same, known_, squares_);
    if (type_ == DataType::float64) look_at<double>(next, same, known_, squares_);
    if (type_ == DataType::float16)
      look_at<std::uint16_t>(
          next, [](std::uint16_t half) { return std::bit_cast<float>(float16_to_float32(half)); }, known_, squares_);
    if (type_ == DataType::bfloat16)
      look_at<std::uint16_t>(
          next, [](std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16); }, known_, squares_);
  }
}

Contribution ContributionReader::finish() {
  known_.sha256 = sha256_.finish();
  // Squares of the largest numbers are beyond the range.
  known_.norm = std::min(std::sqrt(squares_), std::numeric_limits<double>::max());
  return known_;
}

}  // namespace hawser
