// The two ends of a flood that are no master: who floods, and a port that discards everything.

#include <sys/resource.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <array>
#include <cstdio>
#include <memory>
#include <random>
#include <string>

#include "churn/control_channel.hpp"
#include "churn/reporter.hpp"
#include "hostile/descriptors.hpp"
#include "hostile/flooder.hpp"
#include "hostile/options.hpp"

namespace hawser::hostile {
namespace {

using churn::LineBuilder;

constexpr int kStrangersNice = -10;

void tell(churn::Reporter& reporter, const Flooder& flooder) {
  const Flooder::Tally& tally = flooder.tally();
  LineBuilder line("flooded");
  line.add("opened", tally.opened)
      .add("connected", tally.connected)
      .add("failed", tally.failed)
      .add("ended", tally.ended)
      .add("pings", tally.pings)
      .add("messages", tally.messages)
      .add("crowded_out", tally.crowded_out)
      .add("bytes_answered", tally.bytes_answered)
      .add("most_at_once", tally.most_at_once)
      .add("open_now", std::uint64_t{flooder.open_now()});
  for (const auto& [kind, count] : tally.answers) line.add(kind, count);
  reporter.say(line);
}

class Sink {
 public:
  Sink(asio::io_context& io, const std::string& address, std::uint16_t port)
      : acceptor_(io, {asio::ip::make_address(address), port}) {
    acceptor_.listen(4096);
    accept();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void accept() {
    acceptor_.async_accept([this](const std::error_code& error, Tcp::socket socket) {
      if (!error) discard(std::make_shared<Tcp::socket>(std::move(socket)));
      accept();
    });
  }
  void discard(const std::shared_ptr<Tcp::socket>& socket) {
    socket->async_read_some(asio::buffer(bytes_), [this, socket](const std::error_code& error, std::size_t) {
      if (!error) discard(socket);
    });
  }

  Tcp::acceptor acceptor_;
  std::array<char, 65536> bytes_;
};

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int run_flooder(const FlooderOptions& options) {
  raise_descriptor_limit();
  // Strangers have machines of their own, which whoever is flooded does not slow down.
  if (options.kind == FloodKind::garbage) (void)::setpriority(PRIO_PROCESS, 0, kStrangersNice);
  const churn::ControlChannel ears([](std::string_view) {}, nullptr);
  churn::Reporter reporter;
  std::random_device source;
  Flooder flooder(options, (std::uint64_t{source()} << 32) | source());
  flooder.run_for(options.seconds);
  tell(reporter, flooder);
  // Then until it is ended.
  while (options.holds) flooder.run_for(3600);
  return 0;
}

int run_sink(const SinkOptions& options) {
  raise_descriptor_limit();
  const churn::ControlChannel ears([](std::string_view) {}, nullptr);
  asio::io_context io(1);
  const std::size_t colon = options.listen.rfind(':');
  const Sink sink(io, options.listen.substr(0, colon),
                  static_cast<std::uint16_t>(std::stoul(options.listen.substr(colon + 1))));
  churn::Reporter().say(
      LineBuilder("listening").add("address", options.listen.substr(0, colon) + ":" + std::to_string(sink.port())));
  io.run();
  return 0;
}

}  // namespace hawser::hostile
