#include "bench/prefetch_figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "bench/figures.hpp"

namespace hawser::bench {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

double ms_of(const ToldStep& step) { return 1e3 * (step.end_s - step.begin_s); }

double cpu_ms_of(const ToldStep& step) { return 1e3 * step.cpu_s; }

template <class Figure>
std::vector<double> each(const std::vector<ToldStep>& steps, Figure figure) {
  std::vector<double> values;
  for (const ToldStep& step : steps) values.push_back(figure(step));
  return values;
}

void append(const std::vector<ToldStep>& steps, std::vector<ToldStep>& out) {
  out.insert(out.end(), steps.begin(), steps.end());
}

double overlap_s(const ToldStep& step, const ToldPrefetch& prefetch) {
  return std::max(0.0, std::min(step.end_s, prefetch.end_s) - std::max(step.begin_s, prefetch.begin_s));
}

std::vector<ToldStep> disturbed_by(const Newcomer& newcomer) {
  std::vector<ToldStep> disturbed;
  for (const ToldStep& step : newcomer.while_waiting)
    if (overlap_s(step, newcomer.prefetch) >= (step.end_s - step.begin_s) / 2) disturbed.push_back(step);
  return disturbed;
}

/// 0 if there are none.
double nine_tenths(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(std::ceil(0.9 * static_cast<double>(values.size()))) - 1];
}

template <class Value>
double median_over(const std::vector<Newcomer>& newcomers, Value value) {
  std::vector<double> values;
  for (const Newcomer& newcomer : newcomers) values.push_back(value(newcomer));
  return median(std::move(values));
}

/// The slowest member's.
double slowest(const Newcomer& newcomer, double ToldJoin::*figure) {
  return std::ranges::max(newcomer.joins, {}, figure).*figure;
}

double seconds_of(const ToldPrefetch& prefetch) { return prefetch.end_s - prefetch.begin_s; }

std::string times_text(const std::vector<ToldStep>& steps) {
  if (steps.empty()) return "none";
  const auto ms = each(steps, ms_of);
  char text[48];
  std::snprintf(text, sizeof text, "%.1f, %.1f (%zu)", median(ms), nine_tenths(ms), ms.size());
  return text;
}

}  // namespace

std::vector<ToldStep> PrefetchCase::quiet_steps() const {
  std::vector<ToldStep> quiet;
  for (const Newcomer& newcomer : newcomers) append(newcomer.quiet_before, quiet);
  append(quiet_after, quiet);
  return quiet;
}

std::vector<ToldStep> PrefetchCase::disturbed_steps() const {
  std::vector<ToldStep> disturbed;
  for (const Newcomer& newcomer : newcomers) append(disturbed_by(newcomer), disturbed);
  return disturbed;
}

double PrefetchCase::ratio() const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < newcomers.size(); ++i) {
    const auto disturbed = disturbed_by(newcomers[i]);
    if (disturbed.empty()) continue;
    std::vector<ToldStep> quiet;
    append(newcomers[i].quiet_before, quiet);
    append(i + 1 < newcomers.size() ? newcomers[i + 1].quiet_before : quiet_after, quiet);
    ratios.push_back(median(each(disturbed, ms_of)) / median(each(quiet, ms_of)));
  }
  return median(std::move(ratios));
}

double PrefetchCase::lost_ms() const {
  const double quiet_ms = median(each(quiet_steps(), ms_of));
  return median_over(newcomers, [&](const Newcomer& newcomer) {
    double lost = 0;
    for (const ToldStep& step : newcomer.while_waiting)
      if (overlap_s(step, newcomer.prefetch) > 0) lost += ms_of(step) - quiet_ms;
    return lost / group.members;
  });
}

bool PrefetchCase::right() const {
  return std::ranges::all_of(newcomers, [](const Newcomer& newcomer) {
    const ToldPrefetch& prefetch = newcomer.prefetch;
    return prefetch.complete && prefetch.join.right &&
           std::ranges::all_of(newcomer.joins, [&](const ToldJoin& join) {
             return join.right && join.digest == prefetch.join.digest;
           });
  });
}

void print_prefetch_heading(const PrefetchOptions& options) {
  const PrefetchGroup& group = options.group;
  std::printf("%u members all-reduce %s of float32 again and again", group.members,
              size_text(group.reduce_bytes).c_str());
  if (group.pause_ms > 0) std::printf(", pausing for %u ms before each", group.pause_ms);
  std::printf(
      ", while %u newcomers, one after the other,\nprefetch %s of incompressible state, join and leave "
      "again; over loopback TCP\n\n",
      group.newcomers, size_text(group.bytes).c_str());
  std::printf(
      "steps, ms: one step (pause, all-reduce, update-topology): median, 90th percentile (number), quiet "
      "and\n"
      "while somebody prefetches; ratio: of the medians, newcomer by newcomer; CPU: of one member in one "
      "step,\n"
      "quiet and while serving. lost: by one member, to one prefetch. prefetch: from the call to the end of\n"
      "fetching, reading of the newcomer's own tensors included; CPU: the newcomer's. fetched: then and by "
      "the\n"
      "synchronisation after the joining. update, sync: a member's update-topology that lets the newcomer "
      "in, and\n"
      "that synchronisation (of it: reading of the tensors, by all processes of this machine at once).\n\n");
  std::printf("%5s %22s %22s %6s %14s %8s %11s %6s %6s %14s %8s %10s %15s  %s\n", "share", "quiet steps, ms",
              "steps with it, ms", "ratio", "CPU ms", "lost ms", "prefetch ms", "MiB/s", "CPU ms",
              "fetched MiB", "sources", "update ms", "sync ms", "result");
  std::fflush(stdout);
}

