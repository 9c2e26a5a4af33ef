#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/badge.hpp"
#include "trust/cipher_block.hpp"
#include "trust/tls_context.hpp"

namespace hawser::trust {

/// TLS 1.3 of one connection, without its socket. Whoever drives it receives into room() and tells received(). It sends
/// what to_send() holds, and tells sent(). Several records pass with one such step. Not thread-safe.
///
/// Memory: what OpenSSL needs for one connection, and blocks of kCipherBlockBytes while ciphertext waits in one of the
/// two directions. Before the other side has proven who it is, no more than kHandshakeBytesMax are taken from it.
class TlsSession {
 public:
  enum class Side : std::uint8_t { accepting, dialling };
  static constexpr std::size_t kHandshakeBytesMax = 16 << 10;
  /// Messages of TLS's own, such as updates of the key, that the other side may send without content in between.
  static constexpr std::uint32_t kOwnMessagesMax = 32;
  /// An alert that a side without TLS answers to a handshake ("access_denied"), so that the other gives up at once.
  static constexpr std::array kNoKeysAlert{std::byte{0x15}, std::byte{3}, std::byte{3}, std::byte{0},
                                           std::byte{2},    std::byte{2}, std::byte{49}};

  /// Throws bad_alloc.
  TlsSession(std::shared_ptr<const TlsContext> context, Side side);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Ciphertext.

  /// Where to receive the next one. Empty once it has failed.
  std::span<std::byte> room();
  void received(std::size_t bytes);
  /// The connection ended.
  void received_end();
  std::span<const std::byte> to_send() const;
  void sent(std::size_t bytes);
  /// Gives memory back that is not needed now.
  void settle();

  // What it stands for. Each call does as much as it can with what was received.

  /// Goes on with the handshake; true once both sides are proven.
  bool shake_hands();
  /// Decrypts. 0: more has to be received, or it has ended or failed.
  std::size_t read(std::span<std::byte> into);
  /// Encrypts as much as to_send() has room for.
  std::size_t write(std::span<const std::byte> from);
  /// Says that nothing more is written under TLS.
  void say_end();
  /// What was received after the end of the other side's TLS, as it came.
  std::vector<std::byte> take_rest();

  // Getters.
  bool is_established() const { return is_established_; }
  /// Something was received that is not read yet: read() can go on without room().
  bool has_received() const;
  /// The other side said the end, or its connection ended.
  bool has_ended() const { return has_ended_; }
  bool has_said_end() const { return has_said_end_; }
  /// The other side said the end: what follows is not TLS.
  bool has_heard_end() const { return has_heard_end_; }
  /// Why it goes on no more, about "it", the other side; empty: it has not failed.
  const std::string& failure() const { return findings_.failure; }
  /// It failed because the connection ended amid the handshake, and nobody refused anything: the next one may pass.
  bool was_cut() const { return was_cut_; }
  /// Who the other side is; none before is_established().
  const std::optional<Badge>& badge() const { return findings_.badge; }

 private:
  using SslPtr = std::unique_ptr<SSL, Freed<SSL_free>>;

  static BIO_METHOD* bio_method();
  static int bio_read(BIO* bio, char* into, std::size_t bytes, std::size_t* count);
  static int bio_write(BIO* bio, const char* from, std::size_t bytes, std::size_t* count);
  static long bio_control(BIO* bio, int command, long, void*);
  static void message_callback(int is_sent, int version, int kind, const void* bytes, std::size_t count, SSL* ssl,
                               void* session);

  void check_first_byte();
  void finish_handshake();
  void change_key();
  void stop(int outcome);
  void fail(std::string why);
  std::string describe(unsigned long code) const;

  std::shared_ptr<const TlsContext> context_;
  Side side_;
  TlsContext::Findings findings_;
  CipherBlock in_;
  CipherBlock out_;
  std::size_t handshake_bytes_ = 0;  ///< Received before it was established.
  std::uint64_t records_ = 0;        ///< Written under the current key.
  std::uint32_t own_messages_ = 0;   ///< Read since the latest content.
  bool connection_ended_ = false;
  bool is_established_ = false;
  bool was_cut_ = false;
  bool has_ended_ = false;
  bool has_heard_end_ = false;
  bool has_said_end_ = false;
  SslPtr ssl_;
};

}  // namespace hawser::trust
