#pragma once

#include <memory>
#include <string>

#include "device/devices.hpp"

namespace hawser::device {

/// How the simulated devices behave.
struct SimConfig {
  int devices = 2;
  std::uint64_t seed = 1;
  /// Of each stream's copies, bytes per second; 0: as fast as the host.
  double bytes_per_second = 0;
  /// Before each piece of work: a random time up to this.
  std::chrono::microseconds delay_most{200};
  /// One in so many pieces of work fails, and with it its stream; 0: none.
  std::uint64_t fails_one_in = 0;
  /// Streams run kernels. Otherwise these devices are as GPUs for which this build has no code.
  bool kernels = true;
  /// Of each device.
  std::size_t memory_bytes = std::size_t{4} << 30;
};
/// "seed=7,gbit=100,delay_us=50,fails=1000,devices=2,mib=512,kernels=0". Error: invalid_argument.
Result<SimConfig> parse_sim_config(const std::string& text);

/// Devices without hardware. Their memory faults when the host touches it (SIGSEGV), as a forgotten copy must. Their
/// streams are threads: asynchronous, late, and sometimes failing, by a seed.
///
/// What is not in Devices is for those who own tensors there: tests, benchmarks, churn.
class SimDevices : public Devices {
 public:
  static std::unique_ptr<SimDevices> make(SimConfig config);

  /// Copies at once, past all streams, wherever the bytes lie. Aborts where they reach beyond an allocation.
  virtual void copy_now(void* to, const void* from, std::size_t bytes) = 0;
  /// Where a device sees these bytes: for tests that play what runs on it. Aborts as copy_now() does.
  virtual std::byte* seen_by_device(const void* address, std::size_t bytes) = 0;
  /// A stream for callers of record_on(); lasts as long as the devices.
  virtual std::uintptr_t make_user_stream(int device) = 0;
  /// As record_on(), whatever the stream's device.
  virtual Result<std::shared_ptr<Event>> record_on_user_stream(std::uintptr_t stream) = 0;
  /// Puts a late write on such a stream: the bytes are copied now, and written when the stream gets there.
  virtual Result<void> upload_on(std::uintptr_t stream, void* to, const void* from, std::size_t bytes) = 0;

  /// From now on all work of that device fails.
  virtual void break_device(int device) = 0;
  /// From now on nothing ends on streams of that device but those of callers. They may not be destroyed any more.
  virtual void hang_device(int device) = 0;
  /// From now on, or no longer: whatever may wait for all streams (Devices) waits for the callers' that stand
  /// at a gate, and for a device that hangs. After 5 s it has waited in vain, and goes on.
  virtual void wait_for_gates(bool waits) = 0;

  struct Counters {
    std::uint64_t bytes_down = 0;  ///< By copies of streams, from devices to the host.
    std::uint64_t bytes_up = 0;
    std::uint64_t launches = 0;  ///< Of kernels.
    std::uint64_t pinned_bytes_most = 0;
    std::uint64_t pageable_copies = 0;  ///< By streams.
    std::uint64_t waited_in_vain = 0;  ///< See wait_for_gates().
    std::uint64_t device_bytes = 0;    ///< Of memory of all devices, now.
  };
  virtual Counters counters() const = 0;
};

}  // namespace hawser::device