void print_prefetch_row(const PrefetchCase& of) {
  const auto& all = of.newcomers;
  const double seconds = median_over(all, [](const Newcomer& n) { return seconds_of(n.prefetch); });
  const double fetched = median_over(
      all, [](const Newcomer& n) { return static_cast<double>(n.prefetch.fetched_bytes) / kMib; });
  const double fetched_then = median_over(
      all, [](const Newcomer& n) { return static_cast<double>(n.prefetch.join.sync_fetched_bytes) / kMib; });
  const double cpu = median_over(all, [](const Newcomer& n) { return n.prefetch.cpu_s; });
  const double sources = median_over(all, [](const Newcomer& n) { return n.prefetch.sources; });
  const auto joining = [&](double ToldJoin::*figure) {
    return median_over(all, [&](const Newcomer& n) { return slowest(n, figure); });
  };
  char sync[48], ratio[16] = "-", cpus[48], bytes[48];
  std::snprintf(sync, sizeof sync, "%.1f (%.1f)", joining(&ToldJoin::sync_ms),
                joining(&ToldJoin::sync_digest_ms));
  if (of.ratio() > 0) std::snprintf(ratio, sizeof ratio, "%.2f", of.ratio());
  std::snprintf(cpus, sizeof cpus, "%.1f, %.1f", median(each(of.quiet_steps(), cpu_ms_of)),
                median(each(of.disturbed_steps(), cpu_ms_of)));
  std::snprintf(bytes, sizeof bytes, "%.1f, %.1f", fetched, fetched_then);
  std::printf("%4u%% %22s %22s %6s %14s %8.0f %11.0f %6.0f %6.0f %14s %8.0f %10.1f %15s  %s\n",
              of.group.share_percent, times_text(of.quiet_steps()).c_str(),
              times_text(of.disturbed_steps()).c_str(), ratio, cpus, of.lost_ms(), 1e3 * seconds,
              fetched / seconds, 1e3 * cpu, bytes, sources, joining(&ToldJoin::update_ms), sync,
              of.right() ? "right" : "WRONG");
  std::fflush(stdout);
}

namespace {

void write_figures(std::ostream& out, const char* name, const std::vector<double>& values) {
  out << ", \"" << name << "\": [";
  for (std::size_t i = 0; i < values.size(); ++i) out << (i > 0 ? ", " : "") << values[i];
  out << "]";
}

}  // namespace

bool write_prefetch_json(const std::vector<PrefetchCase>& cases, const std::string& path) {
  std::ostringstream out;
  out << "{\n  \"cases\": [";
  const char* separator = "\n";
  for (const PrefetchCase& of : cases) {
    out << separator << "    {\"case\": \"prefetch\", \"share_percent\": " << of.group.share_percent
        << ", \"members\": " << of.group.members << ", \"bytes\": " << of.group.bytes
        << ", \"reduce_bytes\": " << of.group.reduce_bytes << ", \"pause_ms\": " << of.group.pause_ms
        << ", \"ratio\": " << of.ratio() << ", \"lost_ms\": " << of.lost_ms()
        << ", \"right\": " << (of.right() ? "true" : "false");
    write_figures(out, "quiet_steps_ms", each(of.quiet_steps(), ms_of));
    write_figures(out, "disturbed_steps_ms", each(of.disturbed_steps(), ms_of));
    write_figures(out, "quiet_cpu_ms", each(of.quiet_steps(), cpu_ms_of));
    write_figures(out, "disturbed_cpu_ms", each(of.disturbed_steps(), cpu_ms_of));
    out << ", \"newcomers\": [";
    for (std::size_t i = 0; i < of.newcomers.size(); ++i) {
      const Newcomer& newcomer = of.newcomers[i];
      out << (i > 0 ? ",\n      " : "\n      ") << "{\"prefetch_ms\": " << 1e3 * seconds_of(newcomer.prefetch)
          << ", \"join_ms\": " << newcomer.prefetch.join_ms << ", \"cpu_s\": " << newcomer.prefetch.cpu_s
          << ", \"fetched_bytes\": " << newcomer.prefetch.fetched_bytes
          << ", \"fetched_then_bytes\": " << newcomer.prefetch.join.sync_fetched_bytes
          << ", \"sources\": " << newcomer.prefetch.sources
          << ", \"update_ms\": " << slowest(newcomer, &ToldJoin::update_ms)
          << ", \"sync_ms\": " << slowest(newcomer, &ToldJoin::sync_ms)
          << ", \"sync_digest_ms\": " << slowest(newcomer, &ToldJoin::sync_digest_ms) << "}";
    }
    out << "]}";
    separator = ",\n";
  }
  out << "\n  ]\n}\n";
  std::ofstream file(path);
  file << out.str();
  file.flush();
  return file.good();
}

}  // namespace hawser::bench
