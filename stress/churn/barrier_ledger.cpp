#include "barrier_ledger.hpp"

namespace hawser::churn {
namespace {

constexpr std::size_t kBarriersKept = 10'000;

}  // namespace

std::optional<std::string> BarrierLedger::on_barrier(const std::string& worker, const ReportLine& line) {
  const auto epoch = line.number("epoch");
  const auto sequence = line.number("seq");
  const auto entered = line.number("entered");
  const auto left = line.number("left");
  if (!epoch || !sequence || !entered || !left) return worker + " reported a barrier without its moments";
  Moments& moments = barriers_[{*epoch, *sequence}];
  if (*entered >= moments.last_entry_ns) {
    moments.last_entry_ns = *entered;
    moments.last_to_enter = worker;
  }
  if (*left <= moments.first_exit_ns) {
    moments.first_exit_ns = *left;
    moments.first_to_leave = worker;
  }
  const bool holds = moments.last_entry_ns <= moments.first_exit_ns;
  std::string sentence = "barrier " + std::to_string(*sequence) + " in epoch " + std::to_string(*epoch) +
                         ": " + moments.first_to_leave + " left it before " + moments.last_to_enter +
                         " entered";
  if (barriers_.size() > kBarriersKept) barriers_.erase(barriers_.begin());
  return holds ? std::nullopt : std::optional(std::move(sentence));
}

}  // namespace hawser::churn
