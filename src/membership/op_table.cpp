#include "membership/op_table.hpp"

#include "base/assert.hpp"

namespace hawser {

void OpTable::begin(std::uint32_t view_size) {
  ops_.clear();
  due.clear_all();
  open_calls_.assign(view_size, 0);
  callers_ = 0;
  differing_ = optimizing_ = full_ = 0;
  last_call_ = {};
}

OpInFlight& OpTable::call(Instant now, std::uint32_t rank, const OpKey& key, const Signature& signature) {
  HAWSER_ASSERT(rank < view_size());
  const auto [found, fresh] = ops_.try_emplace(key);
  OpInFlight& op = found->second;
  if (fresh) {
    op.signature = signature;
    op.first_call = now;
    optimizing_ += signature.collective == Collective::optimize ? 1 : 0;
  }
  if (!op.called.insert(rank)) return op;
  op.last_call = last_call_ = now;
  if (op.signature != signature) {
    differing_ += op.differs() ? 0 : 1;
    op.called_otherwise.emplace(rank, signature);
  }
  if (open_calls_[rank]++ == 0) ++callers_;
  full_ += called_by_all(op) ? 1 : 0;
  return op;
}

void OpTable::erase(const OpKey& key) {
  const auto found = ops_.find(key);
  if (found == ops_.end()) return;
  const OpInFlight& op = found->second;
  op.called.for_each([&](std::uint32_t rank) {
    if (--open_calls_[rank] == 0) --callers_;
  });
  differing_ -= op.differs() ? 1 : 0;
  optimizing_ -= op.signature.collective == Collective::optimize ? 1 : 0;
  full_ -= called_by_all(op) ? 1 : 0;
  due.clear(key);
  ops_.erase(found);
}

void OpTable::restart_bounds(Instant now) {
  for (auto& [key, op] : ops_) {
    op.first_call = op.last_call = now;
    op.grievances.clear();
    op.judge_at.reset();
    op.slow_links.clear();
    op.straggler.reset();
    if (op.lone_since) op.lone_since = now;
  }
  last_call_ = now;
}

OpInFlight* OpTable::find(const OpKey& key) {
  const auto found = ops_.find(key);
  return found == ops_.end() ? nullptr : &found->second;
}

}  // namespace hawser
