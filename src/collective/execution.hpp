#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/frame.hpp"
#include "base/instant.hpp"
#include "base/signature.hpp"
#include "collective/work.hpp"

namespace hawser {

/// Every chunk may be sent up.
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// A payload that has come: where it lies, and who keeps it there. Without an owner it lies in its landing.
struct Payload {
  const std::byte* bytes = nullptr;
  std::shared_ptr<const void> owner{};
};

/// What one operation of a group does at one peer: takes the frames that come for it, and says what to send and what is
/// to be worked on payloads. Pure: its driver moves the bytes and runs the works, and each work's end comes back as
/// worked(). The memory of a call belongs to its works until all of them have come back.
///
/// Two kinds: PlannedCollective (collectives, by a plan) and SliceTransfer (shared state, by demand).
class Execution {
 public:
  /// A frame for another member: a chunk (up or down), or a control frame about one.
  struct Send {
    std::uint32_t to = 0;
    Direction direction = Direction::up;
    std::uint64_t chunk = 0;
    std::size_t bytes = 0;  ///< Of a chunk's payload.
    FrameKind kind = FrameKind::chunk;
    std::uint64_t count = 0;  ///< Of a control frame: how many chunks it is about.
  };
  /// A work, and the execution's own name for it.
  struct Order {
    std::uint64_t token = 0;
    Work work;
  };
  struct Output {
    std::vector<Send> sends;
    std::vector<Order> works;
  };
  enum class Verdict {
    expected,    ///< Take it.
    repeated,    ///< It was here before: read and forget.
    discarded,   ///< It is welcome, but nobody wants its content: read and forget.
    impossible,  ///< No correct peer sends this.
  };

  virtual ~Execution() = default;

  /// Sends what depends on nobody.
  virtual void start(Output& out) = 0;

  /// What a Send shall carry, when its turn has come. Stays as it is until sent() or the end of the execution. None
  /// while it is being made: the work for that is in `out`, or was ordered before. Ask again when a work has come back.
  virtual std::optional<std::span<const std::byte>> payload(Direction direction, std::uint64_t chunk, Output& out) = 0;
  /// The device that payload() lies on, and that arrived() will bring what comes to. Who sends it brings it to the host
  /// first. For chunks below chunks().
  virtual std::int32_t device_of(std::uint64_t /*chunk*/) const { return kOnHost; }
  /// That member has got a Send whole.
  virtual void sent(std::uint32_t to, Direction direction, std::uint64_t chunk, Output& out) = 0;
  /// A work has come back. Answers the rank that is at fault, if what it sent has not the content that it must have.
  virtual std::optional<std::uint32_t> worked(Instant now, std::uint64_t token, const WorkResult& result,
                                              Output& out) = 0;

  /// Chunks are numbered below this.
  virtual std::uint64_t chunks() const = 0;
  /// `bytes`: of the payload, before any compression.
  virtual Verdict judge(std::uint32_t from, Direction direction, std::uint64_t chunk, std::size_t bytes) const = 0;
  /// What an honest member's payload has. For chunks below chunks().
  virtual std::size_t payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const = 0;
  /// Bytes of one element of a payload of so many bytes: what compression shuffles by.
  virtual std::size_t stride(std::uint64_t chunk, std::size_t bytes) const = 0;
  /// Where the payload of an expected chunk on its way down may be written, once the work in `out`, if there is one,
  /// has made the original safe. Null if arrived() wants it elsewhere.
  virtual std::byte* landing(std::uint64_t chunk, Output& out) = 0;
  /// An expected chunk has come; on its way down it may lie in its landing.
  virtual void arrived(Instant now, std::uint32_t from, Direction direction, std::uint64_t chunk, Payload payload,
                       Output& out) = 0;

  /// A member has called, and takes control frames. May come again.
  virtual void ready(Instant, std::uint32_t /*member*/, Output&) {}
  enum class Heard {
    fine,
    cancels,     ///< The chunk that may wait to be sent to that member shall not be sent any more.
    impossible,  ///< No correct peer says that.
  };
  /// A control frame came.
  virtual Heard control_came(Instant, std::uint32_t /*from*/, FrameKind, std::uint64_t /*chunk*/,
                             std::uint64_t /*count*/, Output&) {
    return Heard::impossible;
  }
  virtual void tick(Instant, Output&) {}
  virtual std::optional<Instant> next_deadline() const { return std::nullopt; }

  /// All of the result is known here.
  virtual bool complete() const = 0;
  // The end, once all works have come back. Memory of tens of GiB takes seconds, so both come in slices: each call
  // gives the next work, of whole chunks and about `bytes`; without steps once all of them were given. They may run at
  // the same time, and end in any order.

  /// Once all members have the result: brings it into the receive buffer where that has not been done.
  virtual Work settle(std::size_t bytes) = 0;
  /// Puts an in-place buffer back as it was.
  virtual Work undo(std::size_t bytes) = 0;
  /// Likewise, at once and here, for when no work comes back any more: whatever works have done, those of settle() and
  /// undo() too. None may be under way. A second time nothing happens.
  virtual void undo_now() noexcept = 0;

  /// The first chunk that others may not send up yet. Grows; kNoLimit if there never was a limit.
  virtual std::uint64_t send_limit() const { return kNoLimit; }
  /// How much it shall have grown before the others are told.
  virtual std::uint64_t limit_step() const { return 1; }
  /// Up payloads are made when their turn comes and kept until they are there: how many bytes of them each
  /// link may have under way. None if they lie in the caller's memory anyway.
  virtual std::size_t up_window() const { return 0; }

  /// Payload bytes that the plan has this peer send to that rank in all; 0 too where there is no plan.
  virtual std::uint64_t planned_bytes(std::uint32_t /*to*/) const { return 0; }
  /// What the link would carry if it was all the time as busy as while it is busiest.
  virtual std::uint64_t paced_bytes(std::uint32_t to) const { return planned_bytes(to); }

  /// Ranks whose chunks are due next, for a complaint: those without whom this peer cannot go on.
  virtual std::vector<std::uint32_t> waiting_for() const = 0;
  /// Ranks that send to this peer at some time, and must know when it is ready for them.
  virtual std::vector<std::uint32_t> senders() const = 0;
  /// Ranks that it needs a link to though this peer's group has not all links, and they are none of its neighbours.
  virtual std::vector<std::uint32_t> further_links() const { return {}; }
  /// Relays have to take part, beside the members.
  virtual bool uses_relays() const { return false; }
  virtual PlanKind plan_kind() const = 0;
  virtual const std::string& plan_reason() const = 0;
  /// What the plan is expected to take; 0: nothing is known of the links.
  virtual double predicted_seconds() const { return 0; }
};

}  // namespace hawser
