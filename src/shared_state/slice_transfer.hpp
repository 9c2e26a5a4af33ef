#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/digest128.hpp"
#include "base/link_layout.hpp"
#include "collective/execution.hpp"
#include "shared_state/swarm.hpp"

namespace hawser {

/// A tensor that some members lack, as one member sees it.
struct TransferPart {
  std::uint32_t tensor = 0;   ///< In the shared state.
  std::byte* data = nullptr;  ///< This member's memory of it, `bytes` long.
  std::int32_t device = kOnHost;  ///< Where that is.
  std::uint64_t bytes = 0;
  std::size_t element_bytes = 1;
  std::vector<std::uint32_t> holders;    ///< Ranks, ascending.
  std::vector<std::uint32_t> receivers;  ///< Ranks, ascending.
  std::vector<Digest128> digests;        ///< What its slices must have.
};

/// One transfer, and what has become of it. Lives until its caller and its execution are done with it.
struct TransferCall {
  std::vector<TransferPart> parts;
  std::vector<bool> has;  ///< Slices, numbered through all parts, that this member has.

  // Written while it runs; to be read once the call has ended, the two counters at any time.
  std::vector<bool> came;                          ///< Has come, and its digest is right.
  std::vector<bool> touched;                       ///< Its memory may have been written to.
  std::map<std::uint32_t, std::uint64_t> bytes_from;  ///< Of slices that came, by rank.
  struct Bad {
    std::uint32_t from = 0;
    std::uint64_t slice = 0;
  };
  std::vector<Bad> bad;  ///< Came with another digest.
  std::uint64_t bytes_again = 0;  ///< That came though the slice was here already, or with a wrong digest.
  std::atomic<std::uint64_t> bytes_missing{0};
  std::atomic<std::uint64_t> bytes_came{0};

  struct Place {
    std::size_t part = 0;
    std::uint64_t slice = 0;  ///< In the part.
  };
  Place place(std::uint64_t slice) const;
};

/// A transfer of slices at one member: whom to ask for what is the Swarm's to say; here are the memory, the
/// digests (as works) and the frames. Slices travel as chunks on their way down, messages as control frames.
/// What has come stays when the transfer is aborted: TransferCall tells. A slice that belongs on a device is checked on
/// the host, and uploaded by a work of its own.
class SliceTransfer final : public Execution {
 public:
  SliceTransfer(std::shared_ptr<TransferCall> call, std::uint32_t rank, std::uint32_t world_size,
                const LinkLayout& links = {});

  void start(Output& out) override;
  std::optional<std::span<const std::byte>> payload(Direction direction, std::uint64_t chunk, Output& out) override;
  void sent(std::uint32_t to, Direction direction, std::uint64_t chunk, Output& out) override;
  std::optional<std::uint32_t> worked(Instant now, std::uint64_t token, const WorkResult& result, Output& out) override;
  std::int32_t device_of(std::uint64_t chunk) const override { return call_->parts[part_of(chunk)].device; }
  std::uint64_t chunks() const override { return swarm_.slices(); }
  Verdict judge(std::uint32_t from, Direction direction, std::uint64_t chunk, std::size_t bytes) const override;
  std::size_t payload_bytes(std::uint32_t from, Direction direction, std::uint64_t chunk) const override;
  std::size_t stride(std::uint64_t chunk, std::size_t bytes) const override;
  std::byte* landing(std::uint64_t chunk, Output& out) override;
  void arrived(Instant now, std::uint32_t from, Direction direction, std::uint64_t chunk, Payload payload,
               Output& out) override;
  void ready(Instant now, std::uint32_t member, Output& out) override;
  Heard control_came(Instant now, std::uint32_t from, FrameKind kind, std::uint64_t chunk, std::uint64_t count,
                  Output& out) override;
  void tick(Instant now, Output& out) override;
  std::optional<Instant> next_deadline() const override { return swarm_.next_deadline(); }
  bool complete() const override { return swarm_.complete(); }
  Work settle(std::size_t) override { return {}; }
  Work undo(std::size_t) override { return {}; }
  void undo_now() noexcept override {}
  std::vector<std::uint32_t> waiting_for() const override { return swarm_.waiting_for(); }
  std::vector<std::uint32_t> senders() const override { return linked_; }
  std::vector<std::uint32_t> further_links() const override { return beside_; }
  PlanKind plan_kind() const override { return PlanKind::direct; }
  const std::string& plan_reason() const override;

 private:
  std::size_t part_of(std::uint64_t chunk) const;
  std::span<std::byte> memory(std::uint64_t chunk) const;
  void say(Output& out);
  struct Arrival {
    std::uint32_t from = 0;
    Payload payload;
  };
  struct Checking {
    std::vector<Arrival> copies;  ///< The first is in a work; the others came meanwhile.
    bool uploading = false;       ///< It is right, and on its way to the device.
  };
  void check(std::uint64_t chunk, std::vector<Arrival> copies, Output& out);
  void upload(std::uint64_t chunk, Checking& checking, Output& out);

  std::shared_ptr<TransferCall> call_;
  std::vector<std::uint32_t> beside_;  ///< Whom it has links to though they are no neighbours,
  std::vector<std::uint32_t> linked_;  ///< and all that it has links to. Others it neither asks nor serves.
  std::vector<std::uint64_t> starts_;  ///< The first slice of each part.
  Swarm swarm_;
  std::vector<bool> ready_;
  std::vector<SwarmMessage> messages_;
  std::map<std::uint64_t, Checking> checked_;  ///< Slices whose content is being checked.
};

}  // namespace hawser
