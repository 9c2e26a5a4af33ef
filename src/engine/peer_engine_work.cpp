#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "engine/peer_engine_state.hpp"

/// Works on payloads: asked for, come back, and what waits for them.
namespace hawser {

WorkToken PeerEngine::State::order(Op& op, UnderWay under_way, Work work, EngineActions& out) {
  const WorkToken token{++works_ordered_};
  works_.emplace(token, std::move(under_way));
  ++op.works;
  out.emplace_back(RunWork{token, std::move(work)});
  return token;
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
  if (const auto ending = endings_.find(work.key); ending != endings_.end()) {
    // What it has done counts; what it leads to does not.
    Execution::Output ignored;
    if (work.use == UnderWay::Use::execution)
      (void)ending->second.execution->worked(now, work.token, event.result, ignored);
    if (--ending->second.works > 0) return;
    put_in_order(ending->second, out);
    endings_.erase(ending);
    return;
  }
  Op* const op = find_op(work.key);
  if (op == nullptr && planted(PlantedFault::unawaited_work)) return;
  HAWSER_ASSERT(op != nullptr);
  --op->works;
  op->in_kernels += event.took;
  if (work.use == UnderWay::Use::decompress) return unpacked(now, *op, work, event.result.right, out);
  if (work.use == UnderWay::Use::compress) return packed(*op, work, event.result.bytes, out);
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

void PeerEngine::State::packed(Op& op, const UnderWay& work, std::size_t bytes, EngineActions& out) {
  Link* const link = find_link(work.connection.peer);
  if (link == nullptr) return;
  if (bytes == 0)
    link->compression.did_not_pay();
  else
    link->compression.paid();
  const auto found = link->preparing.find(work.connection.index);
  const auto established = link->incarnations.find(work.connection.index);
  // Its frame goes over another connection, which may have it compressed anew.
  if (found == link->preparing.end() || established == link->incarnations.end() ||
      established->second != work.incarnation)
    return;
  HAWSER_ASSERT(op.preparing > 0);
  Preparing& preparing = found->second;
  preparing.compressing = {};
  if (bytes == 0) {
    preparing.plain = true;
  } else {
    preparing.header.compressed = true;
    preparing.header.payload_bytes = static_cast<std::uint32_t>(bytes);
    link->schedule.keep(work.connection.index, work.buffer);
    preparing.packed = work.buffer;
  }
  out.emplace_back(WakeLink{work.connection.peer, work.connection.index});
}

/// A call is over, whatever its works still do; its caller hears of that after the last of them.
void PeerEngine::State::end_call(const OpKey& key, bool restores, CallDone done, EngineActions& out) {
  const auto found = ops_.find(key);
  HAWSER_ASSERT(found != ops_.end());
  Ending ending{.execution = std::move(found->second.execution),
                .restores = restores,
                .works = found->second.works,
                .done = std::move(done)};
  ops_.erase(found);
  if (ending.works == 0 || planted(PlantedFault::unawaited_work))
    put_in_order(ending, out);
  else
    endings_.emplace(key, std::move(ending));
}

void PeerEngine::State::put_in_order(const Ending& ending, EngineActions& out) {
  if (ending.restores)
    out.emplace_back(RestoreInput{ending.done.call, ending.execution});
  else
    out.emplace_back(SettleResult{ending.done.call, ending.execution});
  out.emplace_back(ending.done);
}

}  // namespace hawser
