#include "bench/tls_bench.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/process_usage.hpp"
#include "transport/dialer.hpp"
#include "transport/listener.hpp"
#include "transport/socket_wait.hpp"
#include "trust/identity.hpp"

namespace hawser::bench {
namespace {

using transport::Stream;
using transport::TlsPtr;
using trust::TlsSession;

/// As data connections write and read.
constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::uint32_t kBenchProtocol = 0;

TlsPtr new_context() {
  const auto secret = trust::RunSecret::draw();
  if (!secret.ok()) throw std::runtime_error(secret.error().sentence);
  auto identity = trust::Identity::of_secret(*secret, trust::unix_time_now());
  if (!identity.ok()) throw std::runtime_error(identity.error().sentence);
  auto context = trust::TlsContext::make(std::move(*identity), {.protocol = kBenchProtocol});
  if (!context.ok()) throw std::runtime_error(context.error().sentence);
  return *context;
}

struct BenchPair {
  Stream here, there;
};

/// Makes connections between two ends on one thread.
class Maker {
 public:
  explicit Maker(TlsPtr tls) : tls_(std::move(tls)), names_(io_) {
    auto listener = transport::Listener::open(io_, {.host = "127.0.0.1"});
    if (!listener.ok()) throw std::runtime_error(listener.error().sentence);
    listener_ = std::move(*listener);
    listener_->start({.accepted = [this](Stream stream, const std::string&) { there_.emplace(std::move(stream)); },
                      .log = [](const LogEvent& event) { std::fprintf(stderr, "%s\n", event.text.c_str()); }},
                     tls_);
  }
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  ~Maker() { listener_->close(); }

  asio::io_context& io() { return io_; }

  BenchPair make() {
    std::optional<Stream> here;
    std::string failure;
    const auto dial = transport::Dial::start(
        io_, names_, {.host = "127.0.0.1", .port = listener_->address().port},
        [&](Result<Stream> result) {
          if (result.ok())
            here.emplace(std::move(*result));
          else
            failure = result.error().sentence;
        },
        {.tls = tls_});
    bool waits = false;
    std::error_code error;
    while (!here || !there_ || (tls_ && there_->badge() == nullptr)) {
      io_.run_one();
      if (!failure.empty()) throw std::runtime_error(failure);
      if (!there_ || !tls_ || waits) continue;
      there_->shake_hands(error);
      if (error && !transport::is_wait(error)) throw std::runtime_error(there_->reason(error));
      waits = transport::is_wait(error);
      if (waits) there_->async_wait(transport::Tcp::socket::wait_read, [&](const std::error_code&) { waits = false; });
    }
    BenchPair pair{std::move(*here), std::move(*there_)};
    there_.reset();
    return pair;
  }

 private:
  TlsPtr tls_;
  asio::io_context io_{1};
  transport::NameLookup names_;
  std::shared_ptr<transport::Listener> listener_;
  std::optional<Stream> there_;
};

/// One way through a connection, by turns: what was written is read before more is.
void pass_bytes(BenchPair& pair, std::uint64_t bytes) {
  std::vector<std::byte> from(kPieceBytes, std::byte{7}), into(kPieceBytes);
  std::uint64_t written = 0, read = 0;
  std::error_code error;
  while (read < bytes) {
    const auto at = static_cast<std::size_t>(written % kPieceBytes);
    const auto left = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes - at, bytes - written));
    written += pair.here.write_some(asio::buffer(from.data() + at, left), error);
    if (error && !transport::is_wait(error)) throw std::runtime_error(pair.here.reason(error));
    const auto read_at = static_cast<std::size_t>(read % kPieceBytes);
    read += pair.there.read_some(asio::buffer(into.data() + read_at, kPieceBytes - read_at), error);
    if (error && !transport::is_wait(error)) throw std::runtime_error(pair.there.reason(error));
  }
}

