#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "checkpoint/checkpoint_file.hpp"
#include "device/memory_pool.hpp"
#include "device/patient_stream.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/content.hpp"

namespace hawser {

/// The tensors of one shared state that lie on devices, for calls that read or write them in their own threads: through
/// pinned memory, piece by piece, beside what the host does with the piece before. (Slices that travel are the
/// engine's.) One call at a time, whose threads share it.
class DeviceTensors {
 public:
  /// Of a call without a communicator, which has none: a device that takes longer for a piece hangs.
  static constexpr std::chrono::milliseconds kPatience{60000};
  static constexpr std::size_t kPieceBytes = 2 * kDigestSliceBytes;
  /// Threads that may read at the same time; each has two pieces.
  static constexpr unsigned kReadersMost = 8;

  /// Null where all tensors lie on the host.
  static std::unique_ptr<DeviceTensors> of(const std::vector<StateTensor>& tensors, device::Devices& devices);
  ~DeviceTensors();

  const std::set<std::int32_t>& used() const { return used_; }

  /// A call begins: waits for what is on the caller's streams now, for as long as that takes. That is `stream` where it
  /// belongs to a device that holds tensors, and the default stream of each other one. `go_on` is asked now and then;
  /// its error ends the waiting. Errors: system; invalid_argument for a stream of no such device.
  Result<void> begin(std::uintptr_t stream, std::chrono::milliseconds patience,
                     const std::function<Result<void>()>& go_on);
  /// Between a tensor and the host. Blocks. Error: system.
  Result<void> copy(std::int32_t device, const CopyBytes& copy);

  /// What next() gives is valid until the next call. For one thread.
  class Reader final : public ContentReader {
   public:
    explicit Reader(DeviceTensors& owner) : owner_(owner) {}
    ~Reader() override;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    /// From now on next() gives these bytes.
    Result<void> begin(std::int32_t device, std::span<const std::byte> content);
    Result<std::span<const std::byte>> next() override;

   private:
    struct Piece {
      PooledBuffer buffer;
      std::size_t bytes = 0;
      std::shared_ptr<device::Event> here;
    };
    Result<void> fetch(Piece& piece);

    DeviceTensors& owner_;
    std::span<const std::byte> left_;  ///< Not asked for.
    std::array<Piece, 2> pieces_;
    std::size_t oldest_ = 0;
    std::int32_t device_ = kOnHost;
    std::map<std::int32_t, std::unique_ptr<device::PatientStream>> streams_;
  };
  class Writer final : public ContentWriter {
   public:
    Writer(DeviceTensors& owner, std::span<std::byte> content) : owner_(owner), left_(content) {}
    ~Writer() override;
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    Result<void> begin(std::int32_t device);
    Result<std::span<std::byte>> room() override;
    Result<void> filled() override;
    Result<void> finish() override;

   private:
    struct Piece {
      PooledBuffer buffer;
      std::shared_ptr<device::Event> gone;  ///< Null while nothing of it is under way.
    };
    Result<void> wait(Piece& piece);
    std::size_t next_bytes() const { return std::min(left_.size(), kPieceBytes); }

    DeviceTensors& owner_;
    std::int32_t device_ = kOnHost;
    std::span<std::byte> left_;
    std::array<Piece, 2> pieces_;
    std::size_t oldest_ = 0;
    std::unique_ptr<device::PatientStream> stream_;
  };
  /// Neighbouring slices of one tensor.
  struct Row {
    StateContent::Slice first;
    std::uint64_t slices = 0;
  };
  static std::span<const std::byte> memory_of(const StateContent& content, const Row& row);
  /// Whether the devices can digest what they have. Then only digests come to the host, and digest() serves; otherwise
  /// slices do, with a Reader.
  bool can_digest() const;
  /// Of so many slices at a time.
  static constexpr std::uint64_t kDigestedMost = 4096;
  /// Digests rows of at most that many slices each. Blocks. Error: system.
  Result<void> digest(StateContent& content, std::span<const Row> rows);
  /// For a checkpoint.
  Result<std::unique_ptr<ContentReader>> read(const StateTensor& tensor);
  Result<std::unique_ptr<ContentWriter>> write(const StateTensor& tensor);

 private:
  DeviceTensors(std::set<std::int32_t> used, device::Devices& devices);
  Result<void> digest_some(StateContent& content, std::int32_t device, std::span<const Row> rows);
  Result<std::unique_ptr<device::PatientStream>> make_stream(std::int32_t device);
  Result<void> wait(std::int32_t device, device::PatientStream& stream, device::Event& event);
  void end(std::int32_t device, std::unique_ptr<device::PatientStream> stream) noexcept;
  PooledBuffer take();

  std::set<std::int32_t> used_;
  device::Devices& devices_;
  std::shared_ptr<device::MemoryPool> pool_;
  std::chrono::milliseconds patience_ = kPatience;
  std::map<std::int32_t, std::unique_ptr<device::Memory>> digests_;  ///< Where the devices write them.
  /// One that hangs, and may still write to the pool's memory.
  std::atomic<std::int32_t> hung_{kOnHost};
};

}  // namespace hawser
