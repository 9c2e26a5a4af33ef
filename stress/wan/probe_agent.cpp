#include "wan/probe_agent.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "churn/report_line.hpp"
#include "churn/series.hpp"

// Blocking sockets and a thread per connection: every wait here is bounded by the process that asks, which
// kills the agent when its own bound is over.
namespace hawser::wan {
namespace {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBufferBytes = 256 << 10;

/// What a connection begins with. Both ends are this binary on this machine.
struct Greeting {
  enum Kind : std::uint32_t { echo, sink };
  std::uint32_t kind = echo;
  std::uint32_t warm_ms = 0;
  std::uint32_t window_ms = 0;
};
/// What a sink answers at the end.
struct Received {
  std::uint64_t bytes = 0;
  std::uint64_t window_bytes = 0;
};

void answer(const churn::LineBuilder& line) {
  std::printf("%s\n", line.line().c_str());
  std::fflush(stdout);
}

std::uint64_t ns_since(Clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count());
}

void serve_echo(tcp::socket& socket) {
  std::array<char, 1> byte{};
  asio::error_code error;
  while (asio::read(socket, asio::buffer(byte), error) == 1) asio::write(socket, asio::buffer(byte));
}

void serve_sink(tcp::socket& socket, const Greeting& greeting) {
  const auto begin = Clock::now() + std::chrono::milliseconds(greeting.warm_ms);
  const auto end = begin + std::chrono::milliseconds(greeting.window_ms);
  std::vector<char> buffer(kBufferBytes);
  Received received;
  asio::error_code error;
  while (true) {
    const std::size_t size = socket.read_some(asio::buffer(buffer), error);
    if (error) break;
    const auto now = Clock::now();
    received.bytes += size;
    if (now >= begin && now < end) received.window_bytes += size;
  }
  if (error != asio::error::eof) throw asio::system_error(error);
  asio::write(socket, asio::buffer(&received, sizeof received));
}

void serve(tcp::socket socket) try {
  socket.set_option(tcp::no_delay(true));
  Greeting greeting;
  asio::read(socket, asio::buffer(&greeting, sizeof greeting));
  greeting.kind == Greeting::echo ? serve_echo(socket) : serve_sink(socket, greeting);
} catch (const std::exception& error) {
  // The other end notices too, and says so to whom it concerns.
  std::fprintf(stderr, "probe agent: a connection broke: %s\n", error.what());
}

[[noreturn]] void accept_all(tcp::acceptor& acceptor) {
  while (true) std::thread(serve, acceptor.accept()).detach();
}

tcp::endpoint endpoint_of(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    throw std::runtime_error("no port in the address " + std::string(text));
  return {asio::ip::make_address(std::string(text.substr(0, colon))),
          static_cast<std::uint16_t>(std::stoul(std::string(text.substr(colon + 1))))};
}

class Agent {
 public:
  Agent() : acceptor_(io_, tcp::endpoint(tcp::v4(), 0)) {}
  int run();

 private:
  struct Outgoing {
    explicit Outgoing(tcp::socket opened) : socket(std::move(opened)) {}
    tcp::socket socket;
    std::uint64_t bytes = 0;  ///< To send; until the end of the time if 0.
    Received received;
    std::uint64_t resent = 0;
    std::string failure;
  };

  void obey(const churn::ReportLine& line);
  tcp::socket open(std::string_view to, const Greeting& greeting);
  void ping(const churn::ReportLine& line);
  void flow(const churn::ReportLine& line);
  void connect_for_giving(const churn::ReportLine& line);
  void give();
  static void send(Outgoing& outgoing, Clock::time_point end);
  static void send_all(std::vector<Outgoing>& outgoing, Clock::time_point end);

  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::vector<Outgoing> gifts_;
};

tcp::socket Agent::open(std::string_view to, const Greeting& greeting) {
  tcp::socket socket(io_);
  socket.connect(endpoint_of(to));
  socket.set_option(tcp::no_delay(true));
  asio::write(socket, asio::buffer(&greeting, sizeof greeting));
  return socket;
}

void Agent::ping(const churn::ReportLine& line) {
  tcp::socket socket = open(line.get("to"), {.kind = Greeting::echo});
  churn::Series round_trips_us;
  std::array<char, 1> byte{};
  for (std::uint64_t i = 0; i < line.number("count").value_or(5); ++i) {
    const auto begin = Clock::now();
    asio::write(socket, asio::buffer(byte));
    asio::read(socket, asio::buffer(byte));
    round_trips_us.add(static_cast<double>(ns_since(begin)) / 1e3);
  }
  std::array<char, 16> congestion_control{};
  socklen_t size = congestion_control.size() - 1;
  if (::getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_CONGESTION, congestion_control.data(), &size) !=
      0)
    throw std::runtime_error("the system does not tell the congestion control");
  answer(churn::LineBuilder("pinged")
             .add("cc", std::string_view(congestion_control.data()))
             .add("min_us", static_cast<std::uint64_t>(round_trips_us.min()))
             .add("median_us", static_cast<std::uint64_t>(round_trips_us.median())));
}

