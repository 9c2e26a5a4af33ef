#include <deque>

#include "catch.hpp"
#include "kernels/content_digest.hpp"
#include "shared_state/prefetch_guest.hpp"
#include "shared_state/prefetch_server.hpp"

namespace hawser {
namespace {

constexpr std::size_t kMiB = 1 << 20;

/// One tensor of so many slices.
class State {
 public:
  explicit State(std::size_t slices) : values_(slices * kMiB / sizeof(float)) {
    auto made = StateContent::create({{.name = "w",
                                       .type = DataType::float32,
                                       .count = values_.size(),
                                       .data = reinterpret_cast<std::byte*>(values_.data())}});
    REQUIRE(made.ok());
    content_ = std::move(*made);
    fill(0);
  }
  void fill(float value) {
    std::fill(values_.begin(), values_.end(), value);
    content_->mark_all_changed();
    for (const StateContent::Slice slice : content_->stale()) content_->digest(slice);
    content_->all_digested();
  }
  StateContent& content() { return *content_; }
  bool is_like(const State& other) const { return values_ == other.values_; }
  bool keeps_right_digests() const {
    const auto& kept = content_->slice_digests(0);
    for (std::size_t slice = 0; slice < kept.size(); ++slice)
      if (kept[slice] != digest_slice({content_->tensors()[0].data + slice * kMiB, kMiB}, kContentSeed)) return false;
    return true;
  }

 private:
  std::vector<float> values_;
  std::unique_ptr<StateContent> content_;
};

/// A guest and its one server; the test carries what they say.
class Visit {
 public:
  Visit() {
    target->content = &mine.content();
    guest.emplace(now, target);
    server.guests({guest_id});
    std::vector<PrefetchSend> asked;
    guest->servers(now, {server_id}, asked);
    for (std::size_t i = 0; i < asked.size(); ++i) server.ready(now, guest_id, to_guest_);
    offer(1);
  }

  /// All of the state is another, with this revision.
  void offer(std::uint64_t revision) {
    to_guest_.clear();  // What the offer before had still to give.
    theirs.fill(static_cast<float>(revision));
    offer_ = make_offer(theirs.content(), revision);
    server.offer(now, offer_, to_guest_);
  }
  /// So many chunks arrive, and whatever is said meanwhile; answers how many did.
  std::size_t carry(std::size_t chunks) {
    std::size_t carried = 0;
    for (int idle = 0; idle < 1000; now += milliseconds(1)) {
      std::vector<PrefetchSend> said;
      while (!to_guest_.empty()) {
        const FrameHeader frame = to_guest_.front().frame;
        if (frame.kind == FrameKind::chunk && carried == chunks) break;
        to_guest_.erase(to_guest_.begin());
        idle = 0;
        if (frame.kind == FrameKind::have) {
          guest->offered(now, server_id, frame, said);
          continue;
        }
        ++carried;
        FrameHeader whole = frame;
        whole.payload_bytes = static_cast<std::uint32_t>(offer_->payload(frame.chunk).size());
        std::vector<Execution::Order> works;
        CHECK(guest->chunk_came(now, server_id, whole, {.bytes = offer_->payload(frame.chunk).data()}, said, works));
        for (Execution::Order& one : works) works_.push_back({std::move(one), offer_});
        while (!holds_works && !works_.empty()) finish_work(said);
        server.arrived(now, guest_id, frame, to_guest_);
      }
      tell_server(said);
      server.tick(now, to_guest_);
      guest->tick(now, said);
      ++idle;
    }
    return carried;
  }

  /// The oldest.
  void finish_work(std::vector<PrefetchSend>& said) {
    const Ordered one = std::move(works_.front());
    works_.pop_front();
    WorkDesk desk;
    std::vector<Execution::Order> works;
    const bool right = run(one.order.work, desk).right;
    CHECK(guest->worked(now, one.order.token, right, said, works) == right);
    for (Execution::Order& next : works) works_.push_front({std::move(next), one.keeps});
  }
  void finish_works() {
    std::vector<PrefetchSend> said;
    while (!works_.empty()) finish_work(said);
    tell_server(said);
  }
  void tell_server(const std::vector<PrefetchSend>& said) {
    for (const PrefetchSend& word : said)
      if (word.frame.kind == FrameKind::want) REQUIRE(server.want(now, guest_id, word.frame, to_guest_));
  }
  std::size_t works() const { return works_.size(); }

