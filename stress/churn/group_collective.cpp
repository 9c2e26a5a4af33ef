#include "group_collective.hpp"

#include "digest.hpp"
#include "guarded_bytes.hpp"

namespace hawser::churn {
namespace {

const char* name_of(GroupKind kind) {
  switch (kind) {
    case GroupKind::broadcast: return "broadcast";
    case GroupKind::all_gather: return "all_gather";
    case GroupKind::reduce_scatter: return "reduce_scatter";
    case GroupKind::barrier: return "barrier";
  }
  return "";
}

/// One try, in one view.
class GroupTry {
 public:
  GroupTry(const MixedTools& tools, GroupKind kind, const MixedCall& call, const hawserCommInfo_t& view)
      : tools_(tools), kind_(kind), call_(call), view_(view), element_(bytes_of(call.type)) {
    room_.clear();
    options_.tag = call.tag;
    options_.plan = call.plan;
    options_.compress = call.compressed_by(tools.peer_id()) ? 1 : 0;
    options_.epoch = view.epoch;
  }

  Next run() {
    switch (kind_) {
      case GroupKind::broadcast: return broadcast();
      case GroupKind::all_gather: return all_gather();
      case GroupKind::reduce_scatter: return reduce_scatter();
      case GroupKind::barrier: return barrier();
    }
    return Next::leave;
  }

 private:
  template <class Make>
  Outcome make(const Make& call) {
    return tools_.session.call(kMainSlot, name_of(kind_), call);
  }

  std::size_t bytes(std::uint64_t parts) const { return parts * call_.count * element_; }

  void check_input(const Outcome& outcome, std::span<const std::byte> input,
                   std::span<const std::byte> pattern) {
    if (first_difference(pattern, input) == input.size()) return;
    tools_.reporter.violation(
        "lost_input", std::string(name_of(kind_)) + ": the input changed in a call that " +
                          (outcome.result == hawserSuccess ? "succeeded" : "failed: " + outcome.sentence));
  }

  void check_margins(const GuardedBytes& buffer) {
    if (!buffer.margins_intact())
      tools_.reporter.violation("out_of_bounds", std::string(name_of(kind_)) + ": written beside the buffer");
  }

  /// Whether it succeeded, in the view that was asked for.
  bool succeeded(const Outcome& outcome) {
    if (outcome.result != hawserSuccess) return false;
    room_.cut();
    if (room_.info.epoch == view_.epoch && room_.members.size() == view_.group_size) return true;
    tools_.reporter.violation("bad_info",
                              std::string(name_of(kind_)) + ": it ran in another view than asked for");
    return false;
  }

  Next after(const Outcome& outcome, std::uint64_t digest) {
    if (outcome.result != hawserSuccess) return tools_.session.judge(outcome, name_of(kind_));
    tools_.collectives.committed(
        {.phase = name_of(kind_),
         .kind = name_of(kind_),
         .type = call_.type,
         .op = call_.op,
         .quantization = kind_ == GroupKind::reduce_scatter ? call_.quantization : hawserQuantization_t{},
         .compressed = options_.compress != 0,
         .tag = call_.tag,
         .count = call_.count,
         .plan = call_.plan,
         .digest = digest,
         .info = room_.info,
         .members = room_.members});
    return Next::carry_on;
  }

  Next broadcast() {
    const auto root = static_cast<std::uint32_t>(call_.key % view_.group_size);
    const bool is_root = root == view_.rank;
    const Pattern own = input_pattern(call_.rule(), tools_.peer_id());
    GuardedBytes send(is_root ? bytes(1) : 0);
    GuardedBytes apart(is_root && call_.in_place ? 0 : bytes(1), element_);
    GuardedBytes& receive = is_root && call_.in_place ? send : apart;
    lay_pattern(own, send.view());
    const Outcome outcome = make([&](hawserComm_t comm) {
      return hawserBroadcast(comm, is_root ? send.view().data() : nullptr, receive.view().data(), call_.count,
                             call_.type, root, &options_, &room_.info);
    });
    check_input(outcome, send.view(), own);
    check_margins(send);
    check_margins(receive);
    if (succeeded(outcome)) {
      const Pattern right = input_pattern(call_.rule(), room_.members[root]);
      if (first_difference(right, receive.view()) != receive.view().size())
        tools_.check(name_of(kind_), "the result is not the root's input");
    }
    return after(outcome, digest_bytes(receive.view()));
  }

