#include "small_run.hpp"

#include <hawser_shared_state.h>
#include <hawser_status.h>
#include <netdb.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "failing_allocations.hpp"

namespace hawser::test {
namespace {

constexpr std::uint32_t kPeers = 2;
constexpr std::uint64_t kAsLongAsItTakes = ~std::uint64_t{0};

/// What the peers of a run share.
struct Shared {
  std::string master_address;
  std::string master_name;  ///< The same by name, where this machine knows one.
  std::atomic<std::uint32_t> over{0};  ///< Members that have made their last call.
  std::atomic<std::uint32_t> offers{0};
  std::atomic<bool> guest_is_over{false};
  std::mutex mutex;
  RunOutcome outcome;
};

[[noreturn]] void broken(const char* call, const std::string& promise) {
  std::fprintf(stderr, "%s: %s\n", call, promise.c_str());
  std::abort();
}

/// The last of a peer's calls but destroy: one that did not succeed.
struct LastCall {};

/// Until it is true, which another thread sees to.
void wait_until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

float value_of(std::uint32_t who, std::uint64_t i) { return static_cast<float>(i % 61 + who); }
float sum_at(std::uint64_t i) { return value_of(0, i) + value_of(1, i); }

class Peer {
 public:
  Peer(Shared& shared, std::uint32_t who) : shared_(shared), who_(who) {}

  void run() {
    this_thread_is_the_tests();
    try {
      join();
      reduce();
      others();
      list();
      look_at_status();
      shared_state();
      last_in_flight();
    } catch (const LastCall&) {
      ++shared_.over;
      destroy();
    }
  }

  /// A newcomer that prefetches what the others offer, and leaves as soon as one of them does.
  void run_as_guest() {
    this_thread_is_the_tests();
    wait_until([&] { return shared_.offers == kPeers || shared_.over != 0; });
    if (shared_.over == 0) prefetch();
    shared_.guest_is_over = true;
    wait_until([&] { return shared_.over != 0; });
    destroy();
  }

 private:
  /// Makes one call of the library; the result is a success, or an error with a sentence.
  hawserResult_t try_call(const char* name, const std::function<hawserResult_t()>& call, bool recorded = true) {
    const hawserResult_t result = [&] {
      const LibraryCall counted;
      return call();
    }();
    if (result == hawserSuccess) return result;
    const std::string sentence = hawserGetLastError();
    if (sentence.empty()) broken(name, "it fails without a word");
    if (result == hawserErrorInternal || result == hawserErrorInvalidUsage || result == hawserErrorInvalidArgument)
      broken(name, std::string(hawserGetResultName(result)) + ": " + sentence);
    const std::lock_guard lock(shared_.mutex);
    if (recorded) ++shared_.outcome.errors[name][result];
    return result;
  }
  void call(const char* name, const std::function<hawserResult_t()>& one) {
    if (try_call(name, one) != hawserSuccess) throw LastCall();
  }

  void destroy() {
    const auto code = try_call("destroy", [&] { return hawserCommDestroy(comm_); });
    if (code != hawserSuccess) broken("destroy", "it failed");
    comm_ = nullptr;
  }

  void create() {
    hawserCommConfig_t config = HAWSER_COMM_CONFIG_INIT;
    // The guest has to look it up.
    config.master = (who_ < kPeers ? shared_.master_address : shared_.master_name).c_str();
    config.connect_ms = 3000;
    config.master_redial_ms = 300;
    config.silence_ms = 2000;
    config.stall_ms = 2000;
    config.check_same_host = 1;
    config.connections_per_link = 2;
    call("create", [&] { return hawserCommCreate(&config, &comm_); });
  }

  void join() {
    create();
    call("connect", [&] { return hawserCommConnect(comm_); });
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    while (true) {
      call("info", [&] { return hawserCommGetInfo(comm_, &info); });
      if (info.world_size == kPeers) break;
      // The other one will not come any more.
      if (shared_.over != 0) throw LastCall();
      call("update", [&] { return hawserCommUpdateTopology(comm_); });
    }
    std::array<hawserMember_t, kPeers> members{hawserMember_t HAWSER_MEMBER_INIT};
    std::uint32_t count = 0;
    call("members", [&] { return hawserCommGetMembers(comm_, members.data(), kPeers, &count); });
    call("update", [&] { return hawserCommUpdateTopology(comm_); });
    rank_ = info.rank;
  }

  std::vector<float> input(std::uint64_t count) const {
    std::vector<float> values(count);
    for (std::uint64_t i = 0; i < count; ++i) values[i] = value_of(who_, i);
    return values;
  }

