#include "keyed_run.hpp"

#include <array>
#include <asio/buffer.hpp>
#include <atomic>
#include <deque>
#include <span>
#include <utility>

#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/listener.hpp"
#include "transport/name_lookup.hpp"
#include "transport/run_until.hpp"
#include "transport/socket_wait.hpp"
#include "trust/private_file.hpp"
#include "wire/control_codec.hpp"

namespace hawser::test {

using transport::Stream;

KeyFiles::KeyFiles() : secret_file_(keep("run.secret", secret_.text())) {}

std::string KeyFiles::keep(const std::string& name, const std::string& content) {
  const std::string path = folder_ / name;
  REQUIRE(trust::write_private_file(path, content).ok());
  return path;
}

std::string KeyFiles::issue(const trust::IssueOrder& order, std::int64_t now_unix_s) {
  const auto content = trust::issue_key(secret_, order, now_unix_s);
  if (!content.ok()) FAIL(content.error().sentence);
  return keep(order.name + std::to_string(++issued_) + ".key", *content);
}

transport::TlsPtr tls_of(const std::string& key_file) {
  const auto access = open_access({.secret_file = key_file});
  if (!access.ok()) FAIL(access.error().sentence);
  return access->tls;
}

KeyId key_of(const std::string& key_file) { return tls_of(key_file)->own_badge().key; }

namespace {

/// A connection to a port of the loopback, with the handshake over on this side.
Stream connect(asio::io_context& io, const Address& to, const transport::TlsPtr& tls) {
  transport::NameLookup names(io);
  std::optional<Result<Stream>> dialled;
  const auto dial = transport::Dial::start(
      io, names, to, [&](Result<Stream> result) { dialled.emplace(std::move(result)); }, {.tls = tls});
  REQUIRE(run_until(io, [&] { return dialled.has_value(); }));
  if (!dialled->ok()) FAIL(dialled->error().sentence);
  return std::move(dialled->value());
}

}  // namespace

std::vector<MasterMessage> say_to_master(const Address& master, const transport::TlsPtr& tls,
                                         const PeerMessage& message,
                                         const std::function<bool(const MasterMessage&)>& enough) {
  asio::io_context io;
  std::vector<MasterMessage> heard;
  bool is_over = false;
  const auto connection = transport::ControlConnection::start(
      connect(io, master, tls), {.message =
                                     [&](const std::string& text) {
                                       auto one = decode_master_message(std::as_bytes(std::span(text)));
                                       REQUIRE(one.ok());
                                       heard.push_back(std::move(*one));
                                       is_over = is_over || enough(heard.back());
                                     },
                                 .broken = [&](const std::string&) { is_over = true; },
                                 .settle = [] {}});
  connection->send(encode(message));
  CHECK(run_until(io, [&] { return is_over; }));
  connection->close();
  return heard;
}

std::optional<GreetingAnswer> greet(const Address& port, const transport::TlsPtr& tls, const LinkGreeting& greeting) {
  asio::io_context io;
  Stream stream = connect(io, port, tls);
  const auto said = encode_greeting(greeting);
  std::error_code error;
  REQUIRE(stream.write_some(asio::buffer(said), error) == said.size());
  std::array<std::byte, kGreetingAnswerBytes> answer{};
  std::size_t count = 0;
  bool is_over = false;
  std::function<void()> read = [&] {
    count += stream.read_some(asio::buffer(answer.data() + count, answer.size() - count), error);
    is_over = count == answer.size() || (error && !transport::is_wait(error));
    if (is_over) return;
    stream.async_wait(transport::Tcp::socket::wait_read, [&](const std::error_code&) { read(); });
  };
  read();
  CHECK(run_until(io, [&] { return is_over; }));
  if (count < answer.size()) return std::nullopt;
  const auto decoded = decode_greeting_answer(answer);
  REQUIRE(decoded.ok());
  return decoded->answer;
}

struct KeyedImpostor::Listening {
  void read(const std::shared_ptr<Stream>& stream) {
    std::array<std::byte, 4096> bytes;
    std::error_code error;
    bytes_heard += stream->read_some(asio::buffer(bytes), error);
    if (error && !transport::is_wait(error)) return;
    stream->async_wait(transport::Tcp::socket::wait_read, [this, stream](const std::error_code& failure) {
      if (!failure) read(stream);
    });
  }

  asio::io_context io{1};
  std::shared_ptr<transport::Listener> listener;
  std::atomic<std::uint64_t> connections = 0;
  std::atomic<std::uint64_t> bytes_heard = 0;
  std::thread thread;
};

KeyedImpostor::KeyedImpostor(const Address& at, transport::TlsPtr tls) : listening_(std::make_unique<Listening>()) {
  Listening& here = *listening_;
  // The port may be in use for a moment after its owner is gone.
  const bool listens = eventually([&] {
    auto opened = transport::Listener::open(here.io, {.host = at.host, .port_first = at.port, .port_last = at.port});
    if (opened.ok()) here.listener = *opened;
    return opened.ok();
  });
  REQUIRE(listens);
  here.listener->start({.accepted =
                            [&here](Stream stream, const std::string&) {
                              ++here.connections;
                              here.read(std::make_shared<Stream>(std::move(stream)));
                            },
                        .log = [](const LogEvent&) {}},
                       std::move(tls));
  here.thread = std::thread([&here] { here.io.run(); });
}

KeyedImpostor::~KeyedImpostor() {
  listening_->io.stop();
  listening_->thread.join();
  listening_->listener->close();
}

Address KeyedImpostor::address() const { return listening_->listener->address(); }
std::uint64_t KeyedImpostor::connections() const { return listening_->connections; }
std::uint64_t KeyedImpostor::bytes_heard() const { return listening_->bytes_heard; }

bool says(const Error& error, const std::string& part) { return error.sentence.find(part) != std::string::npos; }

void expect_refusal(Communicator& peer, Status status, const std::string& part) {
  const auto connected = peer.connect();
  REQUIRE_FALSE(connected.ok());
  INFO(connected.error().sentence);
  CHECK(connected.status() == status);
  CHECK(says(connected.error(), part));
}

std::string reduce_wrongly(const Peers& peers, const std::vector<std::size_t>& who) {
  std::vector<Outcome> outcomes(peers.size());
  std::vector<std::thread> threads;
  for (const std::size_t one : who)
    threads.emplace_back([&, one] {
      do outcomes[one] = reduce_once(one, *peers[one], {});
      while (retry_mends(outcomes[one].status));
    });
  for (auto& thread : threads) thread.join();
  for (const std::size_t one : who) {
    if (outcomes[one].status != Status::success) return "peer " + std::to_string(one) + ": " + outcomes[one].sentence;
    if (!is_sum_of(outcomes[one].result, who)) return "peer " + std::to_string(one) + " has another sum";
  }
  return {};
}

void reduce_all(const Peers& peers, const std::vector<std::size_t>& who) { CHECK(reduce_wrongly(peers, who) == ""); }

void reduce_all(const Peers& peers) { reduce_all(peers, all_of(peers)); }

std::vector<std::size_t> all_of(const Peers& peers) {
  std::vector<std::size_t> who;
  for (std::size_t one = 0; one < peers.size(); ++one) who.push_back(one);
  return who;
}

}  // namespace hawser::test
