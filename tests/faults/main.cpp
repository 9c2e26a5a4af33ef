/// Lets the allocations of a small run fail, one after the other: nothing may crash, leak, hang or change an input.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "small_run.hpp"

#if defined(__SANITIZE_ADDRESS__)
#  define HAWSER_TEST_LEAKS 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define HAWSER_TEST_LEAKS 1
#  endif
#endif
#if defined(HAWSER_TEST_LEAKS)
#  include <sanitizer/lsan_interface.h>
#  define HAWSER_TEST_EXPORT extern "C" __attribute__((visibility("default")))
/// protobuf 3 loses the element that it has just made when there is no memory to put it into its list.
HAWSER_TEST_EXPORT const char* __lsan_default_suppressions() {  // NOLINT: the sanitizer's own name.
  return "leak:google::protobuf::internal::RepeatedPtrFieldBase::Add\n";
}
HAWSER_TEST_EXPORT const char* __lsan_default_options() { return "print_suppressions=0"; }  // NOLINT: likewise.
#endif

using hawser::test::RunOutcome;
using hawser::test::small_run;

namespace {

/// What is being tried, for whoever ends the process in the middle of it.
char trying[128] = "";

extern "C" void tell_and_die(int signal) {
  const char* const what = signal == SIGALRM ? "it hangs: " : "it ended: ";
  (void)!::write(STDERR_FILENO, what, 10);
  (void)!::write(STDERR_FILENO, trying, std::char_traits<char>::length(trying));
  ::signal(signal == SIGALRM ? SIGABRT : signal, SIG_DFL);
  if (signal == SIGALRM) std::abort();
  (void)::raise(signal);
}

struct Tally {
  std::uint64_t runs = 0;
  std::uint64_t not_reached = 0;
  std::uint64_t absorbed = 0;
  std::map<std::string, std::map<hawserResult_t, std::uint64_t>> errors;

  void add(const RunOutcome& outcome) {
    ++runs;
    if (outcome.failed == 0)
      ++not_reached;
    else if (outcome.errors.empty())
      ++absorbed;
    for (const auto& [call, results] : outcome.errors)
      for (const auto& [result, count] : results) errors[call][result] += static_cast<std::uint64_t>(count);
  }

  void print(std::uint64_t length) const {
    std::printf("%llu runs, %llu allocation(s) failing in each: %llu not reached, %llu without any error, %llu with\n",
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(length),
                static_cast<unsigned long long>(not_reached), static_cast<unsigned long long>(absorbed),
                static_cast<unsigned long long>(runs - not_reached - absorbed));
    for (const auto& [call, results] : errors) {
      std::printf("  %-32s", call.c_str());
      for (const auto& [result, count] : results)
        std::printf("  %s %llu", hawserGetResultName(result), static_cast<unsigned long long>(count));
      std::printf("\n");
    }
  }
};

class Hunt {
 public:
  Hunt(unsigned bound_s, bool verbose) : bound_s_(bound_s), verbose_(verbose) {}

  RunOutcome try_one(std::uint64_t first, std::uint64_t length) const {
    std::snprintf(trying, sizeof trying, "--first %llu --last %llu --length %llu\n",
                  static_cast<unsigned long long>(first), static_cast<unsigned long long>(first),
                  static_cast<unsigned long long>(length));
    if (verbose_) std::fputs(trying, stderr);
    ::alarm(bound_s_);
    RunOutcome outcome = small_run(first, length);
    ::alarm(0);
#if defined(HAWSER_TEST_LEAKS)
    if (__lsan_do_recoverable_leak_check() != 0) {
      std::fprintf(stderr, "it leaks: %s", trying);
      std::exit(1);
    }
#endif
    return outcome;
  }

  Tally all(std::uint64_t first, std::uint64_t last, std::uint64_t step, std::uint64_t length) const {
    Tally tally;
    for (std::uint64_t n = first; n <= last; n += step) tally.add(try_one(n, length));
    return tally;
  }

 private:
  unsigned bound_s_;
  bool verbose_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Allocations of a small run fail, one after the other");
  std::uint64_t first = 1;
  std::uint64_t last = 0;
  std::uint64_t sample = 0;
  std::uint64_t length = 0;
  std::uint64_t offset = 0;
  unsigned bound_s = 60;
  bool verbose = false;
  app.add_option("--first", first, "The first that fails in the first run");
  app.add_option("--last", last, "In the last run; default: as many as a run makes");
  app.add_option("--sample", sample, "So many of them, evenly spread; default: all");
  app.add_option("--offset", offset, "Where the sample begins");
  app.add_option("--length", length, "So many fail one after the other; default: 1, and then 50");
  app.add_option("--bound", bound_s, "Seconds that a run may take");
  app.add_flag("--verbose", verbose, "Print each run");
  CLI11_PARSE(app, argc, argv);

  for (const int fatal : {SIGALRM, SIGABRT, SIGSEGV, SIGBUS}) ::signal(fatal, tell_and_die);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  (void)hawserSetLogCallback([](void*, hawserLogLevel_t, const char*) {}, nullptr);
  const Hunt hunt(bound_s, verbose);
  if (last == 0) {
    const RunOutcome whole = hunt.try_one(0, 0);
    if (!whole.errors.empty()) {
      std::fprintf(stderr, "a run without failures fails in %s\n", whole.errors.begin()->first.c_str());
      return 1;
    }
    last = whole.allocations;
    std::printf("a run makes %llu allocations\n", static_cast<unsigned long long>(last));
  }
  const std::uint64_t step = sample == 0 ? 1 : std::max<std::uint64_t>(1, (last - first + 1) / sample);
  if (length == 0 || length == 1) hunt.all(first + offset % step, last, step, 1).print(1);
  if (length != 1)
    hunt.all(first + offset % step, last, step, length == 0 ? 50 : length).print(length == 0 ? 50 : length);
  return 0;
}
