#include "bench/lone_member.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "bench/member.hpp"
#include "bench/payload.hpp"
#include "bench/process_usage.hpp"
#include "byte_text.hpp"
#include "hawser_status.h"
#include "status_report.hpp"

namespace hawser::bench {
namespace {

/// Of one call, at the slowest member.
struct Row {
  float ms = 0;
  float wrong = 0;
};

constexpr std::uint64_t kTagBeside = 2;

/// All-reduces that are under way while something else is measured.
class Bulk {
 public:
  Bulk(Communicator& comm, std::uint64_t bytes, std::uint32_t world)
      : comm_(comm), world_(static_cast<float>(world)), send_(std::max<std::uint64_t>(2, bytes / sizeof(float)), 1.0F) {
    receive_.resize(send_.size());
    thread_ = std::jthread([this] { reduce(); });
  }
  /// Of one that was not ended: something has failed.
  ~Bulk() {
    if (thread_.joinable()) (void)hawserCommClose(comm_.handle());
  }
  Bulk(const Bulk&) = delete;
  Bulk& operator=(const Bulk&) = delete;
  /// After the call that is under way. All members end after the same one, which tells that all want to.
  Result<void> end() {
    wants_to_end_ = true;
    thread_.join();
    if (failure_) return *failure_;
    return {};
  }
  bool all_right() const { return all_right_; }
  std::uint32_t calls() const { return calls_; }

 private:
  void reduce() {
    // Of the rest any one is as good as another.
    constexpr std::size_t kCheckEvery = 997;
    do {
      send_[0] = wants_to_end_ ? 1.0F : 0.0F;
      hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
      options.tag = kTagBeside;
      const auto result = hawserAllReduce(comm_.handle(), send_.data(), receive_.data(), send_.size(), hawserFloat32,
                                          &options, nullptr);
      if (result != hawserSuccess) {
        failure_ = Failure{.code = result, .sentence = hawserGetLastError()};
        return;
      }
      ++calls_;
      for (std::size_t i = 1; i < receive_.size(); i += kCheckEvery) all_right_ = all_right_ && receive_[i] == world_;
    } while (receive_[0] < world_);
  }

  Communicator& comm_;
  float world_;
  std::vector<float> send_, receive_;
  std::atomic<bool> wants_to_end_ = false;
  std::optional<Failure> failure_;
  bool all_right_ = true;
  std::uint32_t calls_ = 0;
  std::jthread thread_;
};

class LoneMember {
 public:
  LoneMember(Communicator& comm, const LoneMemberOptions& options, const hawserCommInfo_t& info)
      : comm_(comm),
        options_(options),
        kind_(kind_of(options.all_reduce.names)),
        payload_(kind_, info.rank, info.group_size),
        rank_(info.rank),
        is_first_(info.rank == 0),
        world_(info.group_size) {
    const std::uint64_t most = *std::ranges::max_element(options.all_reduce.sizes);
    send_.resize(std::max<std::uint64_t>(kind_.element_bytes, most));
    receive_.resize(send_.size());
  }

  Result<void> optimize() {
    const auto probed = comm_.optimize_topology();
    if (!probed) return probed.error();
    std::vector<float> most{static_cast<float>(probed->total_us) / 1e3F, static_cast<float>(probed->wait_us) / 1e3F};
    std::vector<float> sum{static_cast<float>(probed->measured), static_cast<float>(probed->lower_bounds),
                           static_cast<float>(probed->silent),
                           static_cast<float>(static_cast<double>(probed->bytes_sent) / 1e6)};
    if (auto told = comm_.all_reduce(std::span(most), {.op = hawserMax}); !told) return told.error();
    if (auto told = comm_.all_reduce(std::span(sum)); !told) return told.error();
    if (!is_first_) return {};
    std::printf(
        "optimize-topology: %.0f ms (at most %.0f ms of it until all had called), %.0f links measured, of these "
        "%.0f by a lower bound, %.0f let nothing through, %.1f MB sent\n",
        most[0], most[1], sum[0], sum[1], sum[2], sum[3]);
    hawserStatus_t status = nullptr;
    if (const auto code = hawserStatusQueryWithMatrix(options_.master.c_str(), 0, &status); code != hawserSuccess)
      return Failure{.code = code, .sentence = hawserGetLastError()};
    const std::unique_ptr<hawserStatus, decltype(&hawserStatusDestroy)> owner(status, hawserStatusDestroy);
    std::printf("%s\n", matrix_tables(read_status(options_.master, status)).c_str());
    std::fflush(stdout);
    return {};
  }

