#include "hostile/loopback_run.hpp"

#include <memory>
#include <stdexcept>

#include "hostile/flood_messages.hpp"

namespace hawser::hostile {
namespace {

constexpr std::uint64_t kUpMs = 20'000;

}  // namespace

std::vector<std::string> loopback_sources(std::uint32_t count, std::uint32_t first) {
  std::vector<std::string> sources;
  for (std::uint32_t i = first; i < first + count; ++i)
    sources.push_back("127.1." + std::to_string(i / 200) + "." + std::to_string(1 + i % 200));
  return sources;
}

LoopbackRun::LoopbackRun(const std::string& log, std::uint32_t idle_members) : stage_(log) {
  master_ = stage_.start_listening("master", {"master"}, &master_process_);
  const auto in = std::make_shared<std::uint32_t>(0);
  for (std::uint32_t i = 0; i < idle_members; ++i)
    stage_.start("member-" + std::to_string(i),
                 {"member", "--master", master_, "--name", "member-" + std::to_string(i), "--idle"},
                 [in](const churn::ReportLine& line) { *in += line.word() == "in" ? 1 : 0; });
  if (!stage_.wait([&] { return *in == idle_members; }, kUpMs)) throw std::runtime_error("the members did not come up");
}

churn::ChildProcess& LoopbackRun::flood(const FlooderOptions& options, FloodLine& told) {
  std::vector<std::string> arguments{"flooder",       "--target",      master_,
                                     "--kind",        flood_name(options.kind),
                                     "--opens",       std::to_string(options.opens_per_second),
                                     "--connections", std::to_string(options.connections),
                                     "--pings",       std::to_string(options.pings_per_second),
                                     "--seconds",     std::to_string(options.seconds)};
  if (options.keeps) arguments.emplace_back("--keeps");
  if (options.counts) arguments.emplace_back("--counts");
  if (options.holds) arguments.emplace_back("--holds");
  if (options.is_deaf) arguments.emplace_back("--deaf");
  for (const std::string& source : options.sources) arguments.insert(arguments.end(), {"--source", source});
  return stage_.start("flood", arguments, [&told](const churn::ReportLine& line) {
    if (line.word() != "flooded") return;
    for (const auto& [key, value] : line.pairs()) told[std::string(key)] = line.number(key).value_or(0);
  });
}

}  // namespace hawser::hostile