double gigabytes_per_cpu_second(const TlsPtr& tls, std::uint64_t bytes) {
  Maker maker(tls);
  BenchPair pair = maker.make();
  pass_bytes(pair, bytes / 16);
  const double before = process_usage().cpu_s;
  pass_bytes(pair, bytes);
  return static_cast<double>(bytes) / (process_usage().cpu_s - before) / 1e9;
}

double connections_per_cpu_second(const TlsPtr& tls, std::uint32_t connections) {
  Maker maker(tls);
  (void)maker.make();
  const double before = process_usage().cpu_s;
  for (std::uint32_t i = 0; i < connections; ++i) (void)maker.make();
  return connections / (process_usage().cpu_s - before);
}

double bytes_per_end(const TlsPtr& tls, std::uint32_t connections) {
  Maker maker(tls);
  std::vector<BenchPair> pairs;
  pairs.reserve(connections);
  pairs.push_back(maker.make());
  const std::uint64_t before = resident_bytes();
  while (pairs.size() < connections) pairs.push_back(maker.make());
  const std::uint64_t after = resident_bytes();
  return after <= before ? 0 : static_cast<double>(after - before) / (2.0 * (connections - 1));
}

void carry(TlsSession& from, TlsSession& to) {
  const auto waiting = from.to_send();
  std::memcpy(to.room().data(), waiting.data(), waiting.size());
  to.received(waiting.size());
  from.sent(waiting.size());
}

/// What the accepting side alone does, without sockets.
double accepts_per_cpu_second(const TlsPtr& tls, std::uint32_t connections) {
  double cpu_s = 0;
  for (std::uint32_t i = 0; i < connections; ++i) {
    TlsSession client(tls, TlsSession::Side::dialling);
    client.shake_hands();
    double before = process_usage().cpu_s;
    TlsSession server(tls, TlsSession::Side::accepting);
    carry(client, server);
    server.shake_hands();
    cpu_s += process_usage().cpu_s - before;
    carry(server, client);
    client.shake_hands();
    carry(client, server);
    before = process_usage().cpu_s;
    if (!server.shake_hands()) throw std::runtime_error(server.failure());
    cpu_s += process_usage().cpu_s - before;
  }
  return connections / cpu_s;
}

double median(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  return figures[figures.size() / 2];
}

void measure(const TlsBenchOptions& options) {
  const TlsPtr tls = new_context();
  struct Figures {
    std::vector<double> throughput, connections;
  };
  Figures plain, encrypted;
  // By turns, so that what else the machine does meets both.
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    plain.throughput.push_back(gigabytes_per_cpu_second({}, options.bytes));
    encrypted.throughput.push_back(gigabytes_per_cpu_second(tls, options.bytes));
    plain.connections.push_back(connections_per_cpu_second({}, options.connections));
    encrypted.connections.push_back(connections_per_cpu_second(tls, options.connections));
  }
  std::printf("%-6s  %18s  %26s  %20s\n", "", "GB per CPU second", "connections per CPU second",
              "bytes per idle end");
  const auto row = [&](const char* name, const Figures& figures, double memory) {
    std::printf("%-6s  %18.2f  %26.0f  %20.0f\n", name, median(figures.throughput), median(figures.connections),
                memory);
  };
  row("plain", plain, bytes_per_end({}, options.connections));
  row("TLS", encrypted, bytes_per_end(tls, options.connections));
  std::printf("\nboth ends on one thread; the accepting end alone: %.0f handshakes per CPU second\n",
              accepts_per_cpu_second(tls, 5 * options.connections));
  std::printf("while ciphertext waits, an end holds up to %zu bytes more in each direction\n", trust::kCipherBlockBytes);
}

}  // namespace

int run_tls_bench(const TlsBenchOptions& options) {
  try {
    measure(options);
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "hawser bench tls: %s\n", failure.what());
    return 1;
  }
}

}  // namespace hawser::bench
