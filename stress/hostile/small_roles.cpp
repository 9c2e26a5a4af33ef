// A master, and an operator who asks it how the run stands.

#include <chrono>
#include <cstdio>
#include <hawser/hawser.hpp>
#include <thread>

#include "churn/control_channel.hpp"
#include "churn/reporter.hpp"
#include "hawser_status.h"
#include "hostile/options.hpp"

namespace hawser::hostile {

using churn::LineBuilder;
using churn::now_ns;

int run_master(const MasterOptions& options) {
  auto master = Master::create({.listen = options.listen});
  if (!master) return std::fprintf(stderr, "master: %s\n", master.error().sentence.c_str()), 1;
  const churn::ControlChannel ears([](std::string_view) {}, nullptr);
  churn::Reporter().say(LineBuilder("listening").add("address", master->address()));
  const auto ran = master->run();
  if (!ran) std::fprintf(stderr, "master: %s\n", ran.error().sentence.c_str());
  return ran ? 0 : 1;
}

int run_operator(const OperatorOptions& options) {
  constexpr std::uint32_t kPatienceMs = 5000;
  churn::Reporter reporter;
  const churn::ControlChannel ears([](std::string_view) {}, nullptr);
  for (;;) {
    const std::uint64_t begin = now_ns();
    hawserStatus_t status = nullptr;
    const bool answered = hawserStatusQuery(options.master.c_str(), kPatienceMs, &status) == hawserSuccess;
    LineBuilder line(answered ? "answer" : "no_answer");
    line.add("t", begin).add("ms", static_cast<double>(now_ns() - begin) / 1e6);
    if (!answered) line.text(hawserGetLastError());
    reporter.say(line);
    if (answered) (void)hawserStatusDestroy(status);
    std::this_thread::sleep_for(std::chrono::milliseconds(options.period_ms));
  }
}

}  // namespace hawser::hostile
