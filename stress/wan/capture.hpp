#pragma once

#include <cstddef>
#include <fstream>
#include <span>
#include <string>

#include "base/instant.hpp"
#include "base/result.hpp"

namespace hawser::wan {

/// Every packet that a host hands over, whole, in the file format of libpcap with bare IP packets (LINKTYPE_RAW). One
/// with offloaded segments is written as the one that it is.
class Capture {
 public:
  static Result<Capture> make(const std::string& path);
  /// `since` the start.
  void add(Duration since, std::span<const std::byte> packet);
  /// Everything is in the file.
  bool finish();

 private:
  explicit Capture(std::ofstream file) : file_(std::move(file)) {}

  std::ofstream file_;
};

}  // namespace hawser::wan