  Result<void> run() {
    if (is_first_)
      std::printf("%u members, %s\n%10s %6s %10s %12s %10s %10s  %s\n", world_, options_.all_reduce.names.type.c_str(),
                  "bytes", "call", "ms", "expected ms", "commit ms", "Mbit/s", "plan");
    std::optional<Bulk> bulk;
    if (options_.beside_bytes > 0) bulk.emplace(comm_, options_.beside_bytes, world_);
    for (const std::uint64_t bytes : options_.all_reduce.sizes) {
      time_is_over_ = false;
      size_begun_at_ = Clock::now();
      for (std::uint32_t call = 1; is_wanted(call); ++call)
        if (auto done = measure(call, bytes); !done) return done;
    }
    if (auto told = tell_cost(); !told) return told;
    if (bulk) {
      if (auto ended = bulk->end(); !ended) return ended;
      all_right_ = all_right_ && bulk->all_right();
      if (is_first_)
        std::printf("%u calls of %s beside them%s\n", bulk->calls(),
                    byte_text(static_cast<double>(options_.beside_bytes)).c_str(),
                    bulk->all_right() ? "" : "  WRONG");
    }
    if (options_.kill_at_percent > 0)
      if (auto done = lose_one(options_.all_reduce.sizes.back()); !done) return done;
    // Nobody leaves while another still waits for its last result.
    if (auto together = comm_.barrier(); !together) return together.error();
    return {};
  }
  bool all_right() const { return all_right_; }

 private:
  /// Alike at all members.
  bool is_wanted(std::uint32_t call) const {
    constexpr std::uint32_t kLeastRounds = 3;
    if (options_.all_reduce.seconds > 0) return call <= kLeastRounds || !time_is_over_;
    return call <= options_.all_reduce.rounds;
  }

  /// CPU time of all members in the calls alone, without the filling and the checking of buffers.
  Result<void> tell_cost() {
    std::vector<double> sum{cpu_s_};
    if (auto told = comm_.all_reduce(std::span(sum), {.tag = 1}); !told) return told.error();
    constexpr double kGib = 1 << 30;
    if (is_first_)
      std::printf("CPU: %.3f s of all members in %u calls, %.3f s per GiB and member\n", sum[0], calls_,
                  sum[0] / world_ / (static_cast<double>(bytes_) / kGib));
    return {};
  }

  Result<void> measure(std::uint32_t call, std::uint64_t bytes) {
    const std::uint64_t count = std::max<std::uint64_t>(1, bytes / kind_.element_bytes);
    const std::span<std::byte> send = std::span(send_).first(count * kind_.element_bytes);
    const std::span<std::byte> receive = std::span(receive_).first(send.size());
    payload_.fill(call, send);
    std::ranges::fill(receive, std::byte{0xff});
    if (auto together = comm_.barrier(); !together) return together.error();
    hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
    const double cpu_before_s = process_usage().cpu_s;
    const auto begin = Clock::now();
    if (options_.updates)
      if (auto updated = comm_.update_topology(); !updated) return updated.error();
    const auto result = hawserAllReduce(comm_.handle(), send.data(), receive.data(), count, kind_.type, &kind_.options,
                                        &info);
    const double seconds = seconds_since(begin);
    if (result != hawserSuccess) return Failure{.code = result, .sentence = hawserGetLastError()};
    cpu_s_ += process_usage().cpu_s - cpu_before_s;
    bytes_ += send.size();
    ++calls_;
    const std::string wrong = payload_.check(call, receive);
    if (!wrong.empty()) std::fprintf(stderr, "hawser bench: WRONG RESULT: %s\n", wrong.c_str());
    Row row{.ms = static_cast<float>(1e3 * seconds), .wrong = wrong.empty() ? 0.0F : 1.0F};
    const double limit_s = options_.all_reduce.seconds;
    const bool is_over = limit_s > 0 && seconds_since(size_begun_at_) >= limit_s;
    std::vector<float> slowest{row.ms, row.wrong, is_over ? 1.0F : 0.0F};
    if (auto told = comm_.all_reduce(std::span(slowest), {.op = hawserMax, .tag = 1}); !told) return told.error();
    all_right_ = all_right_ && slowest[1] == 0;
    time_is_over_ = slowest[2] != 0;
    if (call > 1) times_ms_.push_back(slowest[0]);
    if (!is_first_) return {};
    // What each member sends and receives in a ring or a direct plan with equal shares, over the time.
    const double busy_bits = 8.0 * 2 * (world_ - 1) / world_ * static_cast<double>(send.size());
    std::printf("%10s %6u %10.1f %12.1f %10.1f %10.1f  %s%s\n", byte_text(static_cast<double>(send.size())).c_str(),
                call, slowest[0], static_cast<double>(info.predicted_us) / 1e3,
                static_cast<double>(info.commit_us) / 1e3, busy_bits / slowest[0] / 1e3, info.plan_reason,
                slowest[1] == 0 ? "" : "  WRONG");
    std::fflush(stdout);
    return {};
  }

