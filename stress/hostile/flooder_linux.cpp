#include "hostile/flooder.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio/ip/address.hpp>
#include <asio/socket_base.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>

#include "wire/control_codec.hpp"

namespace hawser::hostile {
namespace {

constexpr auto kTick = std::chrono::milliseconds(5);
/// What a pause of this process does not make up for at once.
constexpr double kTicksOwedMax = 20;
constexpr std::size_t kPingsAtOnce = 256;
constexpr std::size_t kSwallowedMax = 4096;

std::runtime_error failure(const std::string& what) { return std::runtime_error(what + ": " + std::strerror(errno)); }

Tcp::endpoint endpoint_of(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  return {asio::ip::make_address(text.substr(0, colon)),
          static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)))};
}

const char* name_of(const MasterMessage& message) {
  constexpr const char* kNames[] = {"welcomes", "refusals", "presents", "views",    "commits",    "updates", "news",
                                    "expelled", "pongs",    "hosts",    "visitors", "measures",   "statuses",
                                    "stragglers", "notices", "commands", "contributions", "dial orders",
                                    "standbys", "views held", "relay calls"};
  static_assert(std::size(kNames) == std::variant_size_v<MasterMessage>);
  return kNames[message.index()];
}

}  // namespace

struct Flooder::Client {
  explicit Client(asio::io_context& io) : socket(io) {}
  Tcp::socket socket;
  FloodWords words;
  std::list<std::shared_ptr<Client>>::iterator place;
  std::array<char, 4096> bytes;
  Garbage::Kind garbage = Garbage::Kind::random_bytes;
  std::unique_ptr<ControlFrameReader> reader;
  bool is_connected = false;
  bool has_spoken = false;
  bool is_over = false;
};

Flooder::Flooder(const FlooderOptions& options, std::uint64_t seed)
    : options_(options), ticks_(io_), random_(seed), speaker_(clients_.end()), garbage_(random_) {
  for (std::size_t i = 0; i < options.sources.size(); ++i)
    add_source(options.sources[i], i < options.networks.size() ? options.networks[i] : std::string());
  if (sources_.empty()) throw std::runtime_error("a flood has no source");
  for (std::size_t i = 0; i < kPingsAtOnce; ++i) many_pings_ += ping_;
}

Flooder::~Flooder() {
  for (const auto& client : clients_) client->is_over = true;
  clients_.clear();
  for (const Source& source : sources_)
    if (source.network >= 0) ::close(source.network);
}

void Flooder::add_source(const std::string& address, const std::string& network) {
  Source source{.words = {.address = address, .port = 0}, .network = -1, .acceptor = {}, .target = {}};
  if (!network.empty()) {
    source.network = ::open(network.c_str(), O_RDONLY | O_CLOEXEC);
    if (source.network < 0) throw failure("cannot open the network " + network);
  }
  source.target = endpoint_of(options_.targets[sources_.size() % options_.targets.size()]);
  if (options_.kind == FloodKind::tar_pits) listen(source);
  sources_.push_back(std::move(source));
  // The order of the acceptors' moves is over: now they may wait.
  if (sources_.back().acceptor) swallow(sources_.back());
}

/// In the network of the source: a socket stays in the one that its thread was in when it was made.
int Flooder::open_socket(const Source& source) {
  if (source.network >= 0 && ::setns(source.network, CLONE_NEWNET) != 0) throw failure("cannot enter a network");
  return ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void Flooder::listen(Source& source) {
  source.acceptor = std::make_unique<Tcp::acceptor>(io_);
  source.acceptor->assign(Tcp::v4(), open_socket(source));
  source.acceptor->bind({asio::ip::make_address(source.words.address), 0});
  source.acceptor->listen(1024);
  source.words.port = source.acceptor->local_endpoint().port();
}

/// Takes connections and never says anything.
void Flooder::swallow(Source& source) {
  Tcp::acceptor* const acceptor = source.acceptor.get();
  acceptor->async_accept([this, acceptor](const std::error_code& error, Tcp::socket socket) {
    if (!error) swallowed_.push_back(std::move(socket));
    if (swallowed_.size() > kSwallowedMax) swallowed_.pop_front();
    for (Source& one : sources_)
      if (one.acceptor.get() == acceptor) swallow(one);
  });
}

void Flooder::run_for(double seconds) {
  ticked_at_ = std::chrono::steady_clock::now();
  tick();
  io_.restart();
  io_.run_for(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds)));
  ticks_.cancel();
}

void Flooder::tick() {
  const auto now = std::chrono::steady_clock::now();
  const double elapsed_s = std::min(std::chrono::duration<double>(now - ticked_at_).count(),
                                    kTicksOwedMax * std::chrono::duration<double>(kTick).count());
  ticked_at_ = now;
  may_open_ =
      std::min(may_open_ + elapsed_s * options_.opens_per_second, std::max(1.0, options_.opens_per_second / 10));
  for (; may_open_ >= 1 && (!options_.keeps || clients_.size() < options_.connections); may_open_ -= 1) open_one();
  may_ping_ += elapsed_s * options_.pings_per_second;
  for (; may_ping_ >= 1; may_ping_ -= 1) ping_all();
  may_say_ += elapsed_s * options_.messages_per_second;
  for (; may_say_ >= 1; may_say_ -= 1) say_garbage();
  ticks_.expires_at(now + kTick);
  ticks_.async_wait([this](const std::error_code& error) {
    if (!error) tick();
  });
}

