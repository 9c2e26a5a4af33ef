#include "bench/shared_state_figures.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "bench/figures.hpp"

namespace hawser::bench {
namespace {

constexpr double kMib = 1024.0 * 1024.0;
constexpr std::uint64_t kSliceBytes = 1 << 20;  // content travels in such pieces; all else is less

bool agrees(const SyncRound& round) {
  return std::ranges::all_of(
      round, [&](const MemberSync& m) { return m.right && m.digest == round.front().digest; });
}

template <class Value>
std::vector<double> each(const std::vector<SyncRound>& rounds, Value value) {
  std::vector<double> values;
  for (const SyncRound& round : rounds) values.push_back(value(round));
  return values;
}

/// Over all rounds, the first one included: memory is not given back at once.
std::uint64_t peak(const SyncCase& of, bool of_receivers) {
  std::uint64_t most = 0;
  const auto look = [&](const SyncRound& round) {
    for (const MemberSync& m : round)
      if (of.receives(m) == of_receivers) most = std::max(most, m.peak_bytes);
  };
  look(of.first);
  std::ranges::for_each(of.spared, look);
  std::ranges::for_each(of.rounds, look);
  return most;
}

double slowest_read_ms(const SyncRound& round) {
  return std::ranges::max(round, {}, &MemberSync::read_ms).read_ms;
}

std::string unchanged_note(const SyncCase& of) {
  const double read = median(each(of.rounds, slowest_read_ms));
  const double ratio =
      median(each(of.rounds, [&](const SyncRound& r) { return of.ms(r) / slowest_read_ms(r); }));
  char text[96];
  std::snprintf(text, sizeof text, "; reading it once %.1f ms, ratio %.2f", read, ratio);
  return text;
}

std::string kill_note(const SyncCase& of) {
  std::vector<double> again;
  for (const SyncRound& round : of.rounds)
    for (const MemberSync& m : round)
      if (of.receives(m)) again.push_back(static_cast<double>(m.again_bytes) / kMib);
  char text[160];
  std::snprintf(text, sizeof text,
                "; without the kill %.1f ms; fetched again: median %.2f, most %.2f MiB; %u kills missed",
                median(each(of.spared, [&](const SyncRound& r) { return of.ms(r); })), median(again),
                std::ranges::max(again), of.missed);
  return text;
}

}  // namespace

bool SyncCase::receives(const MemberSync& member) const { return member.rank >= group.holders; }

bool SyncCase::in_mid_transfer(const SyncRound& round) const {
  return std::ranges::all_of(round, [&](const MemberSync& m) {
    return m.attempts > 1 && (receives(m) ? m.sources == group.holders : m.sent_bytes >= kSliceBytes);
  });
}

double SyncCase::ms(const SyncRound& round) const {
  double slowest = 0;
  for (const MemberSync& m : round)
    if (group.receivers == 0 || receives(m)) slowest = std::max(slowest, m.ms);
  return slowest;
}

double SyncCase::median_ms() const {
  return median(each(rounds, [&](const SyncRound& r) { return ms(r); }));
}

double SyncCase::min_ms() const {
  return std::ranges::min(each(rounds, [&](const SyncRound& r) { return ms(r); }));
}

double SyncCase::gb_per_s() const { return static_cast<double>(group.bytes) / 1e6 / median_ms(); }

double SyncCase::copies_sent() const {
  return median(each(rounds, [&](const SyncRound& round) {
    double sent = 0;
    for (const MemberSync& m : round)
      if (!receives(m)) sent += static_cast<double>(m.sent_bytes);
    return sent / static_cast<double>(group.bytes);
  }));
}

std::uint64_t SyncCase::holder_peak_bytes() const { return peak(*this, false); }
std::uint64_t SyncCase::receiver_peak_bytes() const { return peak(*this, true); }

double SyncCase::median_of(double MemberSync::*figure) const {
  return median(each(rounds, [&](const SyncRound& round) {
    double slowest = 0, value = 0;
    for (const MemberSync& m : round) {
      if ((group.receivers > 0 && !receives(m)) || m.ms < slowest) continue;
      slowest = m.ms;
      value = m.*figure;
    }
    return value;
  }));
}

bool SyncCase::right() const {
  return agrees(first) && std::ranges::all_of(rounds, agrees) && std::ranges::all_of(spared, agrees);
}

void print_sync_heading(const SharedStateOptions& options) {
  std::printf("shared state of float32 in 23 tensors, %s, over loopback TCP\n\n",
              options.compress ? "values of -1 to 1, compressed" : "random bits");
  std::printf(
      "ms: the slowest receiver's call, reading included (first: the one after joining, not in the median);\n"
      "digest, agree, transfer: its parts. sent: by the holder, in copies of the state.\n"
      "memory: the largest peak beyond the tensors, in holders and receivers.\n\n");
  std::printf("%-9s %9s %4s %6s %9s %9s %9s %9s %9s %6s %15s %7s %7s %9s  %s\n", "case", "size", "recv",
              "rounds", "first ms", "median ms", "min ms", "GB/s each", "together", "sent", "memory MiB",
              "digest", "agree", "transfer", "result");
  std::fflush(stdout);
}

void print_sync_row(const SyncCase& of) {
  char each_rate[32] = "-", together[32] = "-", sent[32] = "-", memory[48];
  if (of.group.receivers > 0) {
    std::snprintf(each_rate, sizeof each_rate, "%.3f", of.gb_per_s());
    std::snprintf(together, sizeof together, "%.3f", of.gb_per_s() * of.group.receivers);
    // With a kill, what the lost attempt sent is not told.
    if (of.group.kind != "kill") std::snprintf(sent, sizeof sent, "%.2f", of.copies_sent());
  }
  std::snprintf(memory, sizeof memory, "%.1f, %.1f", static_cast<double>(of.holder_peak_bytes()) / kMib,
                static_cast<double>(of.receiver_peak_bytes()) / kMib);
  std::string result = of.right() ? "right" : "WRONG";
  if (of.group.kind == "unchanged") result += unchanged_note(of);
  if (of.group.kind == "kill") result += kill_note(of);
  std::printf("%-9s %9s %4u %6zu %9.1f %9.1f %9.1f %9s %9s %6s %15s %7.1f %7.1f %9.1f  %s\n",
              of.group.kind.c_str(), size_text(of.group.bytes).c_str(), of.group.receivers, of.rounds.size(),
              of.ms(of.first), of.median_ms(), of.min_ms(), each_rate, together, sent, memory,
              of.median_of(&MemberSync::digest_ms), of.median_of(&MemberSync::agree_ms),
              of.median_of(&MemberSync::transfer_ms), result.c_str());
  std::fflush(stdout);
}

namespace {

void write_rounds(std::ostream& out, const char* name, const std::vector<SyncRound>& rounds) {
  out << ", \"" << name << "\": [";
  for (std::size_t r = 0; r < rounds.size(); ++r) {
    out << (r > 0 ? ",\n      [" : "\n      [");
    for (std::size_t i = 0; i < rounds[r].size(); ++i) {
      const MemberSync& m = rounds[r][i];
      out << (i > 0 ? ",\n       " : "") << "{\"rank\": " << m.rank << ", \"ms\": " << m.ms
          << ", \"digest_ms\": " << m.digest_ms << ", \"agree_ms\": " << m.agree_ms
          << ", \"transfer_ms\": " << m.transfer_ms << ", \"read_ms\": " << m.read_ms
          << ", \"cpu_s\": " << m.cpu_s << ", \"sent_bytes\": " << m.sent_bytes
          << ", \"fetched_bytes\": " << m.fetched_bytes << ", \"again_bytes\": " << m.again_bytes
          << ", \"peak_bytes\": " << m.peak_bytes << ", \"sources\": " << m.sources
          << ", \"attempts\": " << m.attempts << ", \"right\": " << (m.right ? "true" : "false") << "}";
    }
    out << "]";
  }
  out << "]";
}

}  // namespace

bool write_sync_json(const std::vector<SyncCase>& cases, const SharedStateOptions& options) {
  std::ostringstream out;
  out << "{\n  \"compress\": " << (options.compress ? "true" : "false") << ",\n  \"cases\": [";
  const char* separator = "\n";
  for (const SyncCase& of : cases) {
    out << separator << "    {\"case\": \"" << of.group.kind << "\", \"bytes\": " << of.group.bytes
        << ", \"holders\": " << of.group.holders << ", \"receivers\": " << of.group.receivers
        << ", \"median_ms\": " << of.median_ms() << ", \"min_ms\": " << of.min_ms()
        << ", \"right\": " << (of.right() ? "true" : "false");
    write_rounds(out, "first", {of.first});
    write_rounds(out, "spared", of.spared);
    write_rounds(out, "rounds", of.rounds);
    out << "}";
    separator = ",\n";
  }
  out << "\n  ]\n}\n";
  std::ofstream file(options.json);
  file << out.str();
  file.flush();
  return file.good();
}

}  // namespace hawser::bench
