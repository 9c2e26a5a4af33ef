#include "collective/planned_collective.hpp"

/// Buffers on a device: what of them is on the host, and when.
namespace hawser {

/// The own contribution, on the host.
const std::byte* PlannedCollective::own(std::uint64_t chunk) const {
  return memory_.fetches() ? state(chunk).own.get() : memory_.own(chunk);
}

/// Where the host keeps the result; null if it is not part of this rank's.
std::byte* PlannedCollective::place(std::uint64_t chunk) {
  std::byte* const given = memory_.place(chunk);
  if (!memory_.uploads() || given == nullptr) return given;
  ChunkState& one = state(chunk);
  if (!one.image) one.image = memory_.take();
  return one.image.get();
}

/// Fetches contributions as far as buffers go.
void PlannedCollective::advance(Output& out) {
  if (!staged()) return;
  for (; advanced_ < limit_; ++advanced_) {
    if (!contributes(advanced_)) continue;
    if (!memory_.fetches()) {
      contribute(advanced_, out);
      continue;
    }
    ChunkState& one = state(advanced_);
    const std::size_t bytes = memory_.value_bytes(advanced_);
    one.own = memory_.take();
    order(Task::fetch, advanced_, {CopyBytes{.from = memory_.own(advanced_), .to = one.own.get(), .bytes = bytes}},
          bytes, out);
  }
}

/// The result is whole on the host.
void PlannedCollective::upload(std::uint64_t chunk, Output& out) {
  std::byte* const given = memory_.place(chunk);
  if (!memory_.uploads() || given == nullptr) return;
  if (!plan_.climbs() && given == memory_.own(chunk) && contributes(chunk)) {
    state(chunk).on_device = true;
    ++uploaded_chunks_;
    return;
  }
  std::vector<WorkStep> steps;
  save_first(chunk, steps);
  const std::size_t bytes = memory_.value_bytes(chunk);
  steps.emplace_back(CopyBytes{.from = place(chunk), .to = given, .bytes = bytes});
  order(Task::upload, chunk, std::move(steps), bytes, out);
}

/// Of a chunk that nobody needs any more, if it is one: others may have them.
void PlannedCollective::free_buffers(std::uint64_t chunk) {
  ChunkState& one = state(chunk);
  if (!buffers_are_bounded() || one.released || one.working || one.making || !one.climbed || one.unsent_down > 0)
    return;
  if (part_of_result(chunk) && (!one.done || (memory_.uploads() && !one.on_device))) return;
  memory_.give(std::move(one.own));
  memory_.give(std::move(one.image));
  if (!one.quantized) memory_.give(std::move(one.kept));
  one.forwarded = {};
  one.released = true;
  if (chunk < limit_) --in_window_;
  widen_limit();
}

}  // namespace hawser
