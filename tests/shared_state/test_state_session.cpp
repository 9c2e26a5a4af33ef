#include "shared_state/state_session.hpp"

#include <functional>

#include "base/bug_found.hpp"
#include "catch.hpp"
#include "shared_state/session_group.hpp"

namespace hawser {
namespace {

using Next = StateSession::Next;

const Error kLost{Status::peer_lost, "peer b was lost"};
const Error kClosed{Status::closed, "the communicator is closed"};

/// One member that has synchronised and offers that.
class Offering : public SessionGroup {
 public:
  Offering() : SessionGroup(1) {
    synchronise_alone();
    REQUIRE(alone(0, session.offer(now, id(0))) == Next::over);
    REQUIRE(session.offered());
  }
  StateSession& session = (*this)[0];
};

}  // namespace

TEST_CASE("what changes a shared state first takes the offer back") {
  Offering one;
  StateSession& session = one.session;
  session.content().mark_changed(0);
  REQUIRE(one.alone(0, session.digest()) == Next::over);
  const std::uint64_t before = session.revision();
  const SyncRequest request{.settings = {}, .view = one.view, .self = one.id(0)};
  const std::vector<std::function<Next()>> operations = {
      [&] { return session.withdraw(one.now); },
      [&] { return session.offer(one.now, one.id(0)); },
      [&] { return session.synchronise(one.now, request); },
      [&] { return session.connect(one.now, seconds(1)); },
      [&] { return session.set_revision(one.now, 9); },
      [&] { return session.mark_changed(one.now, "a"); },
      [&] { return session.mark_all_changed(one.now); },
      [&] { return session.load(one.now); },
  };
  for (std::size_t which = 0; which < operations.size(); ++which) {
    CAPTURE(which);
    REQUIRE(operations[which]() == Next::withdraw);
    // It cannot be taken back: nothing has changed, and it is on offer still.
    REQUIRE(session.withdrawn(one.now, kClosed) == Next::over);
    CHECK(session.error().status == Status::closed);
    CHECK(session.offered());
    CHECK(session.content().has_all_digests());
    CHECK(session.revision() == before);
  }
  REQUIRE(session.synchronise(one.now, request) == Next::withdraw);
  (void)session.withdrawn(one.now, kClosed);
  const SyncOutcome outcome = session.take_sync_outcome();
  CHECK(outcome.error.status == Status::closed);
  CHECK_FALSE(outcome.began);
}

TEST_CASE("an offer that is back is over, and the operation goes on") {
  Offering one;
  REQUIRE(one.session.set_revision(one.now, 9) == Next::withdraw);
  CHECK(one.session.revision() == 0);
  REQUIRE(one.session.withdrawn(one.now, one.success) == Next::over);
  CHECK(one.session.revision() == 9);
  CHECK_FALSE(one.session.offered());
  CHECK(one.session.withdraw(one.now) == Next::over);
}

TEST_CASE("a digest leaves the offer alone") {
  Offering one;
  CHECK(one.session.digest() == Next::digest);
  CHECK(one.alone(0, Next::digest) == Next::over);
  CHECK(one.session.offered());
  CHECK(one.session.digest_outcome() == content_digest(one.session.content().manifest()));
}

TEST_CASE("only what was synchronised can be offered") {
  SessionGroup one(1);
  StateSession& session = one[0];
  const auto refused = [&](PeerId self) {
    REQUIRE(session.offer(one.now, self) == Next::over);
    CHECK_FALSE(session.offered());
    return session.error().status == Status::invalid_usage;
  };
  CHECK(refused(one.id(0)));
  one.synchronise_alone();

  SECTION("by who synchronised it") { CHECK(refused(PeerId{99})); }
  SECTION("with the revision that was agreed on") {
    REQUIRE(session.set_revision(one.now, 5) == Next::over);
    CHECK(refused(one.id(0)));
    REQUIRE(session.set_revision(one.now, 0) == Next::over);
    CHECK(one.alone(0, session.offer(one.now, one.id(0))) == Next::over);
    CHECK(session.offered());
  }
  SECTION("not what was marked since") {
    REQUIRE(session.mark_changed(one.now, "b") == Next::over);
    CHECK(refused(one.id(0)));
  }
  SECTION("not what was changed and digested since") {
    one.bytes(0)[3] = std::byte{1};
    REQUIRE(one.alone(0, session.digest()) == Next::over);
    CHECK(refused(one.id(0)));
    one.bytes(0)[3] = std::byte{0};
    REQUIRE(one.alone(0, session.digest()) == Next::over);
    CHECK(one.alone(0, session.offer(one.now, one.id(0))) == Next::over);
    CHECK(session.offered());
  }
  SECTION("what cannot be offered leaves the offer before as it is") {
    REQUIRE(one.alone(0, session.offer(one.now, one.id(0))) == Next::over);
    CHECK(session.offer(one.now, PeerId{99}) == Next::over);
    CHECK(session.error().status == Status::invalid_usage);
    CHECK(session.offered());
  }
  SECTION("what nobody reads is not on offer") {
    REQUIRE(session.offer(one.now, one.id(0)) == Next::offer);
    REQUIRE(session.to_offer());
    CHECK(session.offer_ended(kClosed) == Next::over);
    CHECK(session.error().status == Status::closed);
    CHECK_FALSE(session.offered());
  }
}

TEST_CASE("sessions of several members come to the same content") {
  SessionGroup group(3);
  for (std::size_t rank : {0, 1}) group.bytes(rank)[0] = std::byte{5};
  group.synchronise();
  CHECK(group[2].take_sync_outcome().info.bytes_fetched == 64);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    CHECK(group[rank].error().status == Status::success);
    CHECK(group.bytes(rank)[0] == std::byte{5});
    CHECK(group[rank].agreed(group.id(rank)));
    CHECK(group.alone(rank, group[rank].offer(group.now, group.id(rank))) == Next::over);
    CHECK(group[rank].offered());
  }
}

