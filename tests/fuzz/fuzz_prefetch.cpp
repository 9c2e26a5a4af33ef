// What a guest that prefetches is told. The first byte says which: a catalog as any bytes; one that an honest server
// makes of any manifest, changed in one byte at most; or a whole guest, whose servers lie as the choices have it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "fuzz/random_manifest.hpp"
#include "fuzz/refusal.hpp"
#include "fuzz/script_choices.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/prefetch_guest.hpp"

namespace {

using namespace hawser;
using testing::any_number;
using testing::bytes_held;
using testing::check_refusal;
using testing::Choices;

using Bytes = std::vector<std::byte>;

Bytes catalog_bytes(const Manifest& manifest, std::span<const Digest128> digests) {
  const Bytes encoded = encode_manifest(manifest);
  Bytes bytes;
  for (std::size_t i = 0; i < 4; ++i) bytes.push_back(static_cast<std::byte>(encoded.size() >> (8 * i)));
  bytes.insert(bytes.end(), encoded.begin(), encoded.end());
  for (const Digest128& digest : digests) append_digest(digest, bytes);
  return bytes;
}

/// As for a manifest (fuzz_manifest.cpp), and the digests of the slices.
constexpr std::size_t kHeldPerByteMost = 32;
constexpr std::size_t kHeldMost = 8 << 10;

void check_catalog(std::span<const std::byte> bytes) {
  const std::size_t held_before = bytes_held();
  const auto decoded = decode_catalog(bytes);
  HAWSER_ASSERT(bytes_held() <= held_before + kHeldMost + kHeldPerByteMost * bytes.size());
  if (!decoded.ok()) return check_refusal(decoded.error());
  const Bytes again = catalog_bytes(decoded->manifest, decoded->digests);
  HAWSER_ASSERT(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
  std::size_t first = 0;
  for (const TensorEntry& tensor : decoded->manifest.tensors) {
    const auto slices = static_cast<std::size_t>(slice_count(content_bytes(tensor)));
    HAWSER_ASSERT(first + slices <= decoded->digests.size());
    HAWSER_ASSERT(digest_of_slices(std::span(decoded->digests).subspan(first, slices), content_bytes(tensor),
                                   kContentSeed) == tensor.digest);
    first += slices;
  }
  HAWSER_ASSERT(first == decoded->digests.size());
}

void check_honest(Choices choices) {
  auto made = make_manifest(testing::any_manifest(choices));
  HAWSER_ASSERT(made.ok());
  std::vector<Digest128> digests;
  for (TensorEntry& tensor : made->tensors) {
    std::vector<Digest128> mine(static_cast<std::size_t>(slice_count(content_bytes(tensor))));
    for (Digest128& digest : mine) digest = {.low = digests.size(), .high = any_number(choices, 1)};
    tensor.digest = digest_of_slices(mine, content_bytes(tensor), kContentSeed);
    digests.insert(digests.end(), mine.begin(), mine.end());
  }
  Bytes bytes = catalog_bytes(*made, digests);
  const auto decoded = decode_catalog(bytes);
  HAWSER_ASSERT(decoded.ok() && decoded->manifest == *made && decoded->digests == digests);
  if (choices.done()) return;
  bytes[any_number(choices, 2) % bytes.size()] ^= static_cast<std::byte>(1 + choices.below(255));
  check_catalog(bytes);
}

/// Two tensors of which each has one slice, and an empty one. One of them may differ between members.
class State {
 public:
  explicit State(std::byte filling) {
    for (auto& part : memory_) part.fill(filling);
    auto made = StateContent::create({tensor("a", 0), tensor("b", 1), {.name = "empty", .type = DataType::uint8}});
    HAWSER_ASSERT(made.ok());
    content_ = std::move(*made);
    digest();
  }
  StateContent& content() { return *content_; }
  bool filled_with(std::size_t part, std::byte filling) const {
    return std::all_of(memory_[part].begin(), memory_[part].end(), [&](std::byte byte) { return byte == filling; });
  }
  /// What is held true of the content is true of its bytes.
  void check_digests() {
    digest();
    const Manifest told = content_->manifest();
    content_->mark_all_changed();
    digest();
    HAWSER_ASSERT(content_->manifest() == told);
  }

 private:
  StateTensor tensor(std::string name, std::size_t part) {
    return {.name = std::move(name),
            .type = DataType::uint8,
            .count = memory_[part].size(),
            .data = memory_[part].data(),
            .allow_content_inequality = part == 1};
  }
  void digest() {
    for (const StateContent::Slice slice : content_->stale()) content_->digest(slice);
    content_->all_digested();
  }

  std::array<std::array<std::byte, 24>, 2> memory_;
  std::unique_ptr<StateContent> content_;
};

constexpr std::byte kMine{0};
constexpr std::size_t kServers = 3;
constexpr std::size_t kOffers = 3;

/// Servers offer what they have or anything, send pieces and slices that are right, damaged or nobody's, and come and
/// go.
class Visit {
 public:
  explicit Visit(Choices choices) : choices_(choices) {
    for (std::size_t i = 0; i < kOffers; ++i) {
      theirs_.push_back(std::make_unique<State>(filling(i)));
      offers_.push_back(make_offer(theirs_.back()->content(), i + 1));
    }
    target_->content = &mine_.content();
  }

  void run() {
    PrefetchGuest guest(now_, target_);
    std::vector<PrefetchSend> said;
    while (!choices_.done()) {
      step(guest, said);
      for (const PrefetchSend& word : said) check_word(word);
      said.clear();
      check_content();
    }
    guest.end(now_);
    HAWSER_ASSERT(guest.over());
    // Works outlast the guest's wishes.
    while (!works_.empty()) finish_work(guest, said);
    check_content();
    mine_.check_digests();
    // "Complete" is a promise about all of it, whoever lied.
    if (target_->complete) HAWSER_ASSERT(!mine_.filled_with(0, kMine) && !mine_.filled_with(1, kMine));
  }

 private:
  static std::byte filling(std::size_t offer) { return static_cast<std::byte>(offer + 1); }
  static PeerId server(std::size_t index) { return PeerId{index + 1}; }

  void step(PrefetchGuest& guest, std::vector<PrefetchSend>& said) {
    const std::size_t who = choices_.below(kServers + 1);  // One more than are servers.
    switch (choices_.below(6)) {
      case 5:
        if (!works_.empty()) finish_work(guest, said);
        return;
      case 0: {
        std::vector<PeerId> servers;
        const std::size_t set = choices_.below(1 << kServers);
        for (std::size_t i = 0; i < kServers; ++i)
          if ((set >> i) % 2 == 1) servers.push_back(server(i));
        return guest.servers(now_, servers, said);
      }
      case 1: return guest.offered(now_, server(who), any_offer(who), said);
      case 2: return any_chunk(guest, who, said);
      case 3: now_ += milliseconds(1 << choices_.below(14)); [[fallthrough]];
      default: return guest.tick(now_, said);
    }
  }

  FrameHeader any_offer(std::size_t who) {
    const std::size_t number = choices_.below(kOffers);
    const StateOffer& offer = *offers_[number];
    const std::size_t lie = choices_.below(8);
    numbers_[who] += choices_.below(3);
    FrameHeader frame{.kind = FrameKind::have, .key = prefetch_key(offer.revision, numbers_[who])};
    frame.signature = lie == 1 ? any_number(choices_, 8) : offer.mark;
    frame.count = lie == 2 ? any_number(choices_, 8) : lie == 3 ? 0 : lie == 4 ? 2 : offer.pieces();
    if (lie == 5) frame.key.tag = any_number(choices_, 8);
    offered_[who] = frame;
    return frame;
  }

  void any_chunk(PrefetchGuest& guest, std::size_t who, std::vector<PrefetchSend>& said) {
    const StateOffer& offer = *offers_[choices_.below(kOffers)];
    const std::size_t lie = choices_.below(8);
    FrameHeader frame{.kind = FrameKind::chunk, .key = offered_[who].key, .chunk = choices_.below(5)};
    if (lie == 1) frame.chunk = any_number(choices_, 8);
    Bytes payload;
    if (frame.chunk < offer.chunks()) {
      const auto right = offer.payload(frame.chunk);
      payload.assign(right.begin(), right.end());
    }
    if (lie == 2 && !payload.empty()) payload[choices_.byte() % payload.size()] ^= std::byte{1};
    if (lie == 3) payload.resize(choices_.byte());
    if (lie == 4) payload.resize(kDigestSliceBytes);
    if (lie == 5) frame.compressed = true;
    frame.payload_bytes = static_cast<std::uint32_t>(payload.size());
    const bool expected = guest.expects(server(who), frame);
    const std::uint64_t fetched_before = target_->bytes_fetched;
    const auto kept = std::make_shared<const Bytes>(std::move(payload));
    std::vector<Execution::Order> works;
    const bool right =
        guest.chunk_came(now_, server(who), frame, {.bytes = kept->data(), .owner = kept}, said, works);
    HAWSER_ASSERT(expected || (right && works.empty() && target_->bytes_fetched == fetched_before));
    std::move(works.begin(), works.end(), std::back_inserter(works_));
    // Half of them are done at once.
    while (choices_.below(2) == 0 && !works_.empty()) finish_work(guest, said);
  }

  /// Any of those that are under way.
  void finish_work(PrefetchGuest& guest, std::vector<PrefetchSend>& said) {
    const auto one = works_.begin() + static_cast<std::ptrdiff_t>(choices_.below(works_.size()));
    const Execution::Order done = std::move(*one);
    works_.erase(one);
    std::vector<Execution::Order> works;
    const bool right = hawser::run(done.work, desk_).right;
    HAWSER_ASSERT(guest.worked(now_, done.token, right, said, works) == right);
    std::move(works.begin(), works.end(), std::back_inserter(works_));
  }

  /// It asks servers, for chunks that they may have.
  void check_word(const PrefetchSend& word) {
    HAWSER_ASSERT(word.to.value >= 1 && word.to.value <= kServers);
    HAWSER_ASSERT(is_prefetch(word.frame.key));
    HAWSER_ASSERT(word.frame.chunk < limits::kCatalogPiecesMax + mine_.content().tensors().size());
  }

  /// Each slice is as it was, or as an offer has it.
  void check_content() {
    for (std::size_t part = 0; part < 2; ++part) {
      bool known = mine_.filled_with(part, kMine);
      for (std::size_t i = 0; i < kOffers; ++i) known = known || mine_.filled_with(part, filling(i));
      HAWSER_ASSERT(known);
    }
    HAWSER_ASSERT(target_->touched == (target_->bytes_fetched > 0 || !works_.empty()));
  }

  Choices choices_;
  Instant now_{seconds(100)};
  State mine_{kMine};
  std::vector<std::unique_ptr<State>> theirs_;
  std::vector<std::shared_ptr<const StateOffer>> offers_;
  std::shared_ptr<PrefetchTarget> target_ = std::make_shared<PrefetchTarget>();
  std::vector<Execution::Order> works_;  ///< Under way.
  WorkDesk desk_;
  std::array<std::uint64_t, kServers + 1> numbers_{};
  std::array<FrameHeader, kServers + 1> offered_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto rest = bytes.subspan(1);
  switch (std::to_integer<unsigned>(bytes.front()) % 3) {
    case 0: check_catalog(rest); break;
    case 1: check_honest(Choices(rest)); break;
    default: Visit(Choices(rest)).run(); break;
  }
  return 0;
}
