#include "shared_state/prefetch_guest.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/planted_fault.hpp"
#include "kernels/content_digest.hpp"

namespace hawser {
namespace {

/// Without a piece of the catalog for so long, another server is asked.
constexpr Duration kCatalogPatience = seconds(5);
/// With nothing to fetch for so long, the peer joins without.
constexpr Duration kIdlePatience = seconds(3);
/// So many revisions in a row whose catalog a later one overtook, and the peer joins without.
constexpr int kOvertakenMax = 8;
/// For servers that join later.
constexpr std::size_t kSpareNumbers = 64;

bool is_any_on_device(const StateContent& content) {
  const auto& tensors = content.tensors();
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& one) { return one.device != kOnHost; });
}

}  // namespace

PrefetchGuest::PrefetchGuest(Instant now, std::shared_ptr<PrefetchTarget> target)
    : target_(std::move(target)), began_(now) {
  std::uint64_t start = 0;
  for (const StateTensor& tensor : target_->content->tensors()) {
    starts_.push_back(start);
    start += slice_count(tensor.bytes());
  }
}

void PrefetchGuest::send(PeerId to, const Server& server, FrameKind kind, std::uint64_t chunk,
                         std::vector<PrefetchSend>& out) const {
  FrameHeader frame;
  frame.kind = kind;
  frame.key = prefetch_key(server.revision, server.number);
  frame.signature = server.mark;
  frame.chunk = chunk;
  frame.count = kind == FrameKind::want ? 1 : 0;
  out.push_back({.to = to, .frame = frame});
}

void PrefetchGuest::servers(Instant now, const std::vector<PeerId>& servers, std::vector<PrefetchSend>& out) {
  for (auto server = servers_.begin(); server != servers_.end();) {
    if (std::find(servers.begin(), servers.end(), server->first) != servers.end()) {
      ++server;
      continue;
    }
    leave_swarm(now, server->second, out);
    if (catalog_from_ == server->first) catalog_from_.reset();
    server = servers_.erase(server);
  }
  for (const PeerId server : servers) {
    if (!servers_.try_emplace(server).second) continue;
    FrameHeader frame;
    frame.kind = FrameKind::ready;
    frame.key = prefetch_key(0, 0);
    frame.count = 0;
    out.push_back({.to = server, .frame = frame});
  }
  // A run that nobody is in has nothing to give; one whose members are looking for a restarted master has.
  if (servers.empty() && !had_servers_) over_ = true;
  if (!servers.empty()) had_servers_ = true;
  choose(now, out);
}

void PrefetchGuest::offered(Instant now, PeerId peer, const FrameHeader& frame, std::vector<PrefetchSend>& out) {
  const auto found = servers_.find(peer);
  if (found == servers_.end()) return;
  Server& server = found->second;
  if (server.answered && frame.key.sequence <= server.number) return;
  leave_swarm(now, server, out);
  if (catalog_from_ == peer) catalog_from_.reset();
  server = {.answered = true,
          .revision = frame.key.tag,
          .number = frame.key.sequence,
          .mark = frame.signature,
          .pieces = frame.count,
          .useless = frame.count > limits::kCatalogPiecesMax};
  choose(now, out);
}

void PrefetchGuest::choose(Instant now, std::vector<PrefetchSend>& out) {
  std::map<Content, std::size_t> offers;
  for (const auto& [peer, server] : servers_)
    if (server.pieces > 0 && !server.useless) ++offers[content_of(server)];
  const auto best = std::max_element(offers.begin(), offers.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.revision, a.second) < std::pair(b.first.revision, b.second);
  });
  if (best == offers.end()) {
    if (!idle_since_) idle_since_ = now;
    return check_over(now);
  }
  idle_since_.reset();
  const bool same = content_ && (best->first == *content_ || (offers.contains(*content_) &&
                                                              content_->revision == best->first.revision));
  if (!same) {
    if (content_ && best->first.revision > content_->revision && !whole()) overtaken();
    content_ = best->first;
    forget_catalog();
  }
  if (!swarm_) {
    if (!catalog_from_) ask_catalog(now, out);
  } else {
    for (auto& [peer, server] : servers_)
      if (server.pieces > 0 && !server.useless && content_of(server) == *content_) join_swarm(now, peer, server, out);
  }
  check_over(now);
}

/// By a higher revision. A state of which the members change all faster than it comes would be chased for ever: once as
/// much as all of it was fetched, the first synchronisation may give the rest.
void PrefetchGuest::overtaken() {
  catalogs_missed_ = swarm_ ? 0 : catalogs_missed_ + 1;
  if (catalogs_missed_ >= kOvertakenMax || target_->bytes_fetched >= target_->content->bytes()) over_ = true;
}

