#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hawser {

/// Of connections between peers on different hosts. Empty and 0: what the system does of itself.
struct TcpOptions {
  std::string congestion_control;  ///< A name that the system knows, such as "bbr".
  std::uint32_t send_buffer_bytes = 0;
  std::uint32_t receive_buffer_bytes = 0;
};

/// The congestion control of Cardwell et al. 2016; later versions have this name and a number.
inline constexpr std::string_view kBbr = "bbr";

}  // namespace hawser
