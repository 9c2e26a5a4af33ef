#include "shared_state/election.hpp"

#include <optional>
#include <string>
#include <vector>

#include "base/bug_found.hpp"
#include "catch.hpp"

namespace hawser {
namespace {

constexpr auto kPopular = SyncStrategy::enforce_popular;
constexpr auto kSendOnly = SyncStrategy::send_only;
constexpr auto kReceiveOnly = SyncStrategy::receive_only;
using Ranks = std::vector<std::uint32_t>;

/// Tensors "a", "b", .. whose content is told by a letter each; an upper-case one allows inequality.
struct Says {
  std::uint64_t revision = 0;
  std::string content;
  SyncStrategy strategy = kPopular;
  std::optional<std::uint64_t> agreed{};
};

std::vector<SharedStateMember> members_of(const std::vector<Says>& all) {
  std::vector<SharedStateMember> members;
  for (const Says& says : all) {
    Manifest manifest{.revision = says.revision, .agreed_revision = says.agreed, .strategy = says.strategy};
    for (std::size_t i = 0; i < says.content.size(); ++i) {
      const char letter = says.content[i];
      manifest.tensors.push_back({.name = std::string(1, static_cast<char>('a' + i)),
                                  .count = 10,
                                  .digest = {.low = static_cast<std::uint64_t>(letter)},
                                  .allow_content_inequality = letter >= 'A' && letter <= 'Z'});
    }
    members.push_back({.peer = "peer-" + std::to_string(members.size()), .manifest = std::move(manifest)});
  }
  return members;
}

Election elected(const std::vector<Says>& all) {
  const auto election = elect(members_of(all));
  INFO((election.ok() ? "" : election.error().sentence));
  REQUIRE(election.ok());
  return *election;
}

std::string refusal(const std::vector<SharedStateMember>& members) {
  const auto election = elect(members);
  REQUIRE_FALSE(election.ok());
  CHECK(election.status() == Status::mismatch);
  return election.error().sentence;
}
std::string refusal(const std::vector<Says>& all) { return refusal(members_of(all)); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool settled(const std::vector<Says>& all) {
  std::vector<ManifestSummary> summaries;
  for (const SharedStateMember& member : members_of(all)) summaries.push_back(summarize(member.manifest));
  return settled_by_summaries(summaries);
}

}  // namespace

TEST_CASE("members that agree fetch nothing") {
  const Election election = elected({{5, "xyz"}, {5, "xyz"}, {5, "xyz"}});
  CHECK(election.revision == 5);
  CHECK(election.model == 0);
  CHECK(election.supporters == 3);
  CHECK(election.fetches.empty());
}

TEST_CASE("a lone member elects itself, with tensors or without") {
  CHECK(elected({{5, "x"}}).supporters == 1);
  CHECK(elected({{0, ""}}).fetches.empty());
  CHECK(elected({{0, ""}, {1, ""}}).revision == 1);
}

TEST_CASE("the highest revision is elected, however many hold an older one") {
  const Election election = elected({{4, "aa"}, {4, "aa"}, {5, "ba"}, {4, "aa"}});
  CHECK(election.revision == 5);
  CHECK(election.model == 2);
  CHECK(election.supporters == 1);
  REQUIRE(election.fetches.size() == 1);
  CHECK(election.fetches[0].tensor == 0);
  CHECK(election.fetches[0].digest == Digest128{.low = 'b'});
  CHECK(election.fetches[0].holders == Ranks{2});
  CHECK(election.fetches[0].receivers == Ranks{0, 1, 3});
}

TEST_CASE("within a revision the content that most hold is elected") {
  const Election election = elected({{5, "ab"}, {5, "ac"}, {5, "ac"}, {5, "ab"}, {5, "ac"}});
  CHECK(election.model == 1);
  CHECK(election.supporters == 3);
  REQUIRE(election.fetches.size() == 1);
  CHECK(election.fetches[0].tensor == 1);
  CHECK(election.fetches[0].holders == Ranks{1, 2, 4});
  CHECK(election.fetches[0].receivers == Ranks{0, 3});
  CHECK(tensors_to_fetch(election, 0) == Ranks{1});
  CHECK(tensors_to_fetch(election, 1).empty());
}

TEST_CASE("content is popular as a whole, not tensor by tensor") {
  const Election election = elected({{5, "ab"}, {5, "ac"}, {5, "dc"}, {5, "ab"}});
  CHECK(election.model == 0);
  REQUIRE(election.fetches.size() == 2);
  CHECK(election.fetches[0].holders == Ranks{0, 1, 3});
  CHECK(election.fetches[0].receivers == Ranks{2});
  CHECK(election.fetches[1].holders == Ranks{0, 3});
  CHECK(election.fetches[1].receivers == Ranks{1, 2});
}

TEST_CASE("among equally popular contents the lowest rank's is elected") {
  CHECK(elected({{5, "b"}, {5, "a"}, {5, "a"}, {5, "b"}}).model == 0);
  CHECK(elected({{5, "c"}, {5, "a"}, {5, "b"}, {5, "b"}, {5, "a"}}).model == 1);
  CHECK(elected({{4, "z"}, {5, "b"}, {5, "a"}}).model == 1);
}

TEST_CASE("older members vote for nothing, but serve the tensors that they have") {
  const Election election = elected({{4, "ab"}, {4, "ab"}, {5, "xb"}, {5, "ab"}, {4, "ac"}});
  CHECK(election.model == 2);
  REQUIRE(election.fetches.size() == 2);
  CHECK(election.fetches[0].holders == Ranks{2});
  CHECK(election.fetches[0].receivers == Ranks{0, 1, 3, 4});
  CHECK(election.fetches[1].holders == Ranks{0, 1, 2, 3});
  CHECK(election.fetches[1].receivers == Ranks{4});
}

TEST_CASE("receive_only members neither vote nor serve") {
  const Election election = elected(
      {{9, "xx", kReceiveOnly}, {5, "ab"}, {5, "ab", kReceiveOnly}, {5, "ac"}, {5, "ac", kReceiveOnly}});
  CHECK(election.revision == 5);
  CHECK(election.model == 1);
  CHECK(election.supporters == 1);
  REQUIRE(election.fetches.size() == 2);
  CHECK(election.fetches[0].holders == Ranks{1, 3});
  CHECK(election.fetches[0].receivers == Ranks{0});
  CHECK(election.fetches[1].holders == Ranks{1});
  CHECK(election.fetches[1].receivers == Ranks{0, 3, 4});
}

TEST_CASE("nobody who offers is an error") {
  const std::string sentence = refusal({{5, "a", kReceiveOnly}, {5, "a", kReceiveOnly}});
  CHECK(contains(sentence, "nobody offers"));
  CHECK(contains(sentence, "peer-0"));
  CHECK(contains(sentence, "peer-1"));
}

TEST_CASE("a send_only member's content is elected within its revision") {
  const Election election = elected({{5, "a"}, {5, "a"}, {5, "b", kSendOnly}, {4, "c", kReceiveOnly}});
  CHECK(election.model == 2);
  CHECK(election.supporters == 1);
  REQUIRE(election.fetches.size() == 1);
  CHECK(election.fetches[0].holders == Ranks{2});
  CHECK(election.fetches[0].receivers == Ranks{0, 1, 3});
  // Others that hold the same support it, and the lowest of them is the model.
  CHECK(elected({{5, "b"}, {5, "a"}, {5, "b", kSendOnly}}).supporters == 2);
  CHECK(elected({{5, "b"}, {5, "a"}, {5, "b", kSendOnly}}).model == 0);
}

TEST_CASE("send_only members that contradict each other are an error that names both") {
  const std::string sentence = refusal({{5, "a"}, {5, "b", kSendOnly}, {5, "c", kSendOnly}});
  CHECK(contains(sentence, "peer-1"));
  CHECK(contains(sentence, "peer-2"));
  CHECK_FALSE(contains(sentence, "peer-0"));
  CHECK(elected({{5, "b", kSendOnly}, {5, "b", kSendOnly}}).supporters == 2);
}

TEST_CASE("a send_only member below the elected revision is an error that names both") {
  const std::string sentence = refusal({{5, "a"}, {6, "b"}, {5, "a", kSendOnly}});
  CHECK(contains(sentence, "peer-1"));
  CHECK(contains(sentence, "peer-2"));
  CHECK(contains(sentence, "revision 5"));
  CHECK(contains(sentence, "revision 6"));
  CHECK(contains(refusal({{6, "b"}, {5, "b", kSendOnly}}), "revision 5"));
}

TEST_CASE("a revision grows by one at most over the agreed one") {
  CHECK(elected({{6, "b", kPopular, 5}, {5, "a", kPopular, 5}}).revision == 6);
  CHECK(elected({{5, "a", kPopular, 5}, {5, "a", kPopular, 5}}).revision == 5);
  const std::string sentence = refusal({{5, "a", kPopular, 5}, {7, "b", kPopular, 5}});
  CHECK(contains(sentence, "peer-1"));
  CHECK(contains(sentence, "peer-0"));
  CHECK(contains(sentence, "revision 7"));
  CHECK(contains(sentence, "agreed on is 5"));
  CHECK(contains(refusal({{7, "a", kPopular, 5}, {7, "a", kPopular, 5}}), "peer-0"));
}

TEST_CASE("the agreed revision is the highest that anybody brings") {
  CHECK(elected({{4, "a", kPopular, 3}, {7, "b", kPopular, 6}}).revision == 7);
  // Of a receive_only member too: it knows what was agreed.
  CHECK(elected({{6, "a", kReceiveOnly, 6}, {7, "b"}}).revision == 7);
  CHECK(contains(refusal({{6, "a", kReceiveOnly, 6}, {8, "b", kSendOnly}}), "revision 8"));
}

TEST_CASE("revisions may go back, and stay at the ends of the range") {
  CHECK(elected({{3, "a", kPopular, 9}, {2, "b", kPopular, 9}}).revision == 3);
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  CHECK(elected({{kMost, "a", kPopular, kMost}, {0, "b"}}).revision == kMost);
  CHECK(elected({{0, "a", kPopular, kMost}, {0, "a"}}).revision == 0);
  CHECK(elected({{kMost, "a", kPopular, kMost - 1}, {0, "b"}}).revision == kMost);
  CHECK(contains(refusal({{kMost, "a", kPopular, 0}, {0, "b"}}), "agreed on is 0"));
}

TEST_CASE("a newcomer from the future of another run takes the run's content") {
  const Election election = elected({{6, "a", kPopular, 5}, {50, "b"}, {6, "a", kPopular, 5}});
  CHECK(election.revision == 6);
  CHECK(election.model == 0);
  REQUIRE(election.fetches.size() == 1);
  CHECK(election.fetches[0].receivers == Ranks{1});
  // One more than agreed is not the future.
  CHECK(elected({{5, "a", kPopular, 5}, {6, "b"}}).model == 1);
  CHECK(contains(refusal({{6, "a", kPopular, 5}, {50, "b", kSendOnly}}), "revision 50"));
  const std::string sentence = refusal({{5, "a", kReceiveOnly, 5}, {50, "b"}});
  CHECK(contains(sentence, "nobody offers"));
  CHECK(contains(sentence, "newcomers"));
}

TEST_CASE("where nobody has agreed on a revision the best on offer is accepted") {
  CHECK(elected({{0, "z"}, {1000, "a"}, {999, "b"}}).revision == 1000);
}

TEST_CASE("tensors that may differ are kept by members of the elected revision and taken by the others") {
  const Election election = elected({{5, "aX"}, {5, "aY"}, {4, "bX"}, {4, "aZ"}, {9, "aW", kReceiveOnly}});
  CHECK(election.supporters == 2);
  REQUIRE(election.fetches.size() == 2);
  CHECK(election.fetches[0].receivers == Ranks{2});
  CHECK(election.fetches[0].holders == Ranks{0, 1, 3});
  CHECK(election.fetches[1].holders == Ranks{0, 2});
  CHECK(election.fetches[1].receivers == Ranks{3, 4});
  CHECK(elected({{5, "aX", kSendOnly}, {5, "aY", kSendOnly}}).fetches.empty());
}

TEST_CASE("members with other tensors are an error that names the tensor and both peers") {
  auto members = members_of({{5, "abc"}, {5, "abc"}, {5, "abc"}});
  const auto names_both = [&](const std::string& tensor) {
    const std::string sentence = refusal(members);
    INFO(sentence);
    CHECK(contains(sentence, "\"" + tensor + "\""));
    CHECK(contains(sentence, "peer-0"));
    CHECK(contains(sentence, "peer-2"));
    std::swap(members[0], members[2]);
    CHECK(contains(refusal(members), "\"" + tensor + "\""));
    return sentence;
  };
  std::vector<TensorEntry>& tensors = members[2].manifest.tensors;
  SECTION("a count") {
    tensors[1].count = 11;
    const std::string sentence = names_both("b");
    CHECK(contains(sentence, "10 float32 at peer peer-0"));
    CHECK(contains(sentence, "11 float32 at peer peer-2"));
  }
  SECTION("a type") {
    tensors[2].type = DataType::int32;
    CHECK(contains(names_both("c"), "10 int32 at peer peer-2"));
  }
  SECTION("a flag") {
    tensors[0].allow_content_inequality = true;
    CHECK(contains(names_both("a"), "that may differ at peer peer-2"));
  }
  SECTION("one missing at the end") {
    tensors.pop_back();
    CHECK(contains(names_both("c"), "missing at peer peer-2"));
  }
  SECTION("one missing at the start") {
    tensors.erase(tensors.begin());
    CHECK(contains(names_both("a"), "missing at peer peer-2"));
  }
  SECTION("one more in the middle") {
    tensors.insert(tensors.begin() + 1, {.name = "aa"});
    CHECK(contains(names_both("aa"), "missing at peer peer-0"));
  }
  SECTION("none at all") {
    tensors.clear();
    CHECK(contains(names_both("a"), "missing at peer peer-2"));
  }
}

TEST_CASE("a wrong shape is told before anything else") {
  auto members = members_of({{5, "a", kReceiveOnly}, {5, "b", kReceiveOnly}});
  members[1].manifest.tensors[0].name = "other";
  CHECK(contains(refusal(members), "do not fit together"));
}

TEST_CASE("nobody cannot elect") { CHECK_THROWS_AS(elect({}), BugFound); }

TEST_CASE("summaries settle what is equal everywhere") {
  CHECK(settled({{5, "ab"}, {5, "ab"}}));
  CHECK(settled({{6, "ab", kPopular, 5}, {6, "ab", kSendOnly, 5}, {6, "ab", kReceiveOnly}}));
  CHECK(settled({{6, "aX", kPopular, 5}, {6, "aY"}}));
  CHECK_FALSE(settled({{5, "ab"}, {5, "ac"}}));
  CHECK_FALSE(settled({{5, "ab"}, {6, "ab"}}));
  CHECK_FALSE(settled({{5, "ab"}, {5, "abc"}}));
  CHECK_FALSE(settled({{5, "ab", kReceiveOnly}, {5, "ab", kReceiveOnly}}));
  CHECK_FALSE(settled({{7, "ab", kPopular, 5}, {7, "ab", kPopular, 5}}));
  CHECK_FALSE(settled({}));
}

}  // namespace hawser
