#pragma once

#include "links/tcp_state.hpp"

namespace hawser::transport {

TcpState tcp_state_of(int fd);

}  // namespace hawser::transport
