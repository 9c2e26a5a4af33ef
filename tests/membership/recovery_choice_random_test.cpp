#include <algorithm>
#include <map>
#include <set>

#include "base/random.hpp"
#include "catch.hpp"
#include "membership/recovery_choice.hpp"

namespace hawser {
namespace {

ViewMark mark_of(const View& view) {
  return {.epoch = view.epoch, .id = view.id, .size = view.size(), .fingerprint = fingerprint(view)};
}

/// A run under one master until it dies: members are lost and admitted, and not all hear of each view. Something is
/// committed only in a view that all of its members have heard of, since all of them have to report it.
class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {
    View first;
    for (std::uint64_t size = 1 + random_.below(6); size > 0; --size) first.members.push_back(newcomer());
    start(first);
    for (std::uint64_t steps = random_.below(20); steps > 0; --steps) step();
  }

  struct Peer {
    std::size_t heard = 0;    ///< The view that it knows.
    std::size_t first = 0;    ///< The first that it was in.
    bool knows_any = false;
    bool lives = true;
  };
  const std::vector<View>& views() const { return views_; }
  const std::map<PeerId, Peer>& peers() const { return peers_; }
  const std::set<std::size_t>& views_with_commits() const { return with_commits_; }
  Random& random() { return random_; }

  /// Whether one has a result of the run that the other was left out of.
  bool diverged(PeerId a, PeerId b) const {
    return std::any_of(with_commits_.begin(), with_commits_.end(), [&](std::size_t view) {
      const bool left_out = peers_.at(b).first <= view && views_[view].find(b) == nullptr;
      return views_[view].find(a) != nullptr && left_out;
    });
  }

 private:
  Member newcomer() {
    const PeerId id{next_++};
    peers_[id].first = views_.size();
    return {.id = id, .name = "p", .address = {}};
  }
  void start(View view) {
    view.epoch = {views_.size() + 1};
    view.id = {random_.next()};
    view.link_secret = 5;
    views_.push_back(std::move(view));
    // Some hear of it later, or never.
    for (const Member& member : views_.back().members)
      if (random_.chance(3, 4)) hear(member.id);
  }
  void hear(PeerId peer) {
    Peer& one = peers_.at(peer);
    one.heard = views_.size() - 1;
    one.knows_any = true;
  }
  void step() {
    const View& now = views_.back();
    switch (random_.below(5)) {
      case 0: {
        View next = now;
        // Several at one moment, some of them not dead but cut off.
        for (std::uint64_t lost = 1 + random_.below(3); lost > 0 && next.size() > 1; --lost) {
          const auto gone = next.members.begin() + static_cast<std::ptrdiff_t>(random_.below(next.members.size()));
          if (random_.chance(1, 2)) peers_.at(gone->id).lives = false;
          next.members.erase(gone);
        }
        return start(std::move(next));
      }
      case 1: {
        View next = now;
        for (std::uint64_t came = 1 + random_.below(3); came > 0; --came) next.members.push_back(newcomer());
        return start(std::move(next));
      }
      case 2:
        for (const Member& member : now.members)
          if (random_.chance(2, 3)) hear(member.id);
        return;
      default: {
        const bool all_heard = std::all_of(now.members.begin(), now.members.end(), [&](const Member& member) {
          return peers_.at(member.id).knows_any && peers_.at(member.id).heard + 1 == views_.size();
        });
        if (all_heard && now.size() > 1) with_commits_.insert(views_.size() - 1);
      }
    }
  }

  Random random_;
  std::vector<View> views_;
  std::map<PeerId, Peer> peers_;
  std::set<std::size_t> with_commits_;
  std::uint64_t next_ = 1;
};

struct Claims {
  std::vector<ViewClaim> claims;
  std::map<ViewMark, View> views;
};

/// Who lives says what it knows, in any order; some do not come back, and some views are not told.
Claims claims_of(History& history, bool all) {
  Claims claims;
  Random& random = history.random();
  for (const auto& [id, peer] : history.peers()) {
    if (!peer.lives || !peer.knows_any || (!all && random.chance(1, 4))) continue;
    const View& view = history.views()[peer.heard];
    claims.claims.push_back({.peer = id, .view = mark_of(view)});
    if (all || random.chance(9, 10)) claims.views.emplace(mark_of(view), view);
  }
  for (std::size_t i = claims.claims.size(); i > 1; --i)
    std::swap(claims.claims[i - 1], claims.claims[random.below(i)]);
  return claims;
}

void check_choice(const History& history, const Claims& claims, const ViewChoice& choice) {
  if (!choice.view) {
    REQUIRE(choice.survivors.empty());
    return;
  }
  const View& view = claims.views.at(*choice.view);
  REQUIRE(2 * choice.survivors.size() >= view.members.size());
  const std::set<PeerId> once(choice.survivors.begin(), choice.survivors.end());
  REQUIRE(once.size() == choice.survivors.size());
  for (const PeerId peer : choice.survivors) {
    REQUIRE(view.find(peer) != nullptr);
    for (const PeerId other : choice.survivors) REQUIRE_FALSE(history.diverged(peer, other));
  }
}

}  // namespace