  void check(const char* name, hawserResult_t result, const std::vector<float>& send, const std::vector<float>& receive,
             float tolerance = 0) const {
    if (result != hawserSuccess && send != input(send.size())) broken(name, "its input has changed after an error");
    if (result != hawserSuccess) throw LastCall();
    for (std::uint64_t i = 0; i < receive.size(); ++i)
      if (std::abs(receive[i] - sum_at(i)) > tolerance) broken(name, "its result is wrong");
  }

  struct Reduction {
    const char* name;
    std::uint64_t count;
    bool in_place;
    hawserAllReduceOptions_t options;
    float tolerance = 0;
  };
  void reduce_once(const Reduction& what) {
    std::vector<float> send = input(what.count);
    std::vector<float> apart(what.in_place ? 0 : what.count);
    float* const receive = what.in_place ? send.data() : apart.data();
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const auto result = try_call(what.name, [&] {
      return hawserAllReduce(comm_, send.data(), receive, what.count, hawserFloat32, &what.options, &info);
    });
    check(what.name, result, send, what.in_place ? send : apart, what.tolerance);
  }

  void reduce() {
    const hawserAllReduceOptions_t plain = HAWSER_ALL_REDUCE_OPTIONS_INIT;
    hawserAllReduceOptions_t ring = plain;
    ring.plan = hawserPlanRing;
    hawserAllReduceOptions_t compressed = plain;
    compressed.compress = 1;
    hawserAllReduceOptions_t quantised = plain;
    quantised.quantization = {hawserQuantizeMinMax, hawserToUint8, 0, 0};
    reduce_once({"all-reduce", 1000, false, plain});
    reduce_once({"all-reduce in place", 100000, true, ring});
    reduce_once({"all-reduce, compressed", 50000, false, compressed});
    hawserResidual_t residual = nullptr;
    call("residual", [&] { return hawserResidualCreate(30000, hawserFloat32, &residual); });
    quantised.residual = residual;
    try {
      reduce_once({"all-reduce in place, quantised", 30000, true, quantised, 1});
      reduce_once({"all-reduce, quantised", 30000, false, quantised, 2});
    } catch (const LastCall&) {
      free_residual(residual);
      throw;
    }
    free_residual(residual);
  }

  void free_residual(hawserResidual_t residual) {
    if (try_call("residual destroy", [&] { return hawserResidualDestroy(residual); }) != hawserSuccess)
      broken("residual destroy", "it failed");
  }

  void others() {
    constexpr std::uint64_t kCount = 3000;
    std::vector<float> send = input(kPeers * kCount);
    const auto scattered = try_call("reduce-scatter in place", [&] {
      return hawserReduceScatter(comm_, send.data(), send.data() + rank_ * kCount, kCount, hawserFloat32, nullptr,
                                 nullptr);
    });
    check("reduce-scatter in place", scattered, send, {});
    const std::vector<float> own = input(kCount);
    std::vector<float> all(kPeers * kCount);
    call("all-gather", [&] {
      return hawserAllGather(comm_, own.data(), all.data(), kCount, hawserFloat32, nullptr, nullptr);
    });
    call("broadcast", [&] {
      return hawserBroadcast(comm_, own.data(), all.data(), kCount, hawserFloat32, 1, nullptr, nullptr);
    });
    call("barrier", [&] { return hawserBarrier(comm_, nullptr, nullptr); });
    hawserOptimizeInfo_t info = HAWSER_OPTIMIZE_INFO_INIT;
    call("optimize-topology", [&] { return hawserCommOptimizeTopology(comm_, nullptr, &info); });
  }

  /// Small tensors that are put together, and larger ones, in place and not.
  void list() {
    constexpr std::size_t kTensors = 14;
    std::vector<std::vector<float>> send;
    std::vector<std::vector<float>> receive;
    std::vector<hawserTensor_t> tensors;
    for (std::size_t i = 0; i < kTensors; ++i) {
      send.push_back(input(i < 10 ? 100 + i : 20000 + i));
      receive.emplace_back(i % 2 == 0 ? 0 : send[i].size());
    }
    for (std::size_t i = 0; i < kTensors; ++i)
      tensors.push_back(
          {send[i].data(), i % 2 == 0 ? send[i].data() : receive[i].data(), send[i].size(), hawserFloat32});
    hawserManyOptions_t options = HAWSER_MANY_OPTIONS_INIT;
    options.fuse_bytes = 2048;
    options.in_flight = 3;
    options.first_tag = 100;
    std::array<std::uint8_t, kTensors> done{};
    done.fill(7);
    const auto result = try_call("list", [&] {
      return hawserAllReduceMany(comm_, tensors.data(), kTensors, &options, nullptr, done.data());
    });
    for (std::size_t i = 0; i < kTensors; ++i) {
      // Before the call began nothing is told of the tensors.
      const bool is_done = result == hawserSuccess || done[i] == 1;
      if (result == hawserSuccess && done[i] != 1) broken("list", "it is a success, and a tensor is not done");
      check("list", hawserSuccess, {}, !is_done ? std::vector<float>{} : i % 2 == 0 ? send[i] : receive[i]);
      if (!is_done && send[i] != input(send[i].size())) broken("list", "the input of a tensor has changed");
    }
    if (result != hawserSuccess) throw LastCall();
  }

