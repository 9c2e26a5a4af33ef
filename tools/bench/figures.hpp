#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/options.hpp"

namespace hawser::bench {

/// 0 if there are none.
double median(std::vector<double> values);
/// "256 MiB".
std::string size_text(std::uint64_t bytes);

/// One size in one round: of one worker, or of all together.
struct Measurement {
  std::uint32_t world = 0;
  std::uint64_t bytes = 0;
  double ms = 0;                 ///< Per op; the slowest worker's.
  double cpu_s = 0;              ///< Per op; the sum over the workers.
  std::uint64_t peak_bytes = 0;  ///< Resident beyond the buffers; the largest worker's.
  std::map<std::string, double> thread_cpu_s{};  ///< Per op, by the thread's name; the sum over the workers.
  std::string plan;
  std::uint32_t ops = 0;  ///< Timed together.
  bool right = true;

  void merge(const Measurement& part);
  double cpu_s_per_gib() const;
};

/// All measurements of one world and size.
struct Case {
  std::uint32_t world = 0;
  std::uint64_t bytes = 0;
  std::vector<Measurement> measurements;

  double median_ms() const;
  double min_ms() const;
  double median_cpu_s_per_gib() const;
  /// Of all threads of a name, of one worker on average.
  std::map<std::string, double> median_thread_cpu_s_per_gib() const;
  std::uint64_t peak_bytes() const;
  bool right() const;
  /// Bytes that leave each peer, whatever the algorithm, by the time: 2(N-1)/N of the payload.
  double bus_gb_per_s() const;
};

class Figures {
 public:
  void add(const Measurement& measurement);
  bool all_right() const;
  /// By world and size.
  std::vector<Case> cases() const;

 private:
  std::map<std::pair<std::uint32_t, std::uint64_t>, Case> cases_;
};

/// "label world bytes ms cpu_s_per_gib".
void print_line(const std::string& label, const Measurement& measurement);
void print_heading(const AllReduceOptions& options);
/// `per_thread`: and what each kind of thread took.
void print_table(const Figures& figures, std::uint32_t world, bool per_thread);
/// False if the file can't be written.
bool write_json(const Figures& figures, const AllReduceOptions& options);

}  // namespace hawser::bench
