#include "reduce_info.hpp"

namespace hawser::capi {
namespace {

hawserReduceInfo_t reduce_info_of(const CollectiveInfo& from, const hawserReduceInfo_t& callers) {
  hawserReduceInfo_t info = callers;
  info.world_size = static_cast<std::uint32_t>(from.contributors.size());
  info.rank = from.rank;
  info.plan = static_cast<hawserPlan_t>(from.plan);
  info.epoch = from.key.epoch.value;
  info.sequence = from.key.sequence;
  info.bytes_sent = from.bytes_sent;
  info.bytes_received = from.bytes_received;
  info.transfer_us = whole_microseconds(from.transfer);
  info.commit_us = whole_microseconds(from.commit);
  info.wait_us = whole_microseconds(from.wait);
  info.reduce_us = whole_microseconds(from.reduce);
  info.attempts = 1;
  info.predicted_us = static_cast<std::uint64_t>(from.predicted_seconds * 1e6);
  copy_text(from.plan_reason, info.plan_reason);
  if (info.contributors != nullptr)
    for (std::uint32_t i = 0; i < std::min(info.world_size, info.contributor_capacity); ++i)
      info.contributors[i] = from.contributors[i].value;
  return info;
}

}  // namespace

InfoOut::InfoOut(hawserReduceInfo_t* callers) : callers_(callers) {
  if (callers == nullptr) return;
  auto read = read_struct(*callers, "hawserReduceInfo_t", Rest::waits_for_answer);
  if (read.ok())
    asked_ = *read;
  else
    fine_ = read.error();
}

void InfoOut::write(const CollectiveInfo& info) const {
  if (asked_) write_struct(reduce_info_of(info, *asked_), *callers_);
}

}  // namespace hawser::capi
