#include "collective/residual.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/planted_fault.hpp"
#include "kernels/reduce.hpp"

namespace hawser {
namespace {

template <class Float>
double sum_of_squares(const std::vector<std::byte>& bytes) {
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
  try {
    made->owed_.resize(count * element_bytes(working_type(type)));
    made->prepared_.resize(made->owed_.size());
  } catch (const std::exception&) {
    return Error{Status::system,
                 "there is no memory for the residual of " + std::to_string(count) + " elements"};
  }
  return made;
}

void Residual::release(bool success) {
  if (success || planted(PlantedFault::settled_residual)) std::swap(owed_, prepared_);
  busy_ = false;
}

void Residual::reset() { std::fill(owed_.begin(), owed_.end(), std::byte{0}); }

double Residual::root_mean_square() const {
  const double sum = working_type(type_) == DataType::float64 ? sum_of_squares<double>(owed_)
                                                              : sum_of_squares<float>(owed_);
  return std::sqrt(sum / static_cast<double>(count_));
}

}  // namespace hawser
