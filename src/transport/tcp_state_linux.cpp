#if defined(__linux__)

// The kernel's own struct, apart from Asio, whose C library headers declare an older one of the same name.
#  include <linux/tcp.h>
#  include <netinet/in.h>
#  include <stddef.h>
#  include <sys/socket.h>

#  include <array>
#  include <string_view>

#  include "base/tcp_options.hpp"
#  include "transport/tcp_state.hpp"

namespace hawser::transport {
namespace {

bool is_bbr(int fd) {
  std::array<char, 16> name{};
  auto bytes = static_cast<socklen_t>(name.size() - 1);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &bytes) == 0 &&
         std::string_view(name.data()).starts_with(kBbr);
}

}  // namespace

TcpState tcp_state_of(int fd) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return {};
  // Before Linux 4.18 nothing tells what has arrived: then nothing counts as under way.
  const bool tells_delivered = bytes >= offsetof(tcp_info, tcpi_delivered) + sizeof info.tcpi_delivered;
  return {.round_trip = microseconds(info.tcpi_rtt),
          .round_trip_least = microseconds(info.tcpi_min_rtt),
          .window_bytes = std::uint64_t{info.tcpi_snd_cwnd} * info.tcpi_snd_mss,
          .segments_sent = info.tcpi_segs_out,
          .segments_repeated = info.tcpi_total_retrans,
          .segments_unacknowledged = tells_delivered ? info.tcpi_unacked : 0,
          .segments_delivered = info.tcpi_delivered,
          .fills_alone = is_bbr(fd)};
}

}  // namespace hawser::transport

#endif
