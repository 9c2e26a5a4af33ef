#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "hostile/flood_messages.hpp"
#include "hostile/options.hpp"
#include "wire/control_frame.hpp"

namespace hawser::hostile {

using Tcp = asio::ip::tcp;

/// Many connections to one port, from one thread: opened at a rate, closed by whoever wants to. One that is to stay is
/// opened anew when the other side has closed it.
class Flooder {
 public:
  struct Tally {
    std::uint64_t opened = 0;
    std::uint64_t connected = 0;
    std::uint64_t failed = 0;        ///< Could not be connected.
    std::uint64_t ended = 0;         ///< By the other side.
    std::uint64_t pings = 0;         ///< That the system took.
    std::uint64_t messages = 0;      ///< Of garbage, likewise.
    std::uint64_t crowded_out = 0;   ///< Of garbage, that it did not take at once.
    std::uint64_t bytes_answered = 0;
    std::uint64_t most_at_once = 0;
    std::map<std::string, std::uint64_t> answers;  ///< By kind, if they are counted.
  };

  /// `seed` differs between flooders, so that their ids do.
  Flooder(const FlooderOptions& options, std::uint64_t seed);
  ~Flooder();
  Flooder(const Flooder&) = delete;
  Flooder& operator=(const Flooder&) = delete;

  void run_for(double seconds);
  std::size_t open_now() const { return clients_.size(); }
  const Tally& tally() const { return tally_; }

 private:
  struct Client;
  struct Source {
    FloodSource words;
    int network = -1;
    std::unique_ptr<Tcp::acceptor> acceptor;  ///< Of a tar pit.
    Tcp::endpoint target;
  };

  void add_source(const std::string& address, const std::string& network);
  static int open_socket(const Source& source);
  void listen(Source& source);
  void swallow(Source& source);
  void tick();
  void open_one();
  void connected(const std::shared_ptr<Client>& client);
  void write(const std::shared_ptr<Client>& client);
  void read(const std::shared_ptr<Client>& client);
  void count_answers(Client& client, std::size_t bytes);
  void ping_all();
  void say_first(const std::shared_ptr<Client>& client);
  void say_garbage();
  void end(const std::shared_ptr<Client>& client);

  const FlooderOptions options_;
  asio::io_context io_;
  asio::steady_timer ticks_;
  Random random_;
  std::vector<Source> sources_;
  std::size_t next_source_ = 0;
  double may_open_ = 0;
  double may_ping_ = 0;
  double may_say_ = 0;
  std::chrono::steady_clock::time_point ticked_at_;
  std::list<std::shared_ptr<Client>> clients_;  ///< In the order of opening.
  std::list<std::shared_ptr<Client>>::iterator speaker_;  ///< Whose turn it is to say garbage.
  Garbage garbage_;
  std::deque<Tcp::socket> swallowed_;
  std::string ping_ = ping_words();
  std::string many_pings_;
  std::array<char, 65536> thrown_away_;
  Tally tally_;
};

}  // namespace hawser::hostile
