#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "membership/messages.hpp"
#include "run_fixture.hpp"
#include "runtime/run_access.hpp"
#include "scratch_folder.hpp"
#include "trust/identity.hpp"
#include "trust/run_secret.hpp"
#include "wire/link_greeting.hpp"

namespace hawser::test {

/// A run's secret and keys issued from it, as files.
class KeyFiles {
 public:
  KeyFiles();
  /// Of the run's secret.
  const std::string& secret() const { return secret_file_; }
  /// Of a new key.
  std::string issue(const trust::IssueOrder& order, std::int64_t now_unix_s = trust::unix_time_now());
  /// Where a file may be made.
  std::string file(const std::string& name) const { return folder_ / name; }

 private:
  std::string keep(const std::string& name, const std::string& content);

  ScratchFolder folder_;
  trust::RunSecret secret_ = trust::RunSecret::draw().value();
  std::string secret_file_;
  int issued_ = 0;
};

/// What a process with that key file opens connections with.
transport::TlsPtr tls_of(const std::string& key_file);
/// Of the holder of an issued key.
KeyId key_of(const std::string& key_file);

/// Says one message to a master, and hands over all that it answers until the connection ends or something is true.
std::vector<MasterMessage> say_to_master(const Address& master, const transport::TlsPtr& tls,
                                         const PeerMessage& message,
                                         const std::function<bool(const MasterMessage&)>& enough);

/// What a data port answers to this greeting; none: it ended the connection without an answer.
std::optional<GreetingAnswer> greet(const Address& port, const transport::TlsPtr& tls, const LinkGreeting& greeting);

/// Listens with a key of the run where it has no business to, and counts what it is told. On a thread of its own.
class KeyedImpostor {
 public:
  KeyedImpostor(const Address& at, transport::TlsPtr tls);
  ~KeyedImpostor();
  KeyedImpostor(const KeyedImpostor&) = delete;
  KeyedImpostor& operator=(const KeyedImpostor&) = delete;
  Address address() const;
  std::uint64_t connections() const;
  /// That came after a handshake.
  std::uint64_t bytes_heard() const;

 private:
  struct Listening;
  std::unique_ptr<Listening> listening_;
};

bool says(const Error& error, const std::string& part);
/// Not connected: the error says so. CHECKs status and a part of the sentence.
void expect_refusal(Communicator& peer, Status status, const std::string& part);
std::vector<std::size_t> all_of(const Peers& peers);
/// These reduce, again where others were lost, until they get the sum over them. What went wrong; empty: nothing did.
/// In any thread.
std::string reduce_wrongly(const Peers& peers, const std::vector<std::size_t>& who);
/// CHECKs that nothing does.
void reduce_all(const Peers& peers);
void reduce_all(const Peers& peers, const std::vector<std::size_t>& who);

}  // namespace hawser::test
