#pragma once

#include <cstddef>
#include <span>

#include "base/attestation.hpp"
#include "base/data_type.hpp"
#include "trust/attest.hpp"

namespace hawser {

/// Reads a send buffer in pieces, in order, and says what was in it.
class ContributionReader {
 public:
  explicit ContributionReader(DataType type) : type_(type) {}
  /// A piece of whole elements.
  void add(std::span<const std::byte> piece);
  Contribution finish();

 private:
  DataType type_;
  Contribution known_;
  double squares_ = 0;
  trust::Sha256 sha256_;
};

}  // namespace hawser