  Next all_gather() {
    const Pattern own = input_pattern(call_.rule(), tools_.peer_id());
    GuardedBytes receive(bytes(view_.group_size), element_);
    GuardedBytes apart(call_.in_place ? 0 : bytes(1));
    const std::span<std::byte> send =
        call_.in_place ? receive.view().subspan(bytes(view_.rank), bytes(1)) : apart.view();
    lay_pattern(own, send);
    const Outcome outcome = make([&](hawserComm_t comm) {
      return hawserAllGather(comm, send.data(), receive.view().data(), call_.count, call_.type, &options_,
                             &room_.info);
    });
    check_input(outcome, send, own);
    check_margins(receive);
    check_margins(apart);
    if (succeeded(outcome)) {
      for (std::size_t rank = 0; rank < room_.members.size(); ++rank) {
        const Pattern right = input_pattern(call_.rule(), room_.members[rank]);
        if (first_difference(right, receive.view().subspan(bytes(rank), bytes(1))) != bytes(1))
          tools_.check(name_of(kind_), "the share of rank " + std::to_string(rank) + " is not its input");
      }
    }
    return after(outcome, digest_bytes(receive.view()));
  }

  Next reduce_scatter() {
    ValueRule rule = call_.rule();
    rule.count *= view_.group_size;
    const Pattern own = input_pattern(rule, tools_.peer_id());
    GuardedBytes send(bytes(view_.group_size), element_);
    GuardedBytes apart(call_.in_place ? 0 : bytes(1));
    const std::span<std::byte> receive =
        call_.in_place ? send.view().subspan(bytes(view_.rank), bytes(1)) : apart.view();
    lay_pattern(own, send.view());
    hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
    options.op = call_.op;
    options.tag = options_.tag;
    options.plan = options_.plan;
    options.quantization = call_.quantization;
    options.compress = options_.compress;
    options.epoch = options_.epoch;
    const Outcome outcome = make([&](hawserComm_t comm) {
      return hawserReduceScatter(comm, send.view().data(), receive.data(), call_.count, call_.type, &options,
                                 &room_.info);
    });
    if (outcome.result != hawserSuccess || !call_.in_place) check_input(outcome, send.view(), own);
    check_margins(send);
    check_margins(apart);
    if (succeeded(outcome)) {
      const std::uint64_t offset = view_.rank * call_.count;
      const auto& members = room_.members;
      const double tolerance =
          call_.quantised() ? tolerance_of(rule, call_.quantization, members.size(), false) : 0;
      tools_.check(name_of(kind_), call_.quantised() ? verify_near(rule, members, receive, tolerance, offset)
                                                     : verify_exact(rule, members, receive, offset));
    }
    return after(outcome, 0);  // each member has another share
  }

  Next barrier() {
    const std::uint64_t entered = now_ns();
    const Outcome outcome =
        make([&](hawserComm_t comm) { return hawserBarrier(comm, &options_, &room_.info); });
    const std::uint64_t left = now_ns();
    if (succeeded(outcome)) {
      tools_.reporter.keep(LineBuilder("barrier")
                               .add("epoch", room_.info.epoch)
                               .add("seq", room_.info.sequence)
                               .add("entered", entered)
                               .add("left", left));
    }
    return after(outcome, 0);
  }

  MixedTools tools_;
  GroupKind kind_;
  const MixedCall& call_;
  hawserCommInfo_t view_;
  std::size_t element_;
  InfoRoom room_;
  hawserCollectiveOptions_t options_ = HAWSER_COLLECTIVE_OPTIONS_INIT;
};

}  // namespace

Next run_group_collective(const MixedTools& tools, GroupKind kind, const MixedCall& call) {
  Next next = Next::retry;
  while (next == Next::retry) {
    hawserCommInfo_t view = HAWSER_COMM_INFO_INIT;
    const Outcome asked = tools.session.call(
        kMainSlot, "info", [&](hawserComm_t comm) { return hawserCommGetInfo(comm, &view); });
    next = asked.result == hawserSuccess ? GroupTry(tools, kind, call, view).run()
                                         : tools.session.judge(asked, "info");
  }
  return next;
}

}  // namespace hawser::churn
