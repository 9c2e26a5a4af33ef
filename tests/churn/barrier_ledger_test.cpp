#include "churn/barrier_ledger.hpp"

#include "catch.hpp"

using hawser::churn::BarrierLedger;
using hawser::churn::ReportLine;

TEST_CASE("a barrier holds if the last has entered before the first leaves") {
  BarrierLedger ledger;
  CHECK_FALSE(ledger.on_barrier("a", ReportLine("barrier epoch=1 seq=0 entered=10 left=30")));
  CHECK_FALSE(ledger.on_barrier("b", ReportLine("barrier epoch=1 seq=0 entered=29 left=31")));
  CHECK_FALSE(ledger.on_barrier("a", ReportLine("barrier epoch=1 seq=1 entered=40 left=50")));
}

TEST_CASE("who leaves too early is found, whoever reports first") {
  const char* early = "barrier epoch=1 seq=0 entered=10 left=20";
  const char* late = "barrier epoch=1 seq=0 entered=21 left=22";
  BarrierLedger one, other;
  CHECK_FALSE(one.on_barrier("a", ReportLine(early)));
  CHECK(one.on_barrier("b", ReportLine(late)));
  CHECK_FALSE(other.on_barrier("b", ReportLine(late)));
  CHECK(other.on_barrier("a", ReportLine(early)));
}

TEST_CASE("a barrier without its moments is refused") {
  BarrierLedger ledger;
  CHECK(ledger.on_barrier("a", ReportLine("barrier epoch=1 seq=0")));
}
