#include "round_header.hpp"

#include <algorithm>
#include <optional>

#include "options.hpp"

namespace hawser::churn {
namespace {

constexpr std::uint32_t kPieceBits = 16;
constexpr std::uint32_t kPieces = 4;
constexpr std::uint32_t kStepMax = 1u << 24;

float* write_pieces(std::uint64_t value, float* out) {
  for (std::uint32_t i = 0; i < kPieces; ++i)
    *out++ = static_cast<float>((value >> (i * kPieceBits)) & 0xffff);
  return out;
}

// A piece out of its range comes from two members in one slot; the caller refuses the header then.
const float* read_pieces(const float* in, std::uint64_t& value) {
  value = 0;
  for (std::uint32_t i = 0; i < kPieces; ++i) {
    value |= (static_cast<std::uint64_t>(*in++) & 0xffff) << (i * kPieceBits);
  }
  return in;
}

std::optional<HeaderEntry> read_slot(const float* in) {
  const bool sane = std::all_of(in, in + kHeaderSlotFloats,
                                [](float x) { return x >= 0 && x < static_cast<float>(kStepMax); });
  if (!sane || *in++ != 1.0f) return std::nullopt;
  HeaderEntry entry;
  entry.synced = *in++ != 0.0f;
  entry.step = static_cast<std::uint32_t>(*in++);
  ++in;
  in = read_pieces(in, entry.peer_id);
  in = read_pieces(in, entry.lineage);
  in = read_pieces(in, entry.digest);
  read_pieces(in, entry.synced_epoch);
  return entry;
}

std::string describe(const HeaderEntry& e) {
  return "peer " + std::to_string(e.peer_id) + " at step " + std::to_string(e.step) + " of lineage " +
         std::to_string(e.lineage) + " with digest " + std::to_string(e.digest);
}

}  // namespace

void write_header(const HeaderEntry& entry, std::uint32_t rank, std::span<float> floats) {
  std::fill(floats.begin(), floats.end(), 0.0f);
  if (rank >= kMembersMax) return;
  float* out = floats.data() + std::size_t{rank} * kHeaderSlotFloats;
  *out++ = 1.0f;  // summed, it counts who wrote here
  *out++ = entry.synced ? 1.0f : 0.0f;
  *out++ = static_cast<float>(entry.step);
  *out++ = 0.0f;
  out = write_pieces(entry.peer_id, out);
  out = write_pieces(entry.lineage, out);
  out = write_pieces(entry.digest, out);
  write_pieces(entry.synced_epoch, out);
}

std::vector<HeaderEntry> read_header(std::span<const float> floats, std::span<const std::uint64_t> members) {
  std::vector<HeaderEntry> entries;
  for (std::size_t rank = 0; rank < members.size(); ++rank) {
    const auto entry = read_slot(floats.data() + rank * kHeaderSlotFloats);
    if (!entry || entry->peer_id != members[rank]) return {};
    entries.push_back(*entry);
  }
  return entries;
}

RoundStart decide_round_start(std::span<const HeaderEntry> entries, std::uint64_t epoch) {
  RoundStart start{.epoch = epoch};
  const HeaderEntry* first = nullptr;
  for (const HeaderEntry& e : entries) {
    start.any_newcomer |= !e.synced;
    start.sync_needed |= !e.synced || e.synced_epoch != epoch;
    if (!e.synced) continue;
    start.holders.push_back(e.peer_id);
    if (first == nullptr) {
      first = &e;
      start.lineage = e.lineage;
      start.step = e.step;
      start.digest = e.digest;
    } else if (e.lineage != first->lineage || e.step != first->step || e.digest != first->digest) {
      start.sync_needed = true;
      start.disagreement = describe(*first) + ", but " + describe(e);
    }
  }
  return start;
}

}  // namespace hawser::churn
