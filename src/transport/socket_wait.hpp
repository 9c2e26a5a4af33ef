#pragma once

#include <asio/error.hpp>
#include <system_error>

namespace hawser::transport {

/// The system cannot do it now, and may soon: wait for readiness and try again.
inline bool is_wait(const std::error_code& error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

}  // namespace hawser::transport