void Flooder::open_one() {
  Source& source = sources_[next_source_++ % sources_.size()];
  auto client = std::make_shared<Client>(io_);
  ++tally_.opened;
  const int socket = open_socket(source);
  if (socket < 0) {
    ++tally_.failed;
    return;
  }
  std::error_code ignored;
  client->socket.assign(Tcp::v4(), socket, ignored);
  // A closed one leaves nothing behind that would use up the ports.
  client->socket.set_option(asio::socket_base::linger(true, 0), ignored);
  client->socket.set_option(Tcp::no_delay(true), ignored);
  {
    const int late = 1;
    ::setsockopt(socket, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &late, sizeof late);
    client->socket.bind({asio::ip::make_address(source.words.address), 0}, ignored);
  }
  // Small, so that what it does not read waits at the other end.
  if (options_.is_deaf) client->socket.set_option(asio::socket_base::receive_buffer_size(2048), ignored);
  client->words = words_of(options_.kind, source.words, random_);
  client->place = clients_.insert(clients_.end(), client);
  tally_.most_at_once = std::max<std::uint64_t>(tally_.most_at_once, clients_.size());
  if (!options_.keeps && clients_.size() > options_.connections) end(clients_.front());
  client->garbage = static_cast<Garbage::Kind>(tally_.opened % Garbage::kKinds);
  client->socket.async_connect(source.target, [this, client](const std::error_code& error) {
    if (client->is_over) return;
    if (error) {
      ++tally_.failed;
      return end(client);
    }
    connected(client);
  });
}

void Flooder::connected(const std::shared_ptr<Client>& client) {
  client->is_connected = true;
  ++tally_.connected;
  if (options_.counts) client->reader = std::make_unique<ControlFrameReader>();
  if (!options_.is_deaf) read(client);
  if (options_.kind == FloodKind::garbage) return say_first(client);
  if (client->words.first.empty()) return;
  asio::async_write(client->socket, asio::buffer(client->words.first),
                    [this, client](const std::error_code& error, std::size_t) {
                      if (client->is_over) return;
                      if (error) return end(client);
                      client->has_spoken = true;
                      if (client->words.pings && options_.pings_per_second == 0) write(client);
                    });
}

/// Pings, as fast as they are taken.
void Flooder::write(const std::shared_ptr<Client>& client) {
  asio::async_write(client->socket, asio::buffer(many_pings_),
                    [this, client](const std::error_code& error, std::size_t) {
                      if (client->is_over) return;
                      if (error) return end(client);
                      tally_.pings += kPingsAtOnce;
                      write(client);
                    });
}

void Flooder::ping_all() {
  for (const auto& client : clients_) {
    if (!client->has_spoken || !client->words.pings) continue;
    std::error_code error;
    const std::size_t sent = client->socket.write_some(asio::buffer(ping_), error);
    // Where not all of it is taken, nothing that follows would be understood.
    if (sent == ping_.size()) ++tally_.pings;
    if (sent > 0 && sent < ping_.size()) client->has_spoken = false;
  }
}

/// The system takes so little at once, or the connection is gone already.
void Flooder::say_first(const std::shared_ptr<Client>& client) {
  std::error_code error;
  (void)client->socket.write_some(asio::buffer(garbage_.first(client->garbage)), error);
  if (error) return end(client);
  client->has_spoken = true;
  ++tally_.messages;
}

/// One message of whoever's turn it is. Connections take turns, so that those that stay open say more.
void Flooder::say_garbage() {
  for (std::size_t tried = 0; tried < clients_.size(); ++tried) {
    if (speaker_ == clients_.end()) speaker_ = clients_.begin();
    const std::shared_ptr<Client> client = *speaker_++;
    if (!client->has_spoken) continue;
    std::error_code error;
    const std::string_view words = garbage_.next(client->garbage);
    (void)client->socket.write_some(asio::buffer(words), error);
    if (!error)
      ++tally_.messages;
    else if (error == asio::error::would_block)
      ++tally_.crowded_out;
    else
      end(client);
    return;
  }
}

void Flooder::read(const std::shared_ptr<Client>& client) {
  const auto room = options_.counts ? asio::buffer(client->bytes) : asio::buffer(thrown_away_);
  client->socket.async_read_some(room, [this, client](const std::error_code& error, std::size_t bytes) {
    if (client->is_over) return;
    tally_.bytes_answered += bytes;
    if (!error && options_.counts) count_answers(*client, bytes);
    if (!error) return read(client);
    ++tally_.ended;
    end(client);
  });
}

void Flooder::count_answers(Client& client, std::size_t bytes) {
  client.reader->feed(std::as_bytes(std::span(client.bytes).first(bytes)));
  for (;;) {
    const auto next = client.reader->next();
    if (!next.ok() || !next->has_value()) return;
    const auto message = decode_master_message(std::as_bytes(std::span(**next)));
    ++tally_.answers[message.ok() ? name_of(*message) : "not_understood"];
  }
}

void Flooder::end(const std::shared_ptr<Client>& client) {
  const auto kept = client;
  if (kept->is_over) return;
  kept->is_over = true;
  std::error_code ignored;
  kept->socket.close(ignored);
  if (speaker_ == kept->place) ++speaker_;
  clients_.erase(kept->place);
}

}  // namespace hawser::hostile