void Agent::send(Outgoing& outgoing, Clock::time_point end) try {
  const std::vector<char> buffer(kBufferBytes);
  std::uint64_t sent = 0;
  while (outgoing.bytes != 0 ? sent < outgoing.bytes : Clock::now() < end) {
    const std::uint64_t left = outgoing.bytes != 0 ? outgoing.bytes - sent : kBufferBytes;
    sent += outgoing.socket.write_some(asio::buffer(buffer, std::min<std::uint64_t>(left, kBufferBytes)));
  }
  outgoing.socket.shutdown(tcp::socket::shutdown_send);
  asio::read(outgoing.socket, asio::buffer(&outgoing.received, sizeof outgoing.received));
  if (outgoing.received.bytes != sent) throw std::runtime_error("the receiver got another number of bytes");
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(outgoing.socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
    outgoing.resent = info.tcpi_total_retrans;
} catch (const std::exception& error) {
  outgoing.failure = error.what();
}

void Agent::send_all(std::vector<Outgoing>& outgoing, Clock::time_point end) {
  std::vector<std::thread> senders;
  for (Outgoing& one : outgoing) senders.emplace_back([&one, end] { send(one, end); });
  for (std::thread& sender : senders) sender.join();
  for (const Outgoing& one : outgoing)
    if (!one.failure.empty()) throw std::runtime_error(one.failure);
}

void Agent::flow(const churn::ReportLine& line) {
  const std::uint64_t warm_ms = line.number("warm_ms").value_or(0),
                      window_ms = line.number("window_ms").value_or(1);
  std::vector<Outgoing> outgoing;
  for (std::uint64_t i = 0; i < line.number("connections").value_or(1); ++i)
    outgoing.emplace_back(open(line.get("to"), {.kind = Greeting::sink,
                                                .warm_ms = static_cast<std::uint32_t>(warm_ms),
                                                .window_ms = static_cast<std::uint32_t>(window_ms)}));
  send_all(outgoing, Clock::now() + std::chrono::milliseconds(warm_ms + window_ms));
  std::uint64_t bytes = 0, resent = 0;
  for (const Outgoing& one : outgoing) {
    bytes += one.received.window_bytes;
    resent += one.resent;
  }
  answer(churn::LineBuilder("flowed")
             .add("bytes", bytes)
             .add("ns", window_ms * 1'000'000)
             .add("resent", resent));
}

void Agent::connect_for_giving(const churn::ReportLine& line) {
  gifts_.clear();
  const std::uint64_t connections = line.number("connections").value_or(1);
  const std::uint64_t bytes = line.number("bytes").value_or(0) / connections;
  if (bytes == 0) throw std::runtime_error("nothing to give");
  std::istringstream targets{std::string(line.get("to"))};
  for (std::string to; std::getline(targets, to, ',');)
    for (std::uint64_t i = 0; i < connections; ++i) {
      gifts_.emplace_back(open(to, {.kind = Greeting::sink}));
      gifts_.back().bytes = bytes;
    }
  answer(churn::LineBuilder("connected"));
}

void Agent::give() {
  const auto begin = Clock::now();
  send_all(gifts_, begin);
  const std::uint64_t ns = ns_since(begin);
  std::uint64_t resent = 0;
  for (const Outgoing& one : gifts_) resent += one.resent;
  gifts_.clear();
  answer(churn::LineBuilder("gave").add("ns", ns).add("resent", resent));
}

void Agent::obey(const churn::ReportLine& line) {
  if (line.word() == "ping") return ping(line);
  if (line.word() == "flow") return flow(line);
  if (line.word() == "give") return connect_for_giving(line);
  if (line.word() == "go") return give();
  throw std::runtime_error("unknown command " + std::string(line.word()));
}

int Agent::run() {
  std::thread([this] { accept_all(acceptor_); }).detach();
  const std::uint64_t port = acceptor_.local_endpoint().port();
  answer(churn::LineBuilder("ready").add("port", port));
  for (std::string text; std::getline(std::cin, text);) try {
      obey(churn::ReportLine(text));
    } catch (const std::exception& error) {
      answer(churn::LineBuilder("failed").text(error.what()));
    }
  std::_Exit(0);  // Its threads may still serve others.
}

}  // namespace

int run_probe_agent() { return Agent().run(); }

}  // namespace hawser::wan
