#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "membership/master_machine.hpp"
#include "runtime/run_access.hpp"
#include "transport/control_connection.hpp"
#include "transport/dialer.hpp"
#include "transport/name_lookup.hpp"

namespace hawser {

/// Asks the other masters of a run how they stand, all at once, each for a second at most. On the io_context's thread.
class MasterLooks {
 public:
  using Seen = std::function<void(const OthersSeen&)>;

  MasterLooks(asio::io_context& io, std::vector<Address> others, RunAccess access);
  ~MasterLooks();
  MasterLooks(const MasterLooks&) = delete;
  MasterLooks& operator=(const MasterLooks&) = delete;

  /// `self`: the run by which this master knows its own answer, where its list names it, too. `seen` is called once,
  /// later. Does nothing while one is under way.
  void look(RunId self, Seen seen);
  bool is_looking() const { return !asked_.empty(); }
  void close();

 private:
  struct Asked {
    std::shared_ptr<transport::Dial> dial;
    std::shared_ptr<transport::ControlConnection> connection;
    bool is_over = false;
  };
  void dialled(std::size_t which, Result<transport::Stream> stream);
  void said(std::size_t which, const std::string& message);
  void ended(std::size_t which);
  void maybe_done();

  asio::io_context& io_;
  std::vector<Address> others_;
  RunAccess access_;
  transport::NameLookup names_;
  asio::steady_timer bound_;
  RunId self_;
  Seen seen_;
  OthersSeen result_;
  std::vector<std::unique_ptr<Asked>> asked_;
};

}  // namespace hawser