  /// The last member dies in the middle of a call, and the others make it again.
  Result<void> lose_one(std::uint64_t bytes) {
    std::ranges::sort(times_ms_);
    const float usual_ms = times_ms_[times_ms_.size() / 2];
    const std::uint64_t count = std::max<std::uint64_t>(1, bytes / kind_.element_bytes);
    const std::span<std::byte> send = std::span(send_).first(count * kind_.element_bytes);
    const std::span<std::byte> receive = std::span(receive_).first(send.size());
    const std::uint32_t call = options_.all_reduce.rounds + 1;
    payload_.fill(call, send);
    // Its input is the same: that depends on the rank, and those who stay keep theirs.
    const Payload of_the_rest(kind_, std::min(rank_, world_ - 2), world_ - 1);
    const float kill_after_ms = usual_ms * static_cast<float>(options_.kill_at_percent) / 100;
    if (auto together = comm_.barrier(); !together) return together.error();
    const auto begin = Clock::now();
    std::jthread killer;
    if (rank_ == world_ - 1)
      killer = std::jthread([kill_after_ms, begin] {
        std::this_thread::sleep_until(begin + std::chrono::duration<float, std::milli>(kill_after_ms));
        (void)::raise(SIGKILL);
      });
    float told_ms = 0;
    std::uint32_t losses = 0;
    while (true) {
      const auto result = hawserAllReduce(comm_.handle(), send.data(), receive.data(), count, kind_.type,
                                          &kind_.options, nullptr);
      if (result == hawserSuccess) break;
      if (result != hawserErrorPeerLost) return Failure{.code = result, .sentence = hawserGetLastError()};
      told_ms = static_cast<float>(1e3 * seconds_since(begin));
      ++losses;
    }
    const auto ended_ms = static_cast<float>(1e3 * seconds_since(begin));
    const std::string wrong = of_the_rest.check(call, receive);
    if (!wrong.empty()) std::fprintf(stderr, "hawser bench: WRONG RESULT: %s\n", wrong.c_str());
    std::vector<float> most{told_ms, ended_ms, losses == 0 ? 1.0F : 0.0F, wrong.empty() ? 0.0F : 1.0F};
    if (auto told = comm_.all_reduce(std::span(most), {.op = hawserMax, .tag = 1}); !told) return told.error();
    all_right_ = all_right_ && most[3] == 0;
    if (most[2] != 0)
      return Failure{.code = hawserErrorInvalidUsage,
                     .sentence = "the call was over before the member died; kill it earlier (--kill-at-percent)"};
    if (!is_first_) return {};
    std::printf(
        "a member killed %.0f ms into a call: told after %.0f ms, the result of the call that was made again after "
        "%.0f ms, that is %.2f times a usual call (%.0f ms)%s\n",
        kill_after_ms, most[0] - kill_after_ms, most[1] - kill_after_ms, (most[1] - kill_after_ms) / usual_ms, usual_ms,
        most[3] == 0 ? "" : "  WRONG");
    std::fflush(stdout);
    return {};
  }

  Communicator& comm_;
  const LoneMemberOptions& options_;
  CollectiveKind kind_;
  Payload payload_;
  std::uint32_t rank_;
  bool is_first_;
  std::uint32_t world_;
  Clock::time_point size_begun_at_;
  bool time_is_over_ = false;
  double cpu_s_ = 0;  ///< Of this member in calls,
  std::uint64_t bytes_ = 0;  ///< of so many bytes together.
  std::uint32_t calls_ = 0;
  std::vector<float> times_ms_;  ///< Of all calls but the first of a size, alike at all members.
  std::vector<std::byte> send_, receive_;
  bool all_right_ = true;
};

Result<bool> take_part(const LoneMemberOptions& options) {
  auto comm = join({.master = options.master,
                    .world = options.world,
                    .connections = options.all_reduce.connections,
                    .check_same_host = options.all_reduce.check_same_host,
                    .tls_same_host = options.all_reduce.tls_same_host,
                    .attest = options.all_reduce.attest,
                    .io_threads = options.all_reduce.io_threads,
                    .listen = options.listen,
                    .port = options.port,
                    .advertise = options.advertise,
                    .name = options.name});
  if (!comm) return comm.error();
  const auto info = comm->info();
  if (!info) return info.error();
  LoneMember member(*comm, options, *info);
  if (options.optimize)
    if (auto done = member.optimize(); !done) return done.error();
  if (auto done = member.run(); !done) return done.error();
  return member.all_right();
}

}  // namespace

int run_lone_member(const LoneMemberOptions& options) {
  const auto& calls = options.all_reduce;
  if (options.kill_at_percent > 0 && (calls.sizes.size() != 1 || calls.rounds < 2 || options.world < 3)) {
    std::fprintf(stderr,
                 "hawser bench: --kill-at-percent wants one size, at least two rounds and three members: --sizes, "
                 "--rounds, --world\n");
    return 2;
  }
  (void)hawserSetLogLevel(options.verbose ? hawserLogInfo : hawserLogNotice);
  const auto right = take_part(options);
  if (right) return *right ? 0 : 1;
  std::fprintf(stderr, "hawser bench: %s: %s\n", right.error().name(), right.error().sentence.c_str());
  return 1;
}

}  // namespace hawser::bench