  void look_at_status() {
    hawserStatus_t status = nullptr;
    if (try_call("status", [&] { return hawserStatusQuery(shared_.master_address.c_str(), 2000, &status); }) !=
        hawserSuccess)
      return;
    hawserStatusInfo_t info = HAWSER_STATUS_INFO_INIT;
    (void)try_call("status info", [&] { return hawserStatusGetInfo(status, &info); });
    hawserStatusPeer_t peer = HAWSER_STATUS_PEER_INIT;
    for (std::uint32_t i = 0; i < info.peers; ++i)
      (void)try_call("status peer", [&] { return hawserStatusGetPeer(status, i, &peer); });
    if (try_call("status destroy", [&] { return hawserStatusDestroy(status); }) != hawserSuccess)
      broken("status destroy", "it failed");
  }

  /// Of two tensors, whole if both hold one number.
  struct State {
    static constexpr std::uint64_t kCount = 20000;
    explicit State(std::uint32_t who)
        : weights(kCount, static_cast<float>(who + 1)), momenta(kCount, static_cast<float>(who + 1)) {}
    bool is_whole() const { return momenta == weights && weights == std::vector<float>(kCount, weights.front()); }
    std::array<hawserStateTensor_t, 2> tensors() {
      return {hawserStateTensor_t{"weights", weights.data(), kCount, hawserFloat32, hawserMemoryByAddress, 0},
              hawserStateTensor_t{"momenta", momenta.data(), kCount, hawserFloat32, hawserMemoryByAddress, 0}};
    }
    std::vector<float> weights;
    std::vector<float> momenta;
  };

  void check_state(const char* name, const State& content, hawserSharedState_t state) {
    if (!content.is_whole() && hawserSharedStateSave(state, "/nowhere/at/all") != hawserErrorInvalidUsage)
      broken(name, "a state of two contents counts for a whole one");
  }

  void prefetch() try {
    State content(who_);
    const auto tensors = content.tensors();
    create();
    hawserSharedState_t state = nullptr;
    call("state create", [&] { return hawserSharedStateCreate(tensors.data(), tensors.size(), &state); });
    hawserPrefetchOptions_t options = HAWSER_PREFETCH_OPTIONS_INIT;
    options.bound_ms = 1000;
    hawserPrefetchInfo_t info = HAWSER_PREFETCH_INFO_INIT;
    (void)try_call("connect, prefetching", [&] { return hawserCommConnectPrefetch(comm_, state, &options, &info); });
    check_state("connect, prefetching", content, state);
    if (try_call("state destroy", [&] { return hawserSharedStateDestroy(state); }) != hawserSuccess)
      broken("state destroy", "it failed");
  } catch (const LastCall&) {
  }

  /// Admits the guest, if it comes that far.
  void admit_guest() {
    ++shared_.offers;
    hawserCommInfo_t info = HAWSER_COMM_INFO_INIT;
    int pending = 0;
    while (info.world_size <= kPeers) {
      // Not counted: how often depends on the guest.
      wait_until([&] {
        return hawserCommArePeersPending(comm_, &pending) != hawserSuccess || pending != 0 || shared_.guest_is_over ||
               shared_.over != 0;
      });
      if (shared_.over != 0 || (shared_.guest_is_over && pending == 0)) return;
      call("update", [&] { return hawserCommUpdateTopology(comm_); });
      call("info", [&] { return hawserCommGetInfo(comm_, &info); });
    }
  }

