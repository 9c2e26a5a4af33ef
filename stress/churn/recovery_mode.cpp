// `hawser-churn recovery`: what the death, and the silence, of one member in the middle of a large reduce
// costs the others.

#include <algorithm>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <random>

#include "digest.hpp"
#include "hawser.h"
#include "options.hpp"
#include "recovery_lab.hpp"
#include "reporter.hpp"
#include "series_json.hpp"

namespace hawser::churn {
namespace {

/// What one disturbed reduce came to.
struct Disturbed {
  double recovery_ms = 0;      ///< From the signal to the last survivor's result.
  double first_error_ms = 0;   ///< From the call to its error, longest of the survivors.
  double at_ms = 0;            ///< The signal, after the last member's call.
  bool in_the_middle = false;  ///< Some survivor saw an error.
  std::string told;            ///< What a survivor was told.
};

struct Measurements {
  Series undisturbed_ms;
  Series kill_ms, kill_ratio;
  Series stop_ms;
  std::uint64_t missed = 0;  ///< Signals that came too late to disturb.
  std::string survivors_told_kill, survivors_told_stop;
  std::string stopped_told_kind, stopped_told_text;
  Series stopped_told_after_ms;  ///< From SIGCONT to the sentence.
};

class RecoveryMeasurement {
 public:
  explicit RecoveryMeasurement(const RecoveryOptions& options)
      : options_(options), lab_(options), random_(mix64(options.seed)) {}
  int run();

 private:
  bool undisturbed(std::uint32_t repetitions);
  bool disturb(int signal, LabWorker& victim, Disturbed& result);
  bool kill_repetitions();
  bool stop_repetitions();
  bool wake(LabWorker& victim);
  LabWorker& choose_victim();
  void print() const;
  bool write_report();

