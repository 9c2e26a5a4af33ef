#include "enter_network.hpp"

#include <stdexcept>

#if defined(__linux__)
#  include <fcntl.h>
#  include <sched.h>
#  include <unistd.h>

#  include <cerrno>
#  include <cstring>

namespace hawser::churn {

void enter_network(const std::string& name_space) {
  const int network = ::open(name_space.c_str(), O_RDONLY | O_CLOEXEC);
  const bool entered = network >= 0 && ::setns(network, CLONE_NEWNET) == 0;
  const int error = errno;
  if (network >= 0) ::close(network);
  if (!entered) throw std::runtime_error("cannot enter the network " + name_space + ": " + std::strerror(error));
}

}  // namespace hawser::churn

#else

namespace hawser::churn {

void enter_network(const std::string&) {
  throw std::runtime_error("networks on one machine are there on Linux only");
}

}  // namespace hawser::churn

#endif
