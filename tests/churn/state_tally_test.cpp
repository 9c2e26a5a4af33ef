#include "churn/state_tally.hpp"

#include "catch.hpp"

using hawser::churn::ReportLine;
using hawser::churn::StateTally;

TEST_CASE("what workers did with their state is counted") {
  StateTally tally;
  CHECK(
      tally.on_line(ReportLine("sync attempts=2 fetched=100 again=7 sources=2 strategy=2 compress=1 ms=3")));
  CHECK(tally.on_line(
      ReportLine("sync attempts=1 fetched=0 again=0 sources=0 strategy=1 keep_old=1 only_marked=1")));
  CHECK(tally.on_line(ReportLine("sync_failed kind=mismatch complete=0")));
  CHECK(tally.on_line(ReportLine("prefetch complete=1 sources=3 fetched=50 ms=2")));
  CHECK(tally.on_line(ReportLine("prefetch complete=0 sources=1 fetched=5 ms=2")));
  CHECK(tally.on_line(ReportLine("prefetch complete=0 sources=0 fetched=0")));
  CHECK(tally.on_line(ReportLine("checkpoint did=saved")));
  CHECK_FALSE(tally.on_line(ReportLine("round step=1")));
  CHECK(tally.syncs == 2);
  CHECK(tally.mended_fetching == 1);
  CHECK(tally.bytes_again == 7);
  CHECK(tally.receive_only == 1);
  CHECK(tally.send_only == 1);
  CHECK(tally.failed_incomplete == 1);
  CHECK(tally.prefetches == 3);
  CHECK(tally.prefetches_complete == 1);
  CHECK(tally.prefetches_partial == 1);
  CHECK(tally.prefetch_sources_most == 3);
  CHECK(tally.saved == 1);
}