  /// The members come with different contents, of which one is elected.
  void shared_state() {
    State content(who_);
    const auto tensors = content.tensors();
    hawserSharedState_t state = nullptr;
    call("state create", [&] { return hawserSharedStateCreate(tensors.data(), tensors.size(), &state); });
    hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
    options.tag = 50;
    options.compress = 1;
    hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
    auto result = try_call("sync", [&] { return hawserSharedStateSync(comm_, state, &options, &info); });
    if (result == hawserSuccess && !content.is_whole()) broken("sync", "tensors differ after a success");
    check_state("sync", content, state);
    if (result == hawserSuccess) result = try_call("offer", [&] { return hawserSharedStateOffer(comm_, state); });
    try {
      if (result == hawserSuccess) admit_guest();
    } catch (const LastCall&) {
      result = hawserErrorSystem;
    }
    // The tensors go after this, whether or not it could be withdrawn.
    if (result == hawserSuccess) result = try_call("withdraw", [&] { return hawserSharedStateWithdraw(state); });
    if (try_call("state destroy", [&] { return hawserSharedStateDestroy(state); }) != hawserSuccess)
      broken("state destroy", "it failed");
    if (result != hawserSuccess) throw LastCall();
  }

  /// An operation that outlives its communicator.
  void last_in_flight() {
    std::vector<float> values = input(70000);
    hawserOp_t op = nullptr;
    call("async", [&] {
      return hawserAllReduceAsync(comm_, values.data(), values.data(), values.size(), hawserFloat32, nullptr, &op);
    });
    // Who destroys first ends it for both, so errors are no news here.
    (void)try_call("wait a moment", [&] { return hawserOpWait(op, 1, nullptr); }, false);
    if (who_ == 0) (void)try_call("wait", [&] { return hawserOpWait(op, kAsLongAsItTakes, nullptr); }, false);
    ++shared_.over;
    destroy();
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const auto result =
        try_call("wait after destroy", [&] { return hawserOpWait(op, kAsLongAsItTakes, &info); }, false);
    int ended = 0;
    if (try_call("test", [&] { return hawserOpTest(op, &ended); }) != hawserSuccess || ended != 1)
      broken("wait after destroy", "it came back before the end");
    if (try_call("op destroy", [&] { return hawserOpDestroy(op); }) != hawserSuccess)
      broken("op destroy", "it failed");
    check_last(result, values);
  }

  void check_last(hawserResult_t result, const std::vector<float>& values) const {
    if (result == hawserSuccess) return check("async", result, {}, values);
    if (values != input(values.size())) broken("async", "its input has changed after an error");
  }

  Shared& shared_;
  const std::uint32_t who_;
  std::uint32_t rank_ = 0;
  hawserComm_t comm_ = nullptr;
};

bool knows_localhost() {
  addrinfo* found = nullptr;
  if (::getaddrinfo("localhost", nullptr, nullptr, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

/// Not called by a peer: its errors end the run early, but are none of a peer's.
bool master_call(Shared& shared, const char* name, const std::function<hawserResult_t()>& call) {
  const hawserResult_t result = [&] {
    const LibraryCall counted;
    return call();
  }();
  if (result == hawserSuccess) return true;
  if (*hawserGetLastError() == '\0') broken(name, "it fails without a word");
  const std::lock_guard lock(shared.mutex);
  ++shared.outcome.errors[name][result];
  return false;
}

}  // namespace

RunOutcome small_run(std::uint64_t first, std::uint64_t length) {
  this_thread_is_the_tests();
  Shared shared;
  FailingAllocations::begin(first, length);
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = "127.0.0.1:0";
  config.bootstrap_ms = 20;
  config.silence_ms = 2000;
  config.stall_ms = 2000;
  hawserMaster_t master = nullptr;
  std::array<char, HAWSER_ADDRESS_BYTES> address{};
  bool up = master_call(shared, "master create", [&] { return hawserMasterCreate(&config, &master); });
  up = up && master_call(shared, "master start", [&] { return hawserMasterStart(master); });
  up = up && master_call(shared, "master address",
                         [&] { return hawserMasterGetAddress(master, address.data(), address.size()); });
  if (up) {
    shared.master_address = shared.master_name = address.data();
    if (knows_localhost()) shared.master_name.replace(0, shared.master_name.find(':'), "localhost");
    std::array<std::thread, kPeers + 1> threads;
    for (std::uint32_t who = 0; who < kPeers; ++who)
      threads[who] = std::thread([&shared, who] { Peer(shared, who).run(); });
    threads[kPeers] = std::thread([&shared] { Peer(shared, kPeers).run_as_guest(); });
    for (std::thread& thread : threads) thread.join();
  }
  if (!master_call(shared, "master destroy", [&] { return hawserMasterDestroy(master); }))
    broken("master destroy", "it failed");
  shared.outcome.failed = FailingAllocations::failed();
  shared.outcome.allocations = FailingAllocations::end();
  return std::move(shared.outcome);
}

}  // namespace hawser::test