  bool holds_works = false;
  const PeerId server_id{1};
  const PeerId guest_id{7};
  Instant now{seconds(100)};
  State theirs{8};
  State mine{8};
  std::shared_ptr<PrefetchTarget> target = std::make_shared<PrefetchTarget>();
  std::optional<PrefetchGuest> guest;
  PrefetchServer server{1.0};

 private:
  struct Ordered {
    Execution::Order order;
    std::shared_ptr<const StateOffer> keeps;
  };
  std::shared_ptr<const StateOffer> offer_;
  std::vector<PrefetchSend> to_guest_;
  std::deque<Ordered> works_;
};

}  // namespace

TEST_CASE("a guest whose state changes faster than it comes joins once it has fetched as much as all of it") {
  Visit visit;
  std::uint64_t revision = 1;
  // Three slices of eight come of each revision, and its catalog.
  for (; revision <= 3; ++revision) {
    CHECK(visit.carry(4) == 4);
    CHECK_FALSE(visit.guest->over());
    visit.offer(revision + 1);
  }
  CHECK(visit.carry(0) == 0);
  CHECK(visit.guest->over());
  // Until it is admitted it goes on.
  CHECK(visit.carry(100) == 9);
  CHECK(visit.target->bytes_fetched == (9 + 8) * kMiB);
  visit.guest->end(visit.now);
  CHECK(visit.target->complete);
  CHECK(visit.target->revision == revision);
}

TEST_CASE("a guest goes on while what it fetches brings it nearer") {
  Visit visit;
  CHECK(visit.carry(6) == 6);
  visit.offer(2);
  CHECK(visit.carry(0) == 0);
  CHECK_FALSE(visit.guest->over());
  CHECK(visit.carry(100) == 9);
  CHECK(visit.guest->over());
  CHECK(visit.target->bytes_fetched == (5 + 8) * kMiB);
}

TEST_CASE("a guest joins without if offers end before their catalog has come") {
  Visit visit;
  for (std::uint64_t revision = 2; revision <= 9; ++revision) {
    CHECK_FALSE(visit.guest->over());
    CHECK(visit.carry(0) == 0);
    visit.offer(revision);
  }
  CHECK(visit.carry(0) == 0);
  CHECK(visit.guest->over());
  CHECK(visit.target->bytes_fetched == 0);
}

TEST_CASE("a guest is whole after its last work, and not before") {
  Visit visit;
  visit.holds_works = true;
  CHECK(visit.carry(100) > 1);
  REQUIRE(visit.works() > 0);
  CHECK(visit.target->bytes_fetched == 0);
  CHECK_FALSE(visit.guest->over());
  while (!visit.guest->over()) {
    visit.finish_works();
    visit.carry(100);
  }
  CHECK(visit.target->bytes_fetched == 8 * kMiB);
}

TEST_CASE("what comes of a guest that is admitted counts its last works") {
  Visit visit;
  CHECK(visit.carry(8) == 8);
  visit.holds_works = true;
  CHECK(visit.carry(1) == 1);
  visit.guest->end(visit.now);
  CHECK_FALSE(visit.target->complete);
  CHECK_FALSE(visit.mine.content().stale().empty());
  visit.finish_works();
  CHECK(visit.target->complete);
  CHECK(visit.mine.content().stale().empty());
}

TEST_CASE("a slice whose work outlives its content is what it is, and is fetched again") {
  Visit visit;
  CHECK(visit.carry(1) == 1);
  visit.holds_works = true;
  CHECK(visit.carry(2) == 2);
  REQUIRE(visit.works() == 2);
  visit.offer(2);
  // The catalog, and slices; those that still are in a work wait for it.
  CHECK(visit.carry(100) > 1);
  visit.finish_works();
  visit.holds_works = false;
  visit.carry(100);
  CHECK(visit.guest->over());
  visit.guest->end(visit.now);
  CHECK(visit.target->complete);
  CHECK(visit.target->revision == 2);
  CHECK(visit.mine.is_like(visit.theirs));
  CHECK(visit.mine.keeps_right_digests());
}

}  // namespace hawser
