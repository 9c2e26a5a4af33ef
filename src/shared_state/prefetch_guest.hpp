#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "collective/execution.hpp"
#include "shared_state/prefetch.hpp"
#include "shared_state/swarm.hpp"

namespace hawser {

/// A guest's side of prefetching: asks the servers what they offer, takes the highest revision on offer (of several
/// with one revision that which most servers have), fetches its catalog and then whatever slices it lacks, and begins
/// again when a higher one comes. Until the peer is admitted it goes on; when it has everything, when there is
/// nothing to have, when higher revisions come faster than their content, or after its bound, the peer may be
/// admitted. Pure.
class PrefetchGuest {
 public:
  PrefetchGuest(Instant now, std::shared_ptr<PrefetchTarget> target);

  /// Whom it may ask, from now on.
  void servers(Instant now, const std::vector<PeerId>& servers, std::vector<PrefetchSend>& out);
  /// A have of a server's.
  void offered(Instant now, PeerId server, const FrameHeader& frame, std::vector<PrefetchSend>& out);
  /// Whether a chunk that begins to come in is of use; else it may be read and forgotten.
  bool expects(PeerId server, const FrameHeader& frame) const;
  /// The device that the content of such a chunk will be brought to.
  std::int32_t device_of(const FrameHeader& frame) const;
  /// It has come whole. A slice is checked, and brought to its place, by a work; to a device by another one. False: it
  /// is not what it must be.
  bool chunk_came(Instant now, PeerId server, const FrameHeader& frame, Payload payload, std::vector<PrefetchSend>& out,
                  std::vector<Execution::Order>& works);
  /// A work has come back. The target is in use until all have, after end() too. False: that slice was not what it must
  /// be.
  bool worked(Instant now, std::uint64_t token, bool right, std::vector<PrefetchSend>& out,
              std::vector<Execution::Order>& works);

  /// The peer may be admitted.
  bool over() const { return over_; }
  /// It has been admitted, or is out: it expects nothing any more. What came of it is in the target once no work is
  /// under way.
  void end(Instant now);
  void tick(Instant now, std::vector<PrefetchSend>& out);
  std::optional<Instant> next_deadline() const;

 private:
  struct Server {
    bool answered = false;
    std::uint64_t revision = 0;
    std::uint64_t number = 0;
    std::uint64_t mark = 0;
    std::uint64_t pieces = 0;  ///< 0: offers nothing.
    bool useless = false;      ///< What it offers does not fit, or is not what it says.
    std::uint32_t swarm_number = 0;
  };
  /// One content, whoever offers it.
  struct Content {
    std::uint64_t revision = 0;
    std::uint64_t mark = 0;
    std::uint64_t pieces = 0;
    friend auto operator<=>(const Content&, const Content&) = default;
  };
  static Content content_of(const Server& server) {
    return {.revision = server.revision, .mark = server.mark, .pieces = server.pieces};
  }

  void choose(Instant now, std::vector<PrefetchSend>& out);
  void overtaken();
  void ask_catalog(Instant now, std::vector<PrefetchSend>& out);
  /// A slice of a server's.
  struct Arrival {
    PeerId from;
    std::uint32_t swarm_number = 0;
    Payload payload;
  };
  /// A slice in its work.
  struct Check {
    Arrival arrival;
    Digest128 wanted;
    Digest128 before;              ///< Of what lay in its place.
    bool is_of_other = false;      ///< Of a content that is not being fetched any more.
    bool uploading = false;        ///< It is right, and on its way to the device.
    std::vector<Arrival> waiting;  ///< Further copies that came meanwhile.
  };

  void check(std::uint64_t slice, Arrival arrival, std::vector<Arrival> waiting, std::vector<Execution::Order>& works);
  void upload(std::uint64_t slice, Check& check, std::vector<Execution::Order>& works);
  bool catalog_came(Instant now, std::vector<PrefetchSend>& out);
  void join_swarm(Instant now, PeerId peer, Server& server, std::vector<PrefetchSend>& out);
  void leave_swarm(Instant now, Server& server, std::vector<PrefetchSend>& out);
  void forget_catalog();
  void say(std::vector<PrefetchSend>& out);
  void send(PeerId to, const Server& server, FrameKind kind, std::uint64_t chunk, std::vector<PrefetchSend>& out) const;
  bool whole() const { return swarm_ && swarm_->complete() && swarm_->given_up().empty(); }
  void check_over(Instant now);
  StateContent::Slice place(std::uint64_t slice) const;

  std::shared_ptr<PrefetchTarget> target_;
  Instant began_;
  std::map<PeerId, Server> servers_;
  bool had_servers_ = false;
  std::optional<Instant> idle_since_;  ///< Nothing that is of use is on offer.
  std::optional<Content> content_;  ///< That is being fetched.
  // Its catalog, while that is not here.
  std::optional<PeerId> catalog_from_;
  std::optional<PeerId> last_asked_;
  Instant catalog_asked_{};
  std::vector<std::vector<std::byte>> catalog_;  ///< Its pieces; empty: not here.
  // And then its slices. Of tensors that may differ between members only the catalog's server has these.
  std::optional<PeerId> catalog_server_;
  std::unique_ptr<Swarm> swarm_;
  std::vector<Digest128> wanted_;
  std::vector<std::uint64_t> starts_;  ///< The first slice of each tensor.
  std::size_t swarm_peers_ = 0;        ///< That have a number, at most.
  std::vector<PeerId> numbered_;       ///< Servers in the swarm, by number; the guest itself is 0.
  std::vector<SwarmMessage> messages_;
  std::map<std::uint64_t, Check> checks_;  ///< By slice.
  int catalogs_missed_ = 0;            ///< In a row.
  bool over_ = false;
  bool ended_ = false;
};

}  // namespace hawser
