#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {

/// What one connection of a flood says, framed.
struct FloodWords {
  std::string first;
  bool pings = false;  ///< Then pings follow.
};

/// Where the connection comes from. `port`: on which the flooder listens there; 0: nobody does.
struct FloodSource {
  std::string address;
  std::uint16_t port = 0;
};

/// Pure: the ids are drawn from `random`.
FloodWords words_of(FloodKind kind, const FloodSource& source, Random& random);
/// One ping, framed.
std::string ping_words();

/// What is no message of anybody: random bytes, malformed frames, or pieces of a TLS record that does not end.
class Garbage {
 public:
  enum class Kind : std::uint8_t { random_bytes, malformed_frames, half_tls_records };
  static constexpr std::size_t kKinds = 3;

  explicit Garbage(Random& random);
  /// What a connection begins with.
  std::string_view first(Kind kind) const { return firsts_[static_cast<std::size_t>(kind)]; }
  /// One that follows; another one at each call. Valid as long as this object.
  std::string_view next(Kind kind);

 private:
  std::array<std::string, kKinds> firsts_;
  std::string noise_;
  std::vector<std::string> frames_;
  std::size_t turn_ = 0;
};

/// "opens", "half-messages" and so on.
const char* flood_name(FloodKind kind);

}  // namespace hawser::hostile