/// Of the next server after the last one asked.
void PrefetchGuest::ask_catalog(Instant now, std::vector<PrefetchSend>& out) {
  auto turn = last_asked_ ? servers_.upper_bound(*last_asked_) : servers_.begin();
  for (std::size_t tried = 0; tried < servers_.size(); ++tried, ++turn) {
    if (turn == servers_.end()) turn = servers_.begin();
    const Server& server = turn->second;
    if (server.useless || server.pieces == 0 || content_of(server) != *content_) continue;
    catalog_from_ = last_asked_ = turn->first;
    catalog_asked_ = now;
    for (std::size_t piece = 0; piece < catalog_.size(); ++piece)
      if (catalog_[piece].empty()) send(turn->first, server, FrameKind::want, piece, out);
    return;
  }
}

bool PrefetchGuest::expects(PeerId peer, const FrameHeader& frame) const {
  const auto found = servers_.find(peer);
  if (found == servers_.end() || !content_ || frame.compressed) return false;
  const Server& server = found->second;
  if (server.useless || frame.key != prefetch_key(server.revision, server.number) || content_of(server) != *content_)
    return false;
  if (frame.chunk < content_->pieces)
    return !swarm_ && catalog_[static_cast<std::size_t>(frame.chunk)].empty() && frame.payload_bytes > 0 &&
           (frame.chunk + 1 == content_->pieces || frame.payload_bytes == kDigestSliceBytes);
  const std::uint64_t slice = frame.chunk - content_->pieces;
  if (!swarm_ || server.swarm_number == 0 || slice >= swarm_->slices()) return false;
  const StateContent::Slice at = place(slice);
  const std::uint64_t bytes = slice_bytes(target_->content->tensors()[at.tensor].bytes(), at.slice);
  return frame.payload_bytes == bytes && swarm_->judge(server.swarm_number, slice) == Swarm::Arrival::expected;
}

StateContent::Slice PrefetchGuest::place(std::uint64_t slice) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), slice);
  const auto tensor = static_cast<std::size_t>(next - starts_.begin()) - 1;
  return {.tensor = tensor, .slice = slice - starts_[tensor]};
}

std::int32_t PrefetchGuest::device_of(const FrameHeader& frame) const {
  if (frame.chunk < content_->pieces) return kOnHost;
  return target_->content->tensors()[place(frame.chunk - content_->pieces).tensor].device;
}

bool PrefetchGuest::chunk_came(Instant now, PeerId peer, const FrameHeader& frame, Payload payload,
                               std::vector<PrefetchSend>& out, std::vector<Execution::Order>& works) {
  if (!expects(peer, frame)) return true;  // It was, when it began.
  if (frame.chunk < content_->pieces) {
    catalog_[static_cast<std::size_t>(frame.chunk)].assign(payload.bytes, payload.bytes + frame.payload_bytes);
    catalog_asked_ = now;
    const bool more = std::any_of(catalog_.begin(), catalog_.end(), [](const auto& piece) { return piece.empty(); });
    return more || catalog_came(now, out);
  }
  const std::uint64_t slice = frame.chunk - content_->pieces;
  Arrival arrival{.from = peer, .swarm_number = servers_.at(peer).swarm_number, .payload = std::move(payload)};
  if (const auto found = checks_.find(slice); found != checks_.end())
    found->second.waiting.push_back(std::move(arrival));
  else
    check(slice, std::move(arrival), {}, works);
  return true;
}

/// Orders the work that proves a slice and brings it to its place.
void PrefetchGuest::check(std::uint64_t slice, Arrival arrival, std::vector<Arrival> waiting,
                          std::vector<Execution::Order>& works) {
  const StateContent::Slice at = place(slice);
  const StateTensor& tensor = target_->content->tensors()[at.tensor];
  const auto bytes = static_cast<std::size_t>(slice_bytes(tensor.bytes(), at.slice));
  const Digest128& wanted = wanted_[static_cast<std::size_t>(slice)];
  const std::byte* const from = arrival.payload.bytes;
  Work work{.steps = {}, .bytes = 2 * bytes};
  if (!planted(PlantedFault::careless_guest))
    work.steps.emplace_back(CheckDigest{.bytes = from, .count = bytes, .seed = kContentSeed, .wanted = wanted});
  if (tensor.device == kOnHost)
    work.steps.emplace_back(CopyBytes{.from = from, .to = target_->content->memory(at).data(), .bytes = bytes});
  checks_[slice] = {.arrival = std::move(arrival),
                    .wanted = wanted,
                    .before = target_->content->slice_digests(at.tensor)[static_cast<std::size_t>(at.slice)],
                    .waiting = std::move(waiting)};
  // Nobody can say what lies there until the work has come back.
  target_->content->mark_changed(at.tensor, at.slice);
  target_->touched = true;
  works.push_back({.token = slice, .work = std::move(work)});
}