TEST_CASE("whatever members have heard of their views, those who diverged never go on together") {
  std::size_t chosen = 0;
  std::size_t with_diverged = 0;
  for (std::uint64_t seed = 1; seed <= 30000; ++seed) {
    INFO("seed " << seed);
    History history(seed);
    const Claims claims = claims_of(history, false);
    const ViewChoice choice = choose_view(claims.claims, claims.views);
    check_choice(history, claims, choice);
    chosen += choice.view ? 1 : 0;
    with_diverged += std::any_of(claims.claims.begin(), claims.claims.end(), [&](const ViewClaim& a) {
      return std::any_of(claims.claims.begin(), claims.claims.end(),
                         [&](const ViewClaim& b) { return history.diverged(a.peer, b.peer); });
    });
  }
  CHECK(chosen > 15000);
  CHECK(with_diverged > 1000);
}

TEST_CASE("where all of the newest view are back and have heard of it, they go on from it") {
  std::size_t cases = 0;
  for (std::uint64_t seed = 1; seed <= 30000; ++seed) {
    INFO("seed " << seed);
    History history(seed);
    const View& newest = history.views().back();
    const bool all_there = std::all_of(newest.members.begin(), newest.members.end(), [&](const Member& member) {
      const auto& peer = history.peers().at(member.id);
      return peer.lives && peer.knows_any && history.views()[peer.heard] == newest;
    });
    const Claims claims = claims_of(history, true);
    // Those who were cut off are fewer: else the rest looks like a few bad ones.
    if (!all_there || newest.size() < 2 || claims.claims.size() >= 2 * newest.members.size()) continue;
    ++cases;
    const ViewChoice choice = choose_view(claims.claims, claims.views);
    REQUIRE(choice.view == mark_of(newest));
    REQUIRE(choice.survivors.size() == newest.members.size());
    REQUIRE(choice.complete);
  }
  CHECK(cases > 2000);
}

TEST_CASE("strangers, fewer than the members that go on, change neither the view nor who goes on nor when") {
  std::size_t cases = 0;
  for (std::uint64_t seed = 1; seed <= 30000; ++seed) {
    INFO("seed " << seed);
    History history(seed);
    Claims claims = claims_of(history, false);
    const ViewChoice before = choose_view(claims.claims, claims.views);
    if (!before.view) continue;
    const auto behind = static_cast<std::uint64_t>(std::count_if(
        claims.claims.begin(), claims.claims.end(), [&](const ViewClaim& one) { return one.view == *before.view; }));
    if (behind < 2) continue;
    ++cases;
    Random& random = history.random();
    for (std::uint64_t strangers = 1 + random.below(behind - 1); strangers > 0; --strangers) {
      const PeerId id{100000 + strangers};
      View made_up{.epoch = {random.chance(1, 2) ? std::uint64_t{1} << 62 : random.below(20)}, .id = {random.next()},
                   .group = 0, .link_secret = 5, .members = {{.id = id, .name = "s", .address = {}}}};
      for (const auto& [peer, state] : history.peers())
        if (random.chance(1, 3)) made_up.members.push_back({.id = peer, .name = "p", .address = {}});
      const auto at = claims.claims.begin() + static_cast<std::ptrdiff_t>(random.below(claims.claims.size() + 1));
      claims.claims.insert(at, {.peer = id, .view = mark_of(made_up)});
      if (random.chance(2, 3)) claims.views.emplace(mark_of(made_up), made_up);
    }
    const ViewChoice after = choose_view(claims.claims, claims.views);
    REQUIRE(after.view == before.view);
    REQUIRE(after.survivors == before.survivors);
    REQUIRE(after.complete == before.complete);
  }
  CHECK(cases > 5000);
}

}  // namespace hawser
