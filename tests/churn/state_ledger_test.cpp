#include "churn/state_ledger.hpp"

#include <string>

#include "catch.hpp"

using hawser::churn::ReportLine;
using hawser::churn::StateLedger;

namespace {

constexpr const char* kHolds = "holds lineage=9 revision=4 step=12 content=22 newcomer=1";
constexpr const char* kSync =
    "sync epoch=3 lineage=9 revision=4 step=12 digest=ab content=22 world=3 attempts=1";

}  // namespace

TEST_CASE("members that come to the same agree") {
  StateLedger ledger;
  CHECK_FALSE(ledger.on_holds("a", ReportLine(kHolds)));
  CHECK_FALSE(ledger.on_holds("b", ReportLine(kHolds)));
  CHECK(ledger.confirmations() == 1);
  const auto first = ledger.on_sync("a", ReportLine(kSync));
  CHECK(first.first);
  CHECK_FALSE(first.disagreement);
  // How often a loss had to be mended differs between members that came earlier and later.
  const std::string mended =
      "sync epoch=3 lineage=9 revision=4 step=12 digest=ab content=22 world=3 attempts=2";
  const auto second = ledger.on_sync("b", ReportLine(mended));
  CHECK_FALSE(second.first);
  CHECK_FALSE(second.disagreement);
  CHECK(ledger.syncs() == 1);
  CHECK(ledger.unexplained().empty());
}

TEST_CASE("any other fact about a synchronisation is a disagreement") {
  const char* other = GENERATE("sync epoch=3 lineage=8 revision=4 step=12 digest=ab content=22 world=3",
                               "sync epoch=3 lineage=9 revision=4 step=13 digest=ab content=22 world=3",
                               "sync epoch=3 lineage=9 revision=4 step=12 digest=ac content=22 world=3",
                               "sync epoch=3 lineage=9 revision=4 step=12 digest=ab content=23 world=3",
                               "sync epoch=3 lineage=9 revision=4 step=12 digest=ab content=22 world=4");
  StateLedger ledger;
  CHECK_FALSE(ledger.on_sync("a", ReportLine(kSync)).disagreement);
  CHECK(ledger.on_sync("b", ReportLine(other)).disagreement);
}

TEST_CASE("one revision has one content, in every epoch and however it was come by") {
  StateLedger ledger;
  CHECK_FALSE(ledger.on_sync("a", ReportLine(kSync)).disagreement);
  CHECK(
      ledger
          .on_sync("b", ReportLine("sync epoch=4 lineage=9 revision=4 step=12 digest=ab content=23 world=3"))
          .disagreement);
  CHECK(ledger.on_holds("b", ReportLine("holds lineage=9 revision=4 step=12 content=23")));
  CHECK(ledger.on_found("c", ReportLine("found how=prefetch lineage=9 revision=4 step=12 content=23")));
  CHECK_FALSE(ledger.on_found("c", ReportLine("found how=prefetch lineage=9 revision=4 step=12 content=22")));
  // The steps between two synchronisations have one revision.
  CHECK_FALSE(ledger.on_holds("b", ReportLine("holds lineage=9 revision=4 step=13 content=23")));
  CHECK_FALSE(ledger.on_holds("b", ReportLine("holds lineage=8 revision=4 step=12 content=23")));
}

TEST_CASE("what a synchronisation gives was held by somebody, who may be heard later") {
  StateLedger ledger;
  CHECK_FALSE(ledger.on_sync("a", ReportLine(kSync)).disagreement);
  CHECK(ledger.unexplained().size() == 1);
  CHECK_FALSE(ledger.on_found("b", ReportLine("found how=prefetch lineage=9 revision=4 step=12 content=22")));
  CHECK(ledger.unexplained().size() == 1);
  CHECK_FALSE(ledger.on_holds("b", ReportLine(kHolds)));
  CHECK(ledger.unexplained().empty());
}

TEST_CASE("words about a state that say nothing are refused") {
  StateLedger ledger;
  CHECK(ledger.on_holds("a", ReportLine("holds lineage=9 revision=4 step=12")));
  CHECK(ledger.on_sync("a", ReportLine("sync revision=4")).disagreement);
  CHECK(ledger.on_sync("a", ReportLine("sync epoch=1 revision=4 lineage=9 step=1 content=3 world=2"))
            .disagreement);
}
