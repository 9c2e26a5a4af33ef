#include "checked_collective.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "call_names.hpp"
#include "device_mirror.hpp"
#include "digest.hpp"

namespace hawser::churn {
namespace {

constexpr std::size_t kMargin = 16;
constexpr float kMarginValue = -1234567.0f;

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::uint64_t digest_members(const std::vector<std::uint64_t>& members) {
  std::uint64_t state = mix64(members.size());
  for (const std::uint64_t id : members) state = mix64(state ^ id);
  return state;
}

}  // namespace

GuardedBuffer::GuardedBuffer(std::size_t count, float fill) : storage_(count + 2 * kMargin, fill) {
  std::fill_n(storage_.begin(), kMargin, kMarginValue);
  std::fill_n(storage_.end() - kMargin, kMargin, kMarginValue);
}

std::span<float> GuardedBuffer::view() {
  return std::span(storage_).subspan(kMargin, storage_.size() - 2 * kMargin);
}

std::span<const float> GuardedBuffer::view() const {
  return std::span(storage_).subspan(kMargin, storage_.size() - 2 * kMargin);
}

bool GuardedBuffer::margins_intact() const {
  const auto intact = [](float x) { return x == kMarginValue; };
  return std::all_of(storage_.begin(), storage_.begin() + kMargin, intact) &&
         std::all_of(storage_.end() - kMargin, storage_.end(), intact);
}

void CheckedCollectives::joined_as(std::uint64_t peer_id) {
  peer_id_ = peer_id;
  last_by_tag_.clear();
}

void CheckedCollectives::check_info(const CommittedCall& call) {
  const hawserReduceInfo_t& info = call.info;
  const auto complain = [&](const char* what) {
    reporter_.violation("bad_info", std::string(call.phase) + ": " + what);
  };
  if (info.world_size < 2 || info.world_size > kMembersMax) complain("impossible world size");
  if (info.rank >= call.members.size() || call.members[info.rank] != peer_id_)
    complain("own rank does not hold own peer id");
  if (std::set(call.members.begin(), call.members.end()).size() != call.members.size())
    complain("a contributor is named twice");
  if (info.plan == hawserPlanAuto) complain("the plan that was used is not told");
  if (call.plan != hawserPlanAuto && info.plan != call.plan) complain("another plan than the one asked for");
  if (info.attempts != 1) complain("not one attempt");
  const std::scoped_lock lock(mutex_);
  const auto last = last_by_tag_.find(call.tag);
  if (last != last_by_tag_.end()) {
    if (info.epoch < last->second.epoch) complain("the epoch went back");
    if (info.epoch == last->second.epoch && info.sequence <= last->second.sequence)
      complain("the sequence did not grow");
  }
  last_by_tag_[call.tag] = {.epoch = info.epoch, .sequence = info.sequence};
}

ReduceResult CheckedCollectives::reduce_once(const ReduceRequest& request) {
  const bool in_place = request.send == request.receive;
  const std::vector<float> original(request.send->view().begin(), request.send->view().end());
  std::vector<std::uint64_t> members(kMembersMax);
  hawserReduceInfo_t info = HAWSER_REDUCE_INFO_INIT;
  info.contributors = members.data();
  info.contributor_capacity = kMembersMax;
  hawserAllReduceOptions_t options = HAWSER_ALL_REDUCE_OPTIONS_INIT;
  options.op = request.op;
  options.tag = request.tag;
  options.plan = request.plan;
  options.timeout_ms = request.timeout_ms;

  const std::uint64_t number = calls_++;
  const std::int32_t device = DeviceMirror::is_wanted(number) ? DeviceMirror::device_of(number) : -1;
  DeviceMirror send(*request.send, device);
  std::optional<DeviceMirror> apart;
  if (!in_place) apart.emplace(*request.receive, device);
  options.stream = send.stream();
  const Outcome outcome = session_.call(request.slot, request.phase, [&](hawserComm_t comm) {
    return hawserAllReduce(comm, send.data(), in_place ? send.data() : apart->data(), original.size(), hawserFloat32,
                           &options, &info);
  });
  const bool success = outcome.result == hawserSuccess;
  // What lies on a device that fails is lost with it, and perhaps was never written there.
  if (success || !session_.devices_are_broken()) {
    send.fetch_back();
    if (apart) apart->fetch_back();
  }
  if (!(success && in_place) && !same_bits(original, request.send->view())) {
    reporter_.violation("lost_input",
                        std::string(request.phase) + ": the input changed in a call that " +
                            (success ? "succeeded out of place" : "failed: " + outcome.sentence));
    std::copy(original.begin(), original.end(), request.send->view().begin());
  }
  if (!request.send->margins_intact() || !request.receive->margins_intact()) {
    reporter_.violation("out_of_bounds", std::string(request.phase) + ": written beside the buffer");
  }
  if (!success) return {.next = session_.judge(outcome, request.phase)};

  members.resize(std::min(info.world_size, kMembersMax));
  committed({.phase = request.phase,
             .op = request.op,
             .tag = request.tag,
             .count = original.size(),
             .plan = request.plan,
             .digest = digest_bits(request.receive->view()),
             .info = info,
             .members = members});
  return {.next = Next::carry_on,
          .members = std::move(members),
          .rank = info.rank,
          .epoch = info.epoch,
          .sequence = info.sequence};
}

void CheckedCollectives::committed(const CommittedCall& call) {
  check_info(call);
  reporter_.keep(LineBuilder("reduce")
                     .add("phase", call.phase)
                     .add("epoch", call.info.epoch)
                     .add("tag", call.tag)
                     .add("seq", call.info.sequence)
                     .add("count", call.count)
                     .add("kind", call.kind)
                     .add("type", name_of(call.type))
                     .add("op", name_of(call.op))
                     .add("quant", name_of(call.quantization))
                     .add("residual", std::uint64_t{call.residual})
                     .add("compressed", std::uint64_t{call.compressed})
                     .add("plan", std::uint64_t{call.info.plan})
                     .add("members", digest_members(call.members))
                     .add("digest", call.digest));
  session_.recovered();
}

ReduceResult CheckedCollectives::reduce(const ReduceRequest& request) {
  ReduceResult result = reduce_once(request);
  ReduceRequest again = request;
  again.timeout_ms = 0;
  while (result.next == Next::retry) result = reduce_once(again);
  return result;
}

}  // namespace hawser::churn
