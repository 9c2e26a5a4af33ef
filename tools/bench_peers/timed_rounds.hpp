#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

/// The method of `hawser bench all-reduce` for any library: float32 sums, every size once per round, members
/// brought together by a tiny all-reduce before each timed part, small sizes in batches, results checked. Or, as
/// `hawser bench member` does between machines, call by call: the first one counts, and there are no batches.
namespace bench_peers {

/// One way to reduce. The result is to be in `receive`, which may be `send`.
struct Algorithm {
  std::string label;
  bool in_place = false;
  /// Prepares for buffers that are used many times, and returns what reduces once.
  std::function<std::function<void()>(float* send, float* receive, std::size_t count)> prepare;
};

struct Group {
  int rank = 0;
  int world = 0;
  std::function<double(double)> sum;  ///< Over all members; all get the same bits.
  std::function<double(double)> max;
};

struct Arguments {
  std::vector<std::uint64_t> sizes;
  int rounds = 0;
  bool call_by_call = false;

  /// "4,65536,1048576" and "3".
  Arguments(const char* size_list, const char* round_count, bool each_call = false)
      : rounds(std::atoi(round_count)), call_by_call(each_call) {
    std::istringstream list(size_list);
    for (std::string size; std::getline(list, size, ',');) sizes.push_back(std::stoull(size));
  }
};

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// 0 to 7, other ones in each round.
inline float input_value(int rank, std::size_t index, int round) {
  std::uint32_t v = std::uint32_t(rank) * 0x85ebca6bU + std::uint32_t(index + 7919 * round) * 0x9e3779b1U;
  v ^= v >> 15;
  v *= 0x85ebca77U;
  return float(v >> 29);
}

class TimedRounds {
 public:
  TimedRounds(const Group& group, const Arguments& arguments, std::vector<Algorithm> algorithms)
      : group_(group), arguments_(arguments), algorithms_(std::move(algorithms)) {
    const std::uint64_t most = *std::max_element(arguments.sizes.begin(), arguments.sizes.end());
    send_.resize(most / sizeof(float));
    receive_.resize(send_.size());
  }

  /// False if a result was wrong.
  bool run() {
    for (int round = arguments_.call_by_call ? 1 : 0; round <= arguments_.rounds; ++round)
      for (const std::uint64_t bytes : arguments_.sizes)
        for (std::size_t i = 0; i < algorithms_.size(); ++i) {
          if (round == 0) {
            warm_up(i, bytes);
          } else {
            measure(i, bytes, round);
          }
        }
    return right_;
  }

 private:
  void warm_up(std::size_t algorithm, std::uint64_t bytes) {
    std::uint32_t& ops = ops_[{algorithm, bytes}];
    ops = 1;
    measure(algorithm, bytes, 0);
    const double seconds = group_.sum(measure(algorithm, bytes, 0)) / group_.world;
    ops = std::uint32_t(std::clamp(0.03 / seconds, 1.0, 1000.0));
  }

  void fill(std::size_t count, int round) {
    for (std::size_t i = 0; i < count; ++i) send_[i] = input_value(group_.rank, i, round);
  }

  /// The own seconds per op; the first member prints what all together measured, but in round 0.
  double measure(std::size_t which, std::uint64_t bytes, int round) {
    const Algorithm& algorithm = algorithms_[which];
    const std::size_t count = bytes / sizeof(float);
    const std::uint32_t ops = arguments_.call_by_call ? 1 : ops_[{which, bytes}];
    float* const receive = algorithm.in_place ? send_.data() : receive_.data();
    fill(count, round);
    std::fill_n(receive_.data(), count, -1.0F);
    const std::vector<float> kept(send_.begin(), ops > 1 ? send_.begin() + count : send_.begin());
    auto& reduce = prepared_[{which, bytes}];
    if (!reduce) reduce = algorithm.prepare(send_.data(), receive, count);

    group_.sum(0);
    double seconds = 0;
    const double cpu_before = cpu_seconds();
    for (std::uint32_t op = 0; op < ops; ++op) {
      if (algorithm.in_place && op > 0) std::copy(kept.begin(), kept.end(), send_.begin());
      const auto begin = std::chrono::steady_clock::now();
      reduce();
      seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    const double cpu = (cpu_seconds() - cpu_before) / ops;
    check(algorithm, bytes, round, receive, count);
    const double slowest = group_.max(seconds / ops);
    const double cpu_of_all = group_.sum(cpu);
    if (round > 0 && group_.rank == 0) {
      std::printf("%s %d %llu %.6f %.6f\n", algorithm.label.c_str(), group_.world,
                  static_cast<unsigned long long>(bytes), 1e3 * slowest,
                  cpu_of_all * 1024 * 1024 * 1024 / double(bytes));
      std::fflush(stdout);
    }
    return seconds / ops;
  }

  void check(const Algorithm& algorithm, std::uint64_t bytes, int round, const float* result,
             std::size_t count) {
    // In blocks, rank by rank, so that the compiler uses vectors.
    std::array<float, 4096> expected;
    std::size_t wrong = 0;
    for (std::size_t at = 0; at < count; at += expected.size()) {
      const std::size_t block = std::min(expected.size(), count - at);
      expected.fill(0);
      for (int rank = 0; rank < group_.world; ++rank)
        for (std::size_t i = 0; i < block; ++i) expected[i] += input_value(rank, at + i, round);
      for (std::size_t i = 0; i < block; ++i) wrong += result[at + i] != expected[i];
    }
    if (wrong == 0) return;
    std::fprintf(stderr, "%s, %llu bytes: %zu WRONG VALUES\n", algorithm.label.c_str(),
                 static_cast<unsigned long long>(bytes), wrong);
    right_ = false;
  }

  Group group_;
  Arguments arguments_;
  std::vector<Algorithm> algorithms_;
  std::vector<float> send_, receive_;
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint32_t> ops_;
  std::map<std::pair<std::size_t, std::uint64_t>, std::function<void()>> prepared_;
  bool right_ = true;
};

}  // namespace bench_peers
