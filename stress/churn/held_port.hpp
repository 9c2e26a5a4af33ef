#pragma once

#include <cstdint>
#include <string>

namespace hawser::churn {

/// A free TCP port of 127.0.0.1 that nobody else is given: a process that is told of it may listen there, be killed,
/// and listen there again. Where the system lets no other socket have it besides (all but Linux), it is only free now.
class HeldPort {
 public:
  /// Throws std::runtime_error if the system refuses.
  HeldPort();
  ~HeldPort();
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;

  /// "127.0.0.1:PORT".
  std::string address() const;

 private:
  int socket_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace hawser::churn
