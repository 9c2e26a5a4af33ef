#include "shared_state/state_sync.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/planted_fault.hpp"
#include "kernels/content_digest.hpp"
#include "base/loggable_text.hpp"

namespace hawser {
StateSync::Next StateSync::begin(Instant now, const View& view, PeerId self) {
  view_ = view;
  self_ = self;
  was_incomplete_ = record_.incomplete;
  old_revision_ = record_.revision;
  if (record_.agreed_as != self) record_.agreed_revision.reset();
  outcome_.began = true;
  outcome_.info.tensors = record_.content->tensors().size();
  outcome_.info.bytes = record_.content->bytes();
  return attempt(now);
}

StateSync::Next StateSync::attempt(Instant now) {
  phase_began_ = now;
  rank_ = view_.rank_of(self_).value_or(0);
  transfer_over_ = false;
  return Next::digest;
}

StateSync::Next StateSync::digested(Instant now) {
  record_.content->all_digested();
  outcome_.info.digest += now - phase_began_;
  phase_began_ = now;
  return ask_summaries();
}

Manifest StateSync::manifest() const {
  Manifest manifest = record_.content->manifest();
  manifest.revision = record_.revision;
  manifest.agreed_revision = record_.agreed_revision;
  manifest.strategy = settings_.strategy;
  manifest.incomplete = record_.incomplete;
  manifest.trouble = trouble_;
  return manifest;
}

StateSync::Next StateSync::call(Phase phase, const Signature& signature) {
  phase_ = phase;
  step_ = {};
  step_.signature = signature;
  step_.signature.purpose = Purpose::shared_state;
  step_.send = sent_.data();
  step_.receive = received_.data();
  step_.epoch = view_.epoch;
  return Next::collective;
}

StateSync::Next StateSync::ask_summaries() {
  sent_ = encode_summary(summarize(manifest()));
  received_.resize(kSummaryBytes * std::max<std::uint32_t>(1, view_.size()));
  return call(Phase::summaries,
              {.collective = Collective::all_gather, .type = DataType::uint8, .count = kSummaryBytes});
}

StateSync::Next StateSync::ended(Instant now, const Error& error, const CollectiveInfo* info, const View& view) {
  account(now, info);
  const bool in_transfer = phase_ == Phase::transfer;
  if (in_transfer) take_stock();
  if (retry_mends(error.status) && view.rank_of(self_)) {
    view_ = view;
    ++outcome_.info.attempts;
    return attempt(now);
  }
  if (error.status != Status::success) return fail(error);
  switch (phase_) {
    case Phase::summaries: return heard_summaries();
    case Phase::manifests: return heard_manifests();
    case Phase::digests: return heard_digests();
    case Phase::transfer: return transferred(now);
  }
  HAWSER_ASSERT(false);
}

void StateSync::account(Instant now, const CollectiveInfo* info) {
  (phase_ == Phase::transfer ? outcome_.info.transfer : outcome_.info.agree) += now - phase_began_;
  phase_began_ = now;
  if (info == nullptr) return;
  outcome_.info.bytes_sent += info->bytes_sent;
  outcome_.info.bytes_received += info->bytes_received;
}

std::string StateSync::who(std::uint32_t rank) const { return view_.members[rank].name; }

/// Members speak one version of the protocol, so this cannot be.
Error StateSync::not_ours(std::uint32_t rank, const Error& error) const {
  return {Status::internal, "peer " + who(rank) + ": " + error.sentence + "; please report this"};
}

StateSync::Next StateSync::heard_summaries() {
  summaries_.clear();
  for (std::uint32_t rank = 0; rank < view_.size(); ++rank) {
    auto summary = decode_summary(std::span(received_).subspan(rank * kSummaryBytes, kSummaryBytes));
    if (!summary.ok())
      return fail(not_ours(rank, summary.error()));
    summaries_.push_back(*summary);
  }
  if (settled_by_summaries(summaries_)) {
    if (!transfer_over_) outcome_.info.supporters = view_.size();
    return settle();
  }
  const bool unsettled =
      std::any_of(summaries_.begin(), summaries_.end(), [](const auto& one) { return one.unsettled; });
  // Everybody has what was elected, and still they differ.
  if (transfer_over_ && !unsettled)
    return fail({Status::mismatch,
                 "the shared states differ after everything was transferred: some member's tensors were written to "
                 "during the synchronisation; leave them alone until the call returns"});
  return ask_manifests();
}

StateSync::Next StateSync::ask_manifests() {
  std::uint64_t most = 0;
  for (const ManifestSummary& summary : summaries_) most = std::max<std::uint64_t>(most, summary.manifest_bytes);
  if (most * view_.size() > limits::kManifestsBytesMax)
    return fail({Status::system, "the manifests of " + std::to_string(view_.size()) + " members, " +
                                     std::to_string(most) + " bytes each, are more than " +
                                     std::to_string(limits::kManifestsBytesMax) +
                                     " bytes; put small tensors together"});
  sent_ = encode_manifest(manifest());
  sent_.resize(most);
  received_.resize(most * view_.size());
  return call(Phase::manifests, {.collective = Collective::all_gather, .type = DataType::uint8, .count = most});
}

StateSync::Next StateSync::heard_manifests() {
  const std::size_t most = received_.size() / view_.size();
  std::vector<SharedStateMember> members;
  for (std::uint32_t rank = 0; rank < view_.size(); ++rank) {
    auto decoded = decode_manifest(std::span(received_).subspan(rank * most, summaries_[rank].manifest_bytes));
    if (!decoded.ok())
      return fail(not_ours(rank, decoded.error()));
    decoded->trouble = make_loggable(decoded->trouble, limits::kSentenceBytesMax);
    members.push_back({.peer = who(rank), .manifest = std::move(*decoded)});
  }
  received_ = {};
  auto election = elect(members);
  if (!election.ok()) return fail(election.error());
  election_ = std::move(*election);
  if (!transfer_over_) outcome_.info.supporters = election_.supporters;
  if (election_.fetches.empty()) {
    record_.revision = election_.revision;
    record_.incomplete = false;  // All had come before the last attempt broke off.
    return settle();
  }
  return ask_digests();
}

StateSync::Next StateSync::ask_digests() {
  const StateContent& content = *record_.content;
  std::uint64_t slices = 0;
  for (const TensorFetch& fetch : election_.fetches) slices += slice_count(content.tensors()[fetch.tensor].bytes());
  sent_.clear();
  if (rank_ == election_.model)
    for (const TensorFetch& fetch : election_.fetches)
      for (const Digest128& digest : content.slice_digests(fetch.tensor)) append_digest(digest, sent_);
  received_.resize(slices * kDigestBytes);
  return call(Phase::digests, {.collective = Collective::broadcast,
                               .type = DataType::uint8,
                               .count = slices * kDigestBytes,
                               .root = election_.model});
}

StateSync::Next StateSync::heard_digests() {
  transfer_ = std::make_shared<TransferCall>();
  const StateContent& content = *record_.content;
  std::span<const std::byte> from = received_;
  for (const TensorFetch& fetch : election_.fetches) {
    const StateTensor& tensor = content.tensors()[fetch.tensor];
    TransferPart part{.tensor = fetch.tensor,
                      .data = tensor.data,
                      .device = tensor.device,
                      .bytes = tensor.bytes(),
                      .element_bytes = element_bytes(tensor.type),
                      .holders = fetch.holders,
                      .receivers = fetch.receivers,
                      .digests = {}};
    for (std::uint64_t slice = 0; slice < slice_count(part.bytes); ++slice, from = from.subspan(kDigestBytes))
      part.digests.push_back(read_digest(from.first<kDigestBytes>()));
    // All members hear the same, and judge alike.
    if (digest_of_slices(part.digests, part.bytes, kContentSeed) != fetch.digest)
      return fail({Status::mismatch, "peer " + who(election_.model) + ": its digests of the tensor \"" + tensor.name +
                                         "\" do not belong together"});
    transfer_->parts.push_back(std::move(part));
  }
  return transfer();
}

StateSync::Next StateSync::transfer() {
  const StateContent& content = *record_.content;
  bool lacks = false;
  for (const TransferPart& part : transfer_->parts) {
    const bool receives = std::binary_search(part.receivers.begin(), part.receivers.end(), rank_);
    const auto& mine = content.slice_digests(part.tensor);
    for (std::size_t slice = 0; slice < part.digests.size(); ++slice)
      transfer_->has.push_back(!receives || mine[slice] == part.digests[slice]);
    lacks = lacks || receives;
  }
  // That may find no memory.
  if (settings_.keep_old_bytes)
    if (const auto kept = keep_old(); !kept.ok()) return fail(kept.error());
  if (lacks) record_.incomplete = true;
  const Next next = call(Phase::transfer, {.collective = Collective::transfer,
                                           .type = DataType::uint8,
                                           .count = transfer_->has.size(),
                                           .root = election_.model});
  step_.transfer = transfer_;
  step_.compress = settings_.compress;
  return next;
}

/// What came, came to stay, however the transfer ended; what may have been begun must be read again.
void StateSync::take_stock() {
  std::set<std::uint32_t> changed;
  std::size_t slice = 0;
  for (const TransferPart& part : transfer_->parts)
    for (std::size_t i = 0; i < part.digests.size(); ++i, ++slice) {
      if (slice >= transfer_->touched.size()) return;  // It was refused before it began.
      const StateContent::Slice place{.tensor = part.tensor, .slice = i};
      if (transfer_->came[slice]) {
        record_.content->came(place, part.digests[i]);
        changed.insert(part.tensor);
      } else if (transfer_->touched[slice]) {
        if (!planted(PlantedFault::torn_slice)) record_.content->mark_changed(place.tensor, place.slice);
        outcome_.info.bytes_again += hawser::slice_bytes(part.bytes, i);
      }
    }
  outcome_.info.tensors_changed = std::max<std::uint64_t>(outcome_.info.tensors_changed, changed.size());
  for (const auto& [rank, bytes] : transfer_->bytes_from) {
    outcome_.info.bytes_from[view_.members[rank].id] += bytes;
    outcome_.info.bytes_fetched += bytes;
  }
  outcome_.info.bytes_again += transfer_->bytes_again;
}

StateSync::Next StateSync::transferred(Instant now) {
  bool missing = false;
  std::size_t slice = 0;
  for (const TransferPart& part : transfer_->parts)
    for (std::size_t i = 0; i < part.digests.size(); ++i, ++slice)
      missing = missing || (!transfer_->has[slice] && !transfer_->came[slice]);
  if (missing) {
    HAWSER_ASSERT(!transfer_->bad.empty());
    const TransferCall::Bad& bad = transfer_->bad.back();
    const TransferPart& part = transfer_->parts[transfer_->place(bad.slice).part];
    trouble_ = "the tensor \"" + record_.content->tensors()[part.tensor].name + "\" as peer " + who(bad.from) +
               " sends it does not have the digest that was agreed on; it was written to during the "
               "synchronisation, or its memory is damaged";
  } else {
    record_.incomplete = false;
    record_.revision = election_.revision;
  }
  const Next next = attempt(now);
  transfer_over_ = true;
  return next;
}

/// Between a tensor and the host.
Result<void> StateSync::copy(std::size_t tensor, const CopyBytes& copy) const {
  const std::int32_t device = record_.content->tensors()[tensor].device;
  if (device != kOnHost) return settings_.copy_on_device(device, copy);
  std::memcpy(copy.to, copy.from, copy.bytes);
  return {};
}

Result<void> StateSync::keep_old() {
  std::size_t slice = 0;
  for (const TransferPart& part : transfer_->parts)
    for (std::size_t i = 0; i < part.digests.size(); ++i, ++slice) {
      if (transfer_->has[slice]) continue;
      if (!kept_slices_.emplace(part.tensor, i).second) continue;
      const StateContent::Slice place{.tensor = part.tensor, .slice = i};
      const std::span<std::byte> from = record_.content->memory(place);
      std::vector<std::byte> bytes(from.size());
      const auto copied = copy(part.tensor, {.from = from.data(), .to = bytes.data(), .bytes = bytes.size()});
      if (!copied.ok()) return copied;
      kept_.push_back({.slice = place, .bytes = std::move(bytes)});
    }
  return {};
}

/// Where old content is kept. What a device does not take back leaves the state incomplete.
Result<void> StateSync::restore_old() {
  Result<void> restored;
  for (const Kept& kept : kept_) {
    record_.content->mark_changed(kept.slice.tensor, kept.slice.slice);
    const auto copied = copy(kept.slice.tensor, {.from = kept.bytes.data(),
                                                 .to = record_.content->memory(kept.slice).data(),
                                                 .bytes = kept.bytes.size()});
    if (!copied.ok() && restored.ok()) restored = copied;
  }
  if (kept_.empty()) return {};
  record_.incomplete = was_incomplete_ || !restored.ok();
  if (restored.ok()) record_.revision = old_revision_;
  return restored;
}

StateSync::Next StateSync::settle() {
  record_.agreed_revision = record_.revision;
  record_.agreed_as = self_;
  return end();
}

StateSync::Next StateSync::end() {
  SyncInfo& info = outcome_.info;
  info.revision = record_.revision;
  info.world_size = view_.size();
  info.rank = rank_;
  info.epoch = view_.epoch;
  return Next::over;
}

void StateSync::broke_off(const Thrown& thrown) {
  // Which slices a transfer has begun may not have been noted.
  record_.content->mark_all_changed();
  const auto restored = restore_old();
  kept_.clear();
  Error error = thrown.error();
  if (!restored.ok()) error.sentence += "; the old content could not be put back: " + restored.error().sentence;
  (void)fail(std::move(error));
}

StateSync::Next StateSync::fail(Error error) {
  if (const auto restored = restore_old(); !restored.ok())
    error.sentence += "; the old content could not be put back: " + restored.error().sentence;
  if (record_.incomplete)
    error.sentence +=
        "; this peer's shared state is INCOMPLETE: some tensors are partly overwritten. Synchronise again "
        "with members that have it, which fetches only what is missing, or fill the tensors anew and "
        "mark them as changed";
  else if (outcome_.info.bytes_fetched > 0 && kept_.empty())
    error.sentence += "; this peer's tensors hold revision " + std::to_string(record_.revision) + " of the group";
  else
    error.sentence += "; this peer's tensors are as they were";
  outcome_.info.incomplete = record_.incomplete;
  outcome_.error = std::move(error);
  return end();
}

}  // namespace hawser
