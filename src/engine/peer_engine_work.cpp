#include <algorithm>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "engine/peer_engine_state.hpp"

/// Works on payloads: asked for, come back, and what waits for them.
namespace hawser {
namespace {

/// Of one call's end: as many as there may be threads for them.
constexpr std::uint32_t kSlicesAtOnce = 4;

}  // namespace

WorkToken PeerEngine::State::order(UnderWay under_way, Work work, EngineActions& out) {
  const WorkToken token{++works_ordered_};
  const bool may_wait = under_way.use == UnderWay::Use::ending;
  works_.emplace(token, std::move(under_way));
  out.emplace_back(RunWork{.token = token, .work = std::move(work), .may_wait = may_wait});
  return token;
}

WorkToken PeerEngine::State::order(Op& op, UnderWay under_way, Work work, EngineActions& out) {
  ++op.works;
  return order(std::move(under_way), std::move(work), out);
}

/// What an execution wants: frames into the links' queues, works to whoever runs them. Answers the last work.
WorkToken PeerEngine::State::perform(const OpKey& key, Op& op, Execution::Output& output, EngineActions& out) {
  WorkToken last;
  for (Execution::Order& one : output.works) {
    UnderWay under_way;
    under_way.key = key;
    under_way.token = one.token;
    last = order(op, std::move(under_way), std::move(one.work), out);
  }
  output.works.clear();
  send(key, op, output.sends, out);
  output.sends.clear();
  return last;
}

void PeerEngine::State::on(Instant now, const WorkDone& event, EngineActions& out) {
  const auto node = works_.extract(event.token);
  HAWSER_ASSERT(!node.empty());
  const UnderWay& work = node.mapped();
  if (work.use == UnderWay::Use::prefetch) return prefetch_worked(now, work, event.result.right, out);
  if (work.use == UnderWay::Use::fetch && is_prefetch(work.key)) {
    fetched(event.token, work, out);
    return end_withdrawals(out);
  }
  if (const auto found = endings_.find(work.key); found != endings_.end()) {
    Ending& ending = found->second;
    --(work.use == UnderWay::Use::ending ? ending.slices : ending.works);
    // What it has done counts; what it leads to does not.
    Execution::Output ignored;
    if (work.use == UnderWay::Use::execution)
      (void)ending.execution->worked(now, work.token, event.result, ignored);
    return put_in_order(work.key, ending, out);
  }
  Op* const op = find_op(work.key);
  if (op == nullptr && (planted(PlantedFault::unawaited_work) || planted(PlantedFault::hasty_end))) return;
  HAWSER_ASSERT(op != nullptr);
  --op->works;
  op->in_kernels += event.took;
  if (work.use == UnderWay::Use::decompress) return unpacked(now, *op, work, event.result.right, out);
  if (work.use == UnderWay::Use::compress) return packed(event.token, work, event.result.bytes, out);
  if (work.use == UnderWay::Use::fetch) return fetched(event.token, work, out);
  Execution::Output output;
  const auto wrong = op->execution->worked(now, work.token, event.result, output);
  perform(work.key, *op, output, out);
  if (wrong) {
    HAWSER_ASSERT(*wrong < machine_.view().size());
    out.emplace_back(LogEvent{LogLevel::warning, "wrong-content",
                              machine_.view().members[*wrong].name + " sent data of " + describe(op->signature) +
                                  " that does not have its digest"});
  }
  widen_limit(work.key, *op, out);
  if (op->preparing > 0)
    for (auto& [peer, link] : links_)
      for (const auto& [index, preparing] : link.preparing)
        if (preparing.header.key == work.key) {
          out.emplace_back(WakeLink{peer});
          break;
        }
  if (op->execution->complete() && !op->whole) result_whole(now, work.key, *op, out);
}

void PeerEngine::State::unpacked(Instant now, Op& op, const UnderWay& work, bool right, EngineActions& out) {
  if (right)
    return take_chunk(now, work.connection, work.header, {.bytes = work.buffer.get(), .owner = work.buffer}, op, out);
  Link* const link = find_link(work.connection.peer);
  if (link == nullptr) return;
  const auto established = link->incarnations.find(work.connection.index);
  if (established != link->incarnations.end() && established->second == work.incarnation)
    drop_connection(now, work.connection, "it sent a chunk that cannot be decompressed", out);
}

/// The frame that a work makes the payload of; null if it goes over another connection, which has it made anew, or is
/// not to be sent any more.
PeerEngine::State::Preparing* PeerEngine::State::find_preparing(WorkToken token, const UnderWay& work) {
  Link* const link = find_link(work.connection.peer);
  if (link == nullptr) return nullptr;
  const auto found = link->preparing.find(work.connection.index);
  return found == link->preparing.end() || found->second.making != token ? nullptr : &found->second;
}

void PeerEngine::State::packed(WorkToken token, const UnderWay& work, std::size_t bytes, EngineActions& out) {
  Link* const link = find_link(work.connection.peer);
  if (link == nullptr) return;
  if (bytes == 0)
    link->compression.did_not_pay();
  else
    link->compression.paid();
  Preparing* const preparing = find_preparing(token, work);
  if (preparing == nullptr) return;
  preparing->making = {};
  if (bytes == 0) {
    preparing->plain = true;
  } else {
    preparing->header.compressed = true;
    preparing->header.payload_bytes = static_cast<std::uint32_t>(bytes);
    preparing->packed = work.buffer;
  }
  out.emplace_back(WakeLink{work.connection.peer, work.connection.index});
}

/// A call is over, whatever its works still do; its caller hears of that after the last of them.
void PeerEngine::State::end_call(const OpKey& key, bool restores, CallDone done, EngineActions& out) {
  const auto found = ops_.find(key);
  HAWSER_ASSERT(found != ops_.end());
  Ending& ending = endings_[key];
  // Only now: where there is no memory for the entry, the call is under way yet.
  ending.call = done.call;
  ending.execution = std::move(found->second.execution);
  ending.restores = restores;
  ending.works = found->second.works;
  ending.is_relayed = machine_.is_relay();
  if (restores) ending.again = std::move(found->second.again);
  ending.done = std::move(done);
  ops_.erase(found);
  put_in_order(key, ending, out);
}

/// Goes on with a call that is over: some works at a time, until its end may be told.
void PeerEngine::State::put_in_order(OpKey key, Ending& ending, EngineActions& out) {
  if (ending.done_given) return;
  if (ending.works > 0 && !planted(PlantedFault::unawaited_work)) return;
  while (ending.slices < kSlicesAtOnce) {
    Work work = ending.restores ? ending.execution->undo(config_.ending_work_bytes)
                                : ending.execution->settle(config_.ending_work_bytes);
    if (work.steps.empty()) break;
    UnderWay under_way;
    under_way.use = UnderWay::Use::ending;
    under_way.key = key;
    ++ending.slices;
    order(std::move(under_way), std::move(work), out);
  }
  if (ending.slices > 0 && !planted(PlantedFault::hasty_end)) return;
  if (ending.again || ending.is_relayed) {
    if (ending.again && !planted(PlantedFault::forgetful_relay)) again_.push_back(std::move(ending.again));
    endings_.erase(key);
    return;
  }
  out.emplace_back(std::move(ending.done));
  ending.done_given = true;
}

/// Its memory is in use until its caller has been told.
bool PeerEngine::State::has_ending(std::uint64_t tag) const {
  return std::any_of(endings_.begin(), endings_.end(), [&](const auto& entry) { return entry.first.tag == tag; });
}

}  // namespace hawser
