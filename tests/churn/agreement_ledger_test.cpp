#include "churn/agreement_ledger.hpp"

#include <string>

#include "catch.hpp"

using hawser::churn::AgreementLedger;
using hawser::churn::ReportLine;

namespace {

constexpr const char* kReduce = "reduce phase=check epoch=3 tag=0 seq=7 count=5 plan=1 members=11 digest=22";
constexpr const char* kRound = "round lineage=9 step=4 epoch=3 seq=6 digest=5 members=1,2 loss=2.5";

}  // namespace

TEST_CASE("workers that say the same of a collective agree") {
  AgreementLedger ledger;
  CHECK_FALSE(ledger.on_reduce("a", ReportLine(kReduce)).disagreement);
  CHECK_FALSE(ledger.on_reduce("b", ReportLine(kReduce)).disagreement);
  CHECK(ledger.collectives() == 1);
  CHECK(ledger.confirmations() == 1);
}

TEST_CASE("any other fact about a collective is a disagreement") {
  const char* other = GENERATE("reduce phase=deltas epoch=3 tag=0 seq=7 count=5 plan=1 members=11 digest=22",
                               "reduce phase=check epoch=3 tag=0 seq=7 count=6 plan=1 members=11 digest=22",
                               "reduce phase=check epoch=3 tag=0 seq=7 count=5 plan=2 members=11 digest=22",
                               "reduce phase=check epoch=3 tag=0 seq=7 count=5 plan=1 members=12 digest=22",
                               "reduce phase=check epoch=3 tag=0 seq=7 count=5 plan=1 members=11 digest=23");
  AgreementLedger ledger;
  CHECK_FALSE(ledger.on_reduce("a", ReportLine(kReduce)).disagreement);
  CHECK(ledger.on_reduce("b", ReportLine(other)).disagreement);
}

TEST_CASE("another epoch, tag or sequence is another collective") {
  const char* other = GENERATE("reduce phase=check epoch=4 tag=0 seq=7 count=5 plan=1 members=11 digest=99",
                               "reduce phase=check epoch=3 tag=1 seq=7 count=5 plan=1 members=11 digest=99",
                               "reduce phase=check epoch=3 tag=0 seq=8 count=5 plan=1 members=11 digest=99");
  AgreementLedger ledger;
  CHECK_FALSE(ledger.on_reduce("a", ReportLine(kReduce)).disagreement);
  CHECK_FALSE(ledger.on_reduce("b", ReportLine(other)).disagreement);
  CHECK(ledger.collectives() == 2);
}

TEST_CASE("a step is committed by one collective and leaves one digest") {
  AgreementLedger ledger;
  CHECK(ledger.on_round("a", ReportLine(kRound)).first);
  const auto same = ledger.on_round("b", ReportLine(kRound));
  CHECK_FALSE(same.first);
  CHECK_FALSE(same.disagreement);
  const char* other = GENERATE("round lineage=9 step=4 epoch=4 seq=6 digest=5 members=1,2",
                               "round lineage=9 step=4 epoch=3 seq=5 digest=5 members=1,2",
                               "round lineage=9 step=4 epoch=3 seq=6 digest=6 members=1,2",
                               "round lineage=9 step=4 epoch=3 seq=6 digest=5 members=1,3");
  CHECK(ledger.on_round("c", ReportLine(other)).disagreement);
}

TEST_CASE("a second lineage is news") {
  AgreementLedger ledger;
  CHECK(ledger.on_round("a", ReportLine(kRound)).new_lineage);
  CHECK_FALSE(ledger.on_round("b", ReportLine(kRound)).new_lineage);
  CHECK(ledger.on_round("b", ReportLine("round lineage=10 step=1 epoch=9 seq=1 digest=1 members=1"))
            .new_lineage);
  CHECK(ledger.lineages() == 2);
}

TEST_CASE("lines that say nothing are refused") {
  AgreementLedger ledger;
  CHECK(ledger.on_reduce("a", ReportLine("reduce epoch=x tag=0 seq=1")).disagreement);
  CHECK(ledger.on_round("a", ReportLine("round")).disagreement);
}

TEST_CASE("any other fact about what was reduced is a disagreement") {
  const std::string reduce = "reduce phase=tags epoch=3 tag=12 seq=7 count=5 plan=1 members=11 digest=22 ";
  const char* other =
      GENERATE("kind=all_gather type=int8 op=sum quant=none", "kind=all_reduce type=uint8 op=sum quant=none",
               "kind=all_reduce type=int8 op=max quant=none", "kind=all_reduce type=int8 op=sum quant=cast");
  AgreementLedger ledger;
  const std::string first = reduce + "kind=all_reduce type=int8 op=sum quant=none";
  const std::string second = reduce + other;
  CHECK(ledger.on_reduce("a", ReportLine(first)).first);
  const auto news = ledger.on_reduce("b", ReportLine(second));
  CHECK_FALSE(news.first);
  CHECK(news.disagreement);
}

TEST_CASE("a list has the same results at all members") {
  AgreementLedger ledger;
  CHECK_FALSE(ledger.on_round("a", ReportLine(kRound)).disagreement);
  const char* list = "many lineage=9 step=4 agreed=1 done=101 digests=7,0,9";
  CHECK_FALSE(ledger.on_many("a", ReportLine(list)));
  CHECK_FALSE(ledger.on_many("b", ReportLine(list)));
  // Whoever was removed in the middle may have fewer, but none with other bits.
  CHECK_FALSE(ledger.on_many("c", ReportLine("many lineage=9 step=4 agreed=0 done=100 digests=7,0,0")));
  CHECK(ledger.on_many("c", ReportLine("many lineage=9 step=4 agreed=0 done=100 digests=8,0,0")));
  CHECK(ledger.on_many("d", ReportLine("many lineage=9 step=4 agreed=1 done=100 digests=7,0,0")));
  CHECK(ledger.on_many("e", ReportLine("many lineage=10 step=4 agreed=1 done=1 digests=7")));
  CHECK(ledger.on_many("e", ReportLine("many lineage=9 step=4 agreed=1 done=11 digests=7")));
}