void PrefetchGuest::upload(std::uint64_t slice, Check& check, std::vector<Execution::Order>& works) {
  const StateContent::Slice at = place(slice);
  const std::span<std::byte> to = target_->content->memory(at);
  check.uploading = true;
  Work work{.bytes = to.size(), .device = target_->content->tensors()[at.tensor].device};
  work.steps.emplace_back(CopyBytes{.from = check.arrival.payload.bytes, .to = to.data(), .bytes = to.size()});
  works.push_back({.token = slice, .work = std::move(work)});
}

bool PrefetchGuest::worked(Instant now, std::uint64_t slice, bool right, std::vector<PrefetchSend>& out,
                           std::vector<Execution::Order>& works) {
  const StateContent::Slice at = place(slice);
  if (Check& check = checks_.at(slice);
      right && !check.uploading && target_->content->tensors()[at.tensor].device != kOnHost) {
    upload(slice, check, works);
    return true;
  }
  Check one = std::move(checks_.extract(slice).mapped());
  const std::uint64_t bytes = slice_bytes(target_->content->tensors()[at.tensor].bytes(), at.slice);
  target_->content->came(at, right ? one.wanted : one.before);
  if (right) {
    target_->bytes_fetched += bytes;
    target_->sources.insert(one.arrival.from);
  }
  target_->touched = target_->bytes_fetched > 0 || !checks_.empty();
  std::vector<Arrival> waiting = std::move(one.waiting);
  if (!one.is_of_other && right) {
    target_->bytes_here += bytes;
    swarm_->slice_came(now, one.arrival.swarm_number, slice, messages_);
    waiting.clear();
  } else if (!one.is_of_other) {
    // It was written to since it was offered: another offer will come.
    swarm_->slice_bad(now, one.arrival.swarm_number, slice, messages_);
  }
  if (!waiting.empty()) {
    Arrival next = std::move(waiting.front());
    waiting.erase(waiting.begin());
    check(slice, std::move(next), std::move(waiting), works);
  }
  if (ended_) {
    messages_.clear();
    target_->complete = whole();
    return right;
  }
  say(out);
  check_over(now);
  return right;
}

bool PrefetchGuest::catalog_came(Instant now, std::vector<PrefetchSend>& out) {
  std::vector<std::byte> bytes;
  for (const auto& piece : catalog_) bytes.insert(bytes.end(), piece.begin(), piece.end());
  const StateContent& content = *target_->content;
  Manifest mine;
  for (const StateTensor& tensor : content.tensors())
    mine.tensors.push_back({.name = tensor.name,
                            .type = tensor.type,
                            .count = tensor.count,
                            .allow_content_inequality = tensor.allow_content_inequality});
  const auto catalog = decode_catalog(bytes);
  const bool right = catalog.ok() && mark_of(catalog->manifest, content_->revision) == content_->mark;
  if (!right || shape_digest(catalog->manifest) != shape_digest(mine)) {
    // A wrong one is its server's fault, one that does not fit is everybody's who offers it.
    for (auto& [peer, server] : servers_)
      if (peer == catalog_from_ || (right && content_of(server) == *content_)) server.useless = true;
    content_.reset();
    catalog_from_.reset();
    choose(now, out);
    return right;
  }
  wanted_ = catalog->digests;
  std::vector<bool> has;
  std::uint64_t missing = 0;
  for (std::size_t slice = 0; slice < wanted_.size(); ++slice) {
    const StateContent::Slice at = place(slice);
    // What an earlier content's work still writes is not here.
    has.push_back(!checks_.contains(slice) &&
                  content.slice_digests(at.tensor)[static_cast<std::size_t>(at.slice)] == wanted_[slice]);
    if (!has.back()) missing += slice_bytes(content.tensors()[at.tensor].bytes(), at.slice);
  }
  target_->bytes_total = content.bytes();
  target_->bytes_here = content.bytes() - missing;
  target_->revision = content_->revision;
  catalog_server_ = catalog_from_;
  catalog_from_.reset();
  catalog_.clear();
  numbered_.assign(1, PeerId{});
  swarm_peers_ = 1 + servers_.size() + kSpareNumbers;
  swarm_ = std::make_unique<Swarm>(
      0, static_cast<std::uint32_t>(swarm_peers_),
      std::vector<SwarmPart>{{.slices = wanted_.size(), .holders = {}, .receivers = {0}}}, std::move(has),
      is_any_on_device(content) ? limits_on_device(servers_.size()) : SwarmLimits{});
  choose(now, out);
  return true;
}

