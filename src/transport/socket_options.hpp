#pragma once

#include <asio/ip/tcp.hpp>
#include <string>
#include <system_error>

#include "base/result.hpp"
#include "base/tcp_options.hpp"

/// All that is set on sockets, in one place. The Linux way is in socket_options_linux.cpp, what any POSIX
/// system has in socket_options_posix.cpp.
namespace hawser::transport {

using Tcp = asio::ip::tcp;

/// Opens a non-blocking, close-on-exec socket.
std::error_code open_socket(Tcp::socket& socket, const Tcp& protocol);
std::error_code open_acceptor(Tcp::acceptor& acceptor, const Tcp& protocol);

/// Takes one waiting connection, non-blocking and close-on-exec. Gives would_block if there is none.
std::error_code accept_waiting(Tcp::acceptor& acceptor, Tcp::socket& socket);

/// For every established connection, dialled or accepted: TCP_NODELAY, keepalive, and where the system has
/// it a bound on how long sent data may stay unacknowledged. Failures are of no consequence.
void tune_connection(Tcp::socket& socket);

/// For a connection that has sisters: the system takes hardly more than it can send soon, so that what waits stays
/// where the next free connection can pull it. Failures are of no consequence.
void keep_queue_short(Tcp::socket& socket, std::size_t bytes);

/// Whether the system lets this process choose that congestion control; an empty name always. Error:
/// invalid_argument, naming those that there are.
Result<void> check_congestion_control(const std::string& name);

/// Its congestion control is BBR from now on, if the system lets this process choose that.
void use_bbr(Tcp::socket& socket);

/// For a connection to another host. What the system refuses stays as it is.
void apply(const TcpOptions& options, Tcp::socket& socket);

/// Lets a port be bound again while old connections of it linger, without ever sharing a listening port.
/// Dialling sockets need it too: one of them may by chance hold the port that a restarted master wants.
void allow_rebinding(int fd);

/// Lets dials of this process leave from a listening port, once set on the listener behind its listen(), and on the
/// dialling socket before its bind(). Another listener still finds the port taken.
void share_port(int fd);
/// Binds a socket that will dial to this port, of the listener's address if that is one of its family, which is the
/// `host` "" or "::" or "0.0.0.0" for all.
std::error_code bind_for_dial(Tcp::socket& socket, const Tcp& protocol, const std::string& host, std::uint16_t port);

/// "1.2.3.4" or "2001:db8::1": an IPv4 address that came through an IPv6 socket is shown as IPv4.
std::string plain_host(const asio::ip::address& address);

/// Whose limits a connection counts for: the address of its other end, of IPv6 the first 64 bits, which one household
/// or server has to itself. Empty if it has gone already.
std::string source_of(const Tcp::socket& socket);

/// What a sentence says to whoever would connect machines in plain.
inline constexpr const char* kHowToLeaveThisMachine =
    "make one for the run with `hawser keygen FILE`, copy it to all its machines, and give it as secret_file "
    "(HAWSER_SECRET_FILE); or set insecure=1 where nobody else reaches the network";

/// What went wrong, for a sentence: "connection refused" and such, in lower case.
std::string reason_of(const std::error_code& error);

}  // namespace hawser::transport
