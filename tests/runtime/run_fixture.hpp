#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/address.hpp"
#include "catch.hpp"
#include "device/sim_devices.hpp"
#include "runtime/communicator.hpp"
#include "runtime/master.hpp"

namespace hawser::test {

using Peers = std::vector<std::unique_ptr<Communicator>>;

/// A run of this test on real sockets of the loopback: a master and as many peers as one likes, each on its
/// own threads. Bounds are short, so that a failing test ends soon.
class TestRun {
 public:
  struct Options {
    std::string listen_host = "127.0.0.1";
    MasterConfig bounds{.silence = seconds(3),
                        .stall = seconds(3),
                        .call_wait = seconds(20),
                        .recovery = seconds(3),
                        .bootstrap = milliseconds(300),
                        .link_open = seconds(5),
                        .mismatch_grace = milliseconds(300)};
    std::string secret_file{};  ///< Of master and peers. Empty: without keys.
    bool insecure = false;  ///< Without keys, and reached from elsewhere.
    std::string rules_file{};
  };
  explicit TestRun(Options options);
  TestRun() : TestRun(Options{}) {}

  const Address& address() const { return address_; }
  Master& master() { return *master_; }
  void stop_master();
  /// On the same port.
  void restart_master();

  CommunicatorConfig config() const;
  std::unique_ptr<Communicator> peer(const CommunicatorConfig& config) const;
  std::unique_ptr<Communicator> peer() const { return peer(config()); }

  /// So many peers, connected and all in one view.
  Peers assemble(std::size_t count);
  Peers assemble(std::size_t count, const std::function<void(std::size_t, CommunicatorConfig&)>& change);

 private:
  void start_master();

  Options options_;
  Address address_;
  std::unique_ptr<Master> master_;
};

/// Connects, and updates the topology until the world has so many members.
Result<void> join(Communicator& peer, std::uint32_t world_size);

/// Runs `body(rank in the list, peer)` for each peer in a thread of its own, and waits for all. Without INFO: messages
/// of several threads at once break the test's memory.
void on_all(const Peers& peers, const std::function<void(std::size_t, Communicator&)>& body);

/// What peer number `who` contributes at `index`: whole numbers, so that sums are exact in any order.
inline float contribution(std::size_t who, std::uint64_t index) {
  return static_cast<float>((index * 7 + who * 13) % 101 + who);
}
std::vector<float> contribution_of(std::size_t who, std::uint64_t count);
/// The sum over these.
std::vector<float> sum_of(const std::vector<std::size_t>& who, std::uint64_t count);

/// Compares without printing millions of numbers.
bool is_sum_of(const std::vector<float>& result, const std::vector<std::size_t>& who);

/// The simulated devices, where HAWSER_DEVICE names them; null otherwise.
device::SimDevices* sim_devices();

/// Floats on a simulated device: zeros, or written there by a stream of their own, late.
class DeviceVector {
 public:
  DeviceVector(std::uint64_t count, int device);
  DeviceVector(const std::vector<float>& values, int device);
  std::byte* bytes() const { return memory_->bytes(); }
  std::uintptr_t stream() const { return stream_; }
  /// Once the stream has done all that is on it.
  std::vector<float> values() const;

 private:
  int device_;
  std::size_t bytes_;
  std::unique_ptr<device::Memory> memory_;
  std::uintptr_t stream_ = 0;
};

struct ReduceOnce {
  std::uint64_t count = 1000;
  bool in_place = false;
  ReduceOp op = ReduceOp::sum;
  PlanKind plan = PlanKind::automatic;
  std::uint64_t tag = 0;
};
/// The outcome at one peer; `result` is empty unless it was a success, `input_intact` says whether the input
/// is as before (out of place always, in place after an error).
struct Outcome {
  Status status = Status::internal;
  std::string sentence;
  std::vector<float> result;
  bool input_intact = false;
  std::optional<CollectiveInfo> info;
};
Outcome reduce_once(std::size_t who, Communicator& peer, const ReduceOnce& what);

/// Lets a member die once `receiver` has got so much more; both are to be in one call meanwhile. The receiver, if it is
/// another one, takes nothing more before the victim is gone.
class Killer {
 public:
  Killer(Communicator& receiver, Communicator& victim, std::uint64_t after) {
    const bool waits = &receiver != &victim;
    thread_ = std::thread([this, &victim] {
      CHECK(reached_.get_future().wait_for(std::chrono::seconds(20)) == std::future_status::ready);
      victim.vanish();
      gone_.set_value();
    });
    receiver.interrupt_after(after, [this, waits] {
      reached_.set_value();
      if (waits) gone_.get_future().wait();
    });
  }
  ~Killer() { thread_.join(); }
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

 private:
  std::promise<void> reached_;
  std::promise<void> gone_;
  std::thread thread_;
};

/// Waits, within a bound, until it is true. For what no call of the API waits for.
bool eventually(const std::function<bool()>& condition);

}  // namespace hawser::test