void PrefetchGuest::join_swarm(Instant now, PeerId peer, Server& server, std::vector<PrefetchSend>& out) {
  if (server.swarm_number != 0 || numbered_.size() >= swarm_peers_ || wanted_.empty()) return;
  server.swarm_number = static_cast<std::uint32_t>(numbered_.size());
  numbered_.push_back(peer);
  swarm_->peer_ready(now, server.swarm_number, messages_);
  for (std::size_t tensor = 0; tensor < starts_.size(); ++tensor) {
    const StateTensor& one = target_->content->tensors()[tensor];
    const std::uint64_t slices = slice_count(one.bytes());
    if (slices > 0 && (!one.allow_content_inequality || peer == catalog_server_))
      swarm_->have_came(now, server.swarm_number, starts_[tensor], slices, messages_);
  }
  say(out);
}

void PrefetchGuest::leave_swarm(Instant now, Server& server, std::vector<PrefetchSend>& out) {
  if (!swarm_ || server.swarm_number == 0) return;
  const bool has_its_catalog = numbered_[server.swarm_number] == catalog_server_;
  swarm_->peer_gone(now, server.swarm_number, messages_);
  numbered_[server.swarm_number] = {};
  server.swarm_number = 0;
  say(out);
  if (!has_its_catalog || whole()) return;
  // What others have of tensors that may differ has other digests: their catalog is needed.
  const auto& tensors = target_->content->tensors();
  if (std::any_of(tensors.begin(), tensors.end(), [](const auto& one) { return one.allow_content_inequality; }))
    forget_catalog();
}

/// Of the content that is being fetched, which goes on with somebody else's.
void PrefetchGuest::forget_catalog() {
  for (auto& [slice, check] : checks_) {
    check.is_of_other = true;
    check.waiting.clear();
  }
  swarm_.reset();
  numbered_.clear();
  for (auto& [peer, server] : servers_) server.swarm_number = 0;
  catalog_.assign(static_cast<std::size_t>(content_->pieces), {});
  catalog_from_.reset();
}

void PrefetchGuest::say(std::vector<PrefetchSend>& out) {
  for (const SwarmMessage& word : messages_) {
    const auto found = servers_.find(numbered_[word.to]);
    if (found == servers_.end()) continue;
    // A guest serves nobody, so the others have nothing else to hear.
    if (word.kind == SwarmMessage::Kind::want || word.kind == SwarmMessage::Kind::wish)
      send(found->first, found->second, FrameKind::want, content_->pieces + word.slice, out);
    else if (word.kind == SwarmMessage::Kind::unwant)
      send(found->first, found->second, FrameKind::unwant, content_->pieces + word.slice, out);
  }
  messages_.clear();
}

void PrefetchGuest::check_over(Instant now) {
  if (!over_ && (whole() || now >= began_ + target_->bound || (idle_since_ && now >= *idle_since_ + kIdlePatience)))
    over_ = true;
  if (over_ && target_->lasted == Duration::zero()) target_->lasted = now - began_;
}

void PrefetchGuest::end(Instant now) {
  over_ = ended_ = true;
  check_over(now);
  for (auto& [slice, check] : checks_) check.waiting.clear();
  target_->complete = whole();
}

void PrefetchGuest::tick(Instant now, std::vector<PrefetchSend>& out) {
  if (catalog_from_ && now >= catalog_asked_ + kCatalogPatience) ask_catalog(now, out);
  if (swarm_) {
    swarm_->tick(now, messages_);
    say(out);
  }
  check_over(now);
}

std::optional<Instant> PrefetchGuest::next_deadline() const {
  std::optional<Instant> next;
  if (!over_) next = began_ + target_->bound;
  if (!over_ && idle_since_) next = earlier(next, *idle_since_ + kIdlePatience);
  if (catalog_from_) next = earlier(next, catalog_asked_ + kCatalogPatience);
  if (swarm_) next = earlier(next, swarm_->next_deadline());
  return next;
}

}  // namespace hawser