  const RecoveryOptions options_;
  RecoveryLab lab_;
  std::mt19937_64 random_;
  Measurements found_;
};

LabWorker& RecoveryMeasurement::choose_victim() {
  const auto members = lab_.members();
  return *members[random_() % members.size()];
}

bool RecoveryMeasurement::undisturbed(std::uint32_t repetitions) {
  for (std::uint32_t i = 0; i <= repetitions; ++i) {
    const auto all = lab_.members();
    const auto key = lab_.begin_reduce();
    if (!key || !lab_.finish_reduce(all, *key)) return false;
    std::uint64_t begin_ns = 0;
    std::uint64_t done_ns = 0;
    for (const LabWorker* w : all) {
      begin_ns = std::max(begin_ns, w->begin_ns);
      done_ns = std::max(done_ns, w->done_ns);
    }
    // The first one in a view warms up its connections and is not counted.
    if (i > 0) found_.undisturbed_ms.add(static_cast<double>(done_ns - begin_ns) / 1e6);
  }
  return true;
}

bool RecoveryMeasurement::disturb(int signal, LabWorker& victim, Disturbed& result) {
  auto survivors = lab_.members();
  const auto key = lab_.begin_reduce();
  if (!key) return false;
  std::uint64_t begin_ns = 0;
  for (const LabWorker* w : survivors) begin_ns = std::max(begin_ns, w->begin_ns);
  std::erase(survivors, &victim);
  const double fraction = std::uniform_real_distribution<double>(0.25, 0.6)(random_);
  const double wait_ms =
      fraction * found_.undisturbed_ms.median() - static_cast<double>(now_ns() - begin_ns) / 1e6;
  if (wait_ms >= 1) lab_.rest_ms(static_cast<std::uint64_t>(wait_ms));

  const std::uint64_t signal_ns = now_ns();
  if (signal == SIGKILL) victim.gone_wanted = true;
  victim.process->signal(signal);
  if (!lab_.finish_reduce(survivors, *key)) return false;
  result.at_ms = static_cast<double>(signal_ns - begin_ns) / 1e6;
  for (const LabWorker* w : survivors) {
    if (w->done_ns > signal_ns) {
      result.recovery_ms = std::max(result.recovery_ms, static_cast<double>(w->done_ns - signal_ns) / 1e6);
    }
    result.first_error_ms = std::max(result.first_error_ms, w->first_error_ms);
    if (w->attempts > 1) {
      result.in_the_middle = true;
      result.told = w->last_error_kind + ": " + w->last_error_text;
    }
    if (w->attempts != survivors.front()->attempts) {
      // Legal only around a view change between their calls, and all have called here.
      lab_.violations().add("agreement", "one survivor needed more attempts than another");
    }
  }
  return true;
}

bool RecoveryMeasurement::kill_repetitions() {
  std::uint32_t counted = 0;
  for (std::uint32_t tries = 0; counted < options_.kills && tries < 3 * options_.kills; ++tries) {
    if (!undisturbed(options_.undisturbed)) return false;
    Disturbed result;
    if (!disturb(SIGKILL, choose_victim(), result)) return false;
    if (result.in_the_middle) {
      ++counted;
      found_.kill_ms.add(result.recovery_ms);
      found_.kill_ratio.add(result.recovery_ms / found_.undisturbed_ms.median());
      found_.survivors_told_kill = result.told;
      std::printf(
          "  kill %u: %.0f ms into the reduce; survivors told after %.0f ms; retry's result %.0f ms after "
          "the kill\n",
          counted, result.at_ms, result.first_error_ms, result.recovery_ms);
      std::fflush(stdout);
    } else {
      ++found_.missed;
    }
    if (!lab_.refill()) return false;
  }
  return true;
}

bool RecoveryMeasurement::stop_repetitions() {
  std::uint32_t counted = 0;
  for (std::uint32_t tries = 0; counted < options_.stops && tries < 3 * options_.stops; ++tries) {
    if (!undisturbed(1)) return false;
    LabWorker& victim = choose_victim();
    Disturbed result;
    if (!disturb(SIGSTOP, victim, result)) return false;
    if (result.in_the_middle) {
      ++counted;
      found_.stop_ms.add(result.recovery_ms);
      found_.survivors_told_stop = result.told;
      std::printf("  stop %u: %.0f ms into the reduce; survivors' result %.0f ms after the stop\n", counted,
                  result.at_ms, result.recovery_ms);
      std::fflush(stdout);
      if (!wake(victim)) return false;
    } else {
      ++found_.missed;
      victim.process->signal(SIGCONT);
      if (!lab_.wait_for("the stopped one to finish",
                         [&] { return !victim.member || victim.verified_key == victim.begin_key; })) {
        return false;
      }
    }
    if (!lab_.refill()) return false;
  }
  return true;
}

bool RecoveryMeasurement::wake(LabWorker& victim) {
  const std::uint64_t continued_ns = now_ns();
  victim.told_kind.clear();
  victim.process->signal(SIGCONT);
  if (!lab_.wait_for("the stopped one to be told", [&] { return !victim.told_kind.empty(); })) return false;
  found_.stopped_told_kind = victim.told_kind;
  found_.stopped_told_text = victim.told_text;
  found_.stopped_told_after_ms.add(static_cast<double>(victim.told_ns - continued_ns) / 1e6);
  return true;
}

void RecoveryMeasurement::print() const {
  const auto row = [](const char* what, const Series& s) {
    std::printf("  %-52s %5zu %10.1f %10.1f %10.1f\n", what, s.count(), s.min(), s.median(), s.max());
  };
  std::printf("\n  %u peers, %.1f MiB of float32                                  %5s %10s %10s %10s\n",
              options_.peers, static_cast<double>(options_.elements) * 4 / (1 << 20), "n", "min", "median",
              "max");
  row("undisturbed reduce, ms", found_.undisturbed_ms);
  row("SIGKILL of one to the survivors' retry's result, ms", found_.kill_ms);
  row("  the same over the undisturbed median", found_.kill_ratio);
  row("SIGSTOP of one to the survivors' result, ms", found_.stop_ms);
  row("SIGCONT to the stopped one's answer, ms", found_.stopped_told_after_ms);
  std::printf("  survivors of a kill were told:  %s\n", found_.survivors_told_kill.c_str());
  std::printf("  survivors of a stop were told:  %s\n", found_.survivors_told_stop.c_str());
  std::printf("  the stopped one was told:       %s: %s\n", found_.stopped_told_kind.c_str(),
              found_.stopped_told_text.c_str());
  if (found_.missed > 0)
    std::printf("  signals that came too late to disturb (not counted): %" PRIu64 "\n", found_.missed);
}

bool RecoveryMeasurement::write_report() {
  JsonWriter json;
  json.open()
      .add("pass", lab_.violations().count == 0)
      .add("version", std::string_view(hawserGetVersion()))
      .add("peers", std::uint64_t{options_.peers})
      .add("elements", options_.elements)
      .add("undisturbed_ms", found_.undisturbed_ms)
      .add("kill_to_result_ms", found_.kill_ms)
      .add("kill_to_result_over_undisturbed", found_.kill_ratio)
      .add("stop_to_result_ms", found_.stop_ms)
      .add("cont_to_told_ms", found_.stopped_told_after_ms)
      .add("survivors_told_kill", std::string_view(found_.survivors_told_kill))
      .add("survivors_told_stop", std::string_view(found_.survivors_told_stop))
      .add("stopped_told_kind", std::string_view(found_.stopped_told_kind))
      .add("stopped_told", std::string_view(found_.stopped_told_text))
      .add("missed", found_.missed)
      .open_list("violations");
  for (const std::string& sentence : lab_.violations().sentences) json.add({}, std::string_view(sentence));
  json.close_list().close();
  return json.write_to(options_.report);
}

int RecoveryMeasurement::run() {
  if (lab_.start() && kill_repetitions()) stop_repetitions();
  lab_.end();
  if (found_.kill_ms.count() < options_.kills || found_.stop_ms.count() < options_.stops) {
    lab_.violations().add("incomplete", "not all repetitions could be measured");
  }
  print();
  if (!options_.report.empty() && !write_report())
    lab_.violations().add("report", "can't write " + options_.report);
  if (lab_.violations().count == 0) {
    std::printf("PASS\n");
    return 0;
  }
  for (const std::string& sentence : lab_.violations().sentences)
    std::printf("  VIOLATION %s\n", sentence.c_str());
  std::printf("FAIL: %s\n", lab_.violations().sentences.front().c_str());
  return 1;
}

}  // namespace

int run_recovery(const RecoveryOptions& options) { return RecoveryMeasurement(options).run(); }

}  // namespace hawser::churn