TEST_CASE("what was not marked is not seen where only that is asked for") {
  SessionGroup group(2);
  group.synchronise();
  group.bytes(1)[0] = std::byte{5};
  group.synchronise({}, true);
  CHECK(group.bytes(0) != group.bytes(1));
  group.synchronise();
  CHECK(group.bytes(0) == group.bytes(1));
}

TEST_CASE("a synchronisation that is lost with its view goes on in the next one") {
  SessionGroup one(1);
  StateSession& session = one[0];
  const SyncRequest request{.settings = {}, .view = one.view, .self = one.id(0)};
  REQUIRE(one.alone(0, session.synchronise(one.now, request)) == Next::collective);
  View next = one.view;
  next.epoch = Epoch{2};
  next.id = ViewId{8};
  REQUIRE(one.alone(0, session.collective_ended(one.now, kLost, nullptr, next)) == Next::collective);
  CHECK(session.step().epoch == Epoch{2});
  // Who is no member any more has no next view.
  REQUIRE(session.collective_ended(one.now, kLost, nullptr, View{}) == Next::over);
  const SyncOutcome outcome = session.take_sync_outcome();
  CHECK(outcome.error.status == Status::peer_lost);
  CHECK(outcome.info.attempts == 2);
  CHECK_FALSE(session.agreed(one.id(0)));
}

TEST_CASE("the end of a prefetch decides on revision and completeness") {
  SessionGroup one(1);
  StateSession& session = one[0];
  REQUIRE(session.set_revision(one.now, 3) == Next::over);
  REQUIRE(session.connect(one.now, seconds(2)) == Next::digest);
  REQUIRE(one.alone(0, Next::digest) == Next::connect);
  PrefetchTarget& target = *session.prefetch_target();
  CHECK(target.bound == seconds(2));
  CHECK(target.content == &session.content());
  target.revision = 7;

  SECTION("all of it came") {
    target.touched = target.complete = true;
    target.lasted = seconds(1);
    target.bytes_fetched = 96;
    one.now += seconds(3);
    REQUIRE(session.connected(one.now, one.success) == Next::over);
    CHECK(session.revision() == 7);
    CHECK_FALSE(session.incomplete());
    const PrefetchOutcome outcome = session.take_prefetch_outcome();
    CHECK(outcome.complete);
    CHECK(outcome.bytes_fetched == 96);
    CHECK(outcome.prefetch == seconds(1));
    CHECK(outcome.join == seconds(2));
  }
  SECTION("a part of it came") {
    target.touched = true;
    REQUIRE(session.connected(one.now, kClosed) == Next::over);
    CHECK(session.revision() == 3);
    CHECK(session.incomplete());
    CHECK(session.check_may_save().status() == Status::invalid_usage);
    CHECK(session.take_prefetch_outcome().error.status == Status::closed);
  }
  SECTION("nothing came") {
    REQUIRE(session.connected(one.now, one.success) == Next::over);
    CHECK(session.revision() == 3);
    CHECK_FALSE(session.incomplete());
  }
  SECTION("it broke off in the middle") {
    target.touched = true;
    session.broke_off(one.now, {.status = Status::system});
    CHECK(session.next() == Next::over);
    CHECK(session.incomplete());
    CHECK(session.error().status == Status::system);
  }
}

