#include "bench/figures.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace hawser::bench {
namespace {

/// Below, what one op costs has little to do with its bytes.
constexpr std::uint64_t kCpuBytesMin = 64 << 10;
constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

template <class Value>
std::vector<double> each(const Case& of, Value value) {
  std::vector<double> values;
  for (const Measurement& measurement : of.measurements) values.push_back(value(measurement));
  return values;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string size_text(std::uint64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  while (unit < 3 && bytes >= 1024 && bytes % 1024 == 0) bytes /= 1024, ++unit;
  return std::to_string(bytes) + " " + units[unit];
}

void Measurement::merge(const Measurement& part) {
  world = part.world;
  bytes = part.bytes;
  ms = std::max(ms, part.ms);
  cpu_s += part.cpu_s;
  peak_bytes = std::max(peak_bytes, part.peak_bytes);
  for (const auto& [name, part_s] : part.thread_cpu_s) thread_cpu_s[name] += part_s;
  plan = part.plan;
  ops = part.ops;
  right = right && part.right;
}

double Measurement::cpu_s_per_gib() const { return cpu_s * kGib / static_cast<double>(bytes); }

double Case::median_ms() const {
  return median(each(*this, [](const Measurement& m) { return m.ms; }));
}
double Case::min_ms() const {
  return std::ranges::min(each(*this, [](const Measurement& m) { return m.ms; }));
}
double Case::median_cpu_s_per_gib() const {
  return median(each(*this, [](const Measurement& m) { return m.cpu_s_per_gib(); }));
}
std::map<std::string, double> Case::median_thread_cpu_s_per_gib() const {
  std::map<std::string, std::vector<double>> all;
  for (const Measurement& one : measurements)
    for (const auto& [name, cpu_s] : one.thread_cpu_s)
      all[name].push_back(cpu_s * kGib / static_cast<double>(bytes) / world);
  std::map<std::string, double> medians;
  for (const auto& [name, values] : all) medians[name] = median(values);
  return medians;
}
std::uint64_t Case::peak_bytes() const {
  return std::ranges::max(measurements, {}, &Measurement::peak_bytes).peak_bytes;
}
bool Case::right() const { return std::ranges::all_of(measurements, &Measurement::right); }
double Case::bus_gb_per_s() const {
  return 2.0 * (world - 1) / world * static_cast<double>(bytes) / 1e6 / median_ms();
}

void Figures::add(const Measurement& measurement) {
  Case& of = cases_[{measurement.world, measurement.bytes}];
  of.world = measurement.world;
  of.bytes = measurement.bytes;
  of.measurements.push_back(measurement);
}

bool Figures::all_right() const {
  return std::ranges::all_of(cases_, [](const auto& entry) { return entry.second.right(); });
}

std::vector<Case> Figures::cases() const {
  std::vector<Case> all;
  for (const auto& [key, of] : cases_) all.push_back(of);
  return all;
}

void print_line(const std::string& label, const Measurement& measurement) {
  std::printf("%s %u %llu %.6f %.6f\n", label.c_str(), measurement.world,
              static_cast<unsigned long long>(measurement.bytes), measurement.ms,
              measurement.cpu_s_per_gib());
  std::fflush(stdout);
}

void print_heading(const AllReduceOptions& options) {
  std::printf("all-reduce of %s, %s, %s, plan %s, quantisation %s, over loopback TCP\n\n",
              options.names.type.c_str(), options.names.op.c_str(),
              options.in_place ? "in place" : "out of place", options.names.plan.c_str(),
              options.names.quantize.c_str());
  std::printf(
      "ms: the slowest peer's time for one. bus: 2(N-1)/N of the bytes by the median time. CPU: seconds\n"
      "of all peers together per GiB reduced. memory: the largest peer's peak beyond its buffers.\n\n");
  std::printf("%5s %10s %7s %11s %11s %9s %9s %11s %7s  %s\n", "world", "size", "plan", "median ms", "min ms",
              "bus GB/s", "CPU s/GiB", "memory MiB", "rounds", "result");
  std::fflush(stdout);
}

void print_table(const Figures& figures, std::uint32_t world, bool per_thread) {
  for (const Case& of : figures.cases()) {
    if (of.world != world) continue;
    char cpu[32] = "-";
    if (of.bytes >= kCpuBytesMin) std::snprintf(cpu, sizeof cpu, "%.3f", of.median_cpu_s_per_gib());
    std::printf("%5u %10s %7s %11.3f %11.3f %9.3f %9s %11.1f %7zu  %s\n", of.world,
                size_text(of.bytes).c_str(), of.measurements.back().plan.c_str(), of.median_ms(), of.min_ms(),
                of.bus_gb_per_s(), cpu, static_cast<double>(of.peak_bytes()) / 1024 / 1024,
                of.measurements.size(), of.right() ? "right" : "WRONG");
    if (!per_thread) continue;
    for (const auto& [name, cpu_s] : of.median_thread_cpu_s_per_gib())
      std::printf("%23s %-14s %.3f CPU s/GiB and peer\n", "", name.c_str(), cpu_s);
  }
  std::fflush(stdout);
}

bool write_json(const Figures& figures, const AllReduceOptions& options) {
  // Names come from fixed lists; the label is not written.
  std::ostringstream out;
  out << "{\n  \"type\": \"" << options.names.type << "\", \"op\": \"" << options.names.op
      << "\", \"quantize\": \"" << options.names.quantize
      << "\", \"in_place\": " << (options.in_place ? "true" : "false") << ",\n  \"cases\": [";
  const char* separator = "\n";
  for (const Case& of : figures.cases()) {
    out << separator << "    {\"world\": " << of.world << ", \"bytes\": " << of.bytes << ", \"plan\": \""
        << of.measurements.back().plan << "\", \"median_ms\": " << of.median_ms()
        << ", \"min_ms\": " << of.min_ms() << ", \"bus_gb_per_s\": " << of.bus_gb_per_s()
        << ", \"cpu_s_per_gib\": " << of.median_cpu_s_per_gib() << ", \"peak_bytes\": " << of.peak_bytes()
        << ", \"right\": " << (of.right() ? "true" : "false") << ", \"ms\": [";
    for (std::size_t i = 0; i < of.measurements.size(); ++i)
      out << (i > 0 ? ", " : "") << of.measurements[i].ms;
    out << "]}";
    separator = ",\n";
  }
  out << "\n  ]\n}\n";
  std::ofstream file(options.json);
  file << out.str();
  file.flush();
  return file.good();
}

}  // namespace hawser::bench
