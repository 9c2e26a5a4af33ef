#if !defined(__linux__)

#  include "transport/tcp_state.hpp"

namespace hawser::transport {

TcpState tcp_state_of(int) { return {}; }

}  // namespace hawser::transport

#endif