TEST_CASE("a checkpoint is whole, or leaves a mixture, or nothing at all") {
  SessionGroup one(1);
  StateSession& session = one[0];
  one.synchronise_alone();
  REQUIRE(session.load(one.now) == Next::load);
  const Error damaged{Status::system, "the file is damaged"};

  SECTION("whole") {
    session.load_touched() = true;
    REQUIRE(session.loaded(std::uint64_t{12}) == Next::over);
    CHECK(session.revision() == 12);
    CHECK_FALSE(session.incomplete());
    CHECK_FALSE(session.content().has_all_digests());
  }
  SECTION("nothing at all") {
    REQUIRE(session.loaded(damaged) == Next::over);
    CHECK(session.error().status == Status::system);
    CHECK_FALSE(session.incomplete());
    CHECK(session.content().has_all_digests());
  }
  SECTION("a mixture, until it is filled anew") {
    session.load_touched() = true;
    REQUIRE(session.loaded(damaged) == Next::over);
    CHECK(session.incomplete());
    CHECK(session.revision() == 0);
    // To fail again before anything was written mends nothing.
    REQUIRE(session.load(one.now) == Next::load);
    REQUIRE(session.loaded(damaged) == Next::over);
    CHECK(session.incomplete());
    REQUIRE(session.mark_all_changed(one.now) == Next::over);
    CHECK_FALSE(session.incomplete());
    CHECK(session.check_may_save().ok());
  }
  SECTION("a mixture after an exception") {
    session.load_touched() = true;
    session.broke_off(one.now, {.status = Status::system});
    CHECK(session.incomplete());
    CHECK_FALSE(session.content().has_all_digests());
  }
}

TEST_CASE("after an exception the session is ready for the next operation") {
  Offering one;
  StateSession& session = one.session;
  SECTION("while the offer was taken back") {
    REQUIRE(session.set_revision(one.now, 4) == Next::withdraw);
    session.broke_off(one.now, {.status = Status::system});
    CHECK(session.offered());
    CHECK(session.revision() == 0);
  }
  SECTION("while something was offered") {
    REQUIRE(session.offer(one.now, one.id(0)) == Next::withdraw);
    REQUIRE(session.withdrawn(one.now, one.success) == Next::offer);
    session.broke_off(one.now, {.status = Status::system});
    CHECK_FALSE(session.offered());
  }
  SECTION("in a synchronisation") {
    const SyncRequest request{.settings = {}, .view = one.view, .self = one.id(0)};
    REQUIRE(one.alone(0, session.synchronise(one.now, request)) == Next::collective);
    session.broke_off(one.now, {.status = Status::system});
    const SyncOutcome outcome = session.take_sync_outcome();
    CHECK(outcome.error.status == Status::system);
    CHECK(outcome.began);
    // Which of its slices were written to is not known.
    CHECK(session.content().stale().size() == 2);
  }
  CHECK(session.next() == Next::over);
  one.synchronise_alone();
}

TEST_CASE("tensors are marked by names that exist") {
  SessionGroup one(1);
  one.synchronise_alone();
  CHECK(one[0].mark_changed(one.now, "c") == Next::over);
  CHECK(one[0].error().status == Status::invalid_argument);
  CHECK(one[0].mark_changed(one.now, "") == Next::over);
  CHECK(one[0].error().status == Status::invalid_argument);
  CHECK(one[0].content().has_all_digests());
  CHECK(one[0].mark_changed(one.now, "b") == Next::over);
  CHECK(one[0].error().status == Status::success);
  CHECK(one[0].content().stale().size() == 1);
}

TEST_CASE("a driver that performs another step than the one asked for is wrong") {
  SessionGroup one(1);
  CHECK_THROWS_AS(one[0].withdrawn(one.now, one.success), BugFound);
  REQUIRE(one[0].load(one.now) == Next::load);
  CHECK_THROWS_AS(one[0].digested(one.now), BugFound);
  CHECK_THROWS_AS(one[0].step(), BugFound);
  CHECK_THROWS_AS(one[0].withdraw(one.now), BugFound);
  CHECK(one[0].loaded(Error{Status::system, "the file is gone"}) == Next::over);
}

}  // namespace hawser
