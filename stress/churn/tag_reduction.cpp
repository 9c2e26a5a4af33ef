#include "tag_reduction.hpp"

#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr const char* kPhase = "tags";
constexpr std::uint64_t kShortWaitMs = 5;

// Elements need their own alignment only.
std::size_t shift_of(const MixedCall& call) { return (call.key >> 40) % 4 * bytes_of(call.type); }

}  // namespace

TagReduction::TagReduction(const MixedTools& tools, const MixedCall& call, hawserResidual_t residual)
    : tools_(tools),
      call_(call),
      residual_(residual),
      input_(input_pattern(call.rule(), tools.peer_id())),
      send_(call.count * bytes_of(call.type), shift_of(call)),
      apart_(call.in_place ? 0 : call.count * bytes_of(call.type), shift_of(call)),
      receive_(call.in_place ? send_ : apart_) {
  lay_pattern(input_, send_.view());
}

TagReduction::~TagReduction() { hawserOpDestroy(op_); }

double TagReduction::owed() const {
  double norm = 0;
  if (residual_ != nullptr && hawserResidualGetNorm(residual_, &norm) != hawserSuccess)
    tools_.reporter.violation("unexpected_error", std::string("residual: ") + hawserGetLastError());
  return norm;
}

hawserAllReduceOptions_t TagReduction::options() {
  room_.clear();
  owed_before_ = owed();
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.op = call_.op;
  options.tag = call_.tag;
  options.plan = call_.plan;
  options.quantization = call_.quantization;
  options.residual = residual_;
  options.compress = call_.compressed_by(tools_.peer_id()) ? 1 : 0;
  return options;
}

hawserResult_t TagReduction::run(hawserComm_t comm) {
  const hawserAllReduceOptions_t chosen = options();
  return hawserAllReduce(comm, send_.view().data(), receive_.view().data(), call_.count, call_.type, &chosen,
                         &room_.info);
}

hawserResult_t TagReduction::start(hawserComm_t comm) {
  const hawserAllReduceOptions_t chosen = options();
  return hawserAllReduceAsync(comm, send_.view().data(), receive_.view().data(), call_.count, call_.type,
                              &chosen, &op_);
}

bool TagReduction::ended() const {
  int ended = 0;
  if (op_ == nullptr) return true;
  if (hawserOpTest(op_, &ended) != hawserSuccess)
    tools_.reporter.violation("unexpected_error", std::string("test of a handle: ") + hawserGetLastError());
  return ended != 0;
}

hawserResult_t TagReduction::wait(bool impatient) {
  while (impatient && !ended()) hawserOpWait(op_, kShortWaitMs, nullptr);
  return hawserOpWait(op_, UINT64_MAX, &room_.info);
}

void TagReduction::check_input(bool success, const Outcome& outcome) {
  if (success && call_.in_place) return;
  const auto view = send_.view();
  const std::size_t changed = first_difference(input_, view);
  if (changed == view.size()) return;
  tools_.reporter.violation("lost_input",
                            std::string(kPhase) + ": byte " + std::to_string(changed) + " of " +
                                std::to_string(view.size()) + " changed in a call that " +
                                (success ? "succeeded out of place" : "failed: " + outcome.sentence));
  lay_pattern(input_, view);
}

void TagReduction::check_after(const Outcome& outcome) {
  hawserOpDestroy(op_);
  op_ = nullptr;
  const bool success = outcome.result == hawserSuccess;
  check_input(success, outcome);
  if (!send_.margins_intact() || !receive_.margins_intact())
    tools_.reporter.violation("out_of_bounds", std::string(kPhase) + ": written beside the buffer");
  if (!success) {
    if (owed() != owed_before_)
      tools_.reporter.violation(
          "lost_input",
          std::string(kPhase) + ": the residual changed in a call that failed: " + outcome.sentence);
    return;
  }
  room_.cut();
  const ValueRule rule = call_.rule();
  if (call_.quantised()) {
    const double tolerance = tolerance_of(rule, call_.quantization, room_.members.size(), call_.residual);
    tools_.check(kPhase, verify_near(rule, room_.members, receive_.view(), tolerance));
  } else {
    tools_.check(kPhase, verify_exact(rule, room_.members, receive_.view()));
  }
  tools_.collectives.committed({.phase = kPhase,
                                .type = call_.type,
                                .op = call_.op,
                                .quantization = call_.quantization,
                                .residual = call_.residual,
                                .compressed = call_.compressed_by(tools_.peer_id()),
                                .tag = call_.tag,
                                .count = call_.count,
                                .plan = call_.plan,
                                .digest = digest_bytes(receive_.view()),
                                .info = room_.info,
                                .members = room_.members});
}

}  // namespace hawser::churn
