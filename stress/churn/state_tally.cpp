#include "state_tally.hpp"

#include <algorithm>

#include "hawser_shared_state.h"

namespace hawser::churn {

bool StateTally::on_line(const ReportLine& line) {
  const std::string_view word = line.word();
  if (word == "sync") {
    on_sync(line);
  } else if (word == "prefetch") {
    on_prefetch(line);
  } else if (word == "sync_failed") {
    ++failed;
    failed_incomplete += line.number("complete") == 0u;
  } else if (word == "checkpoint") {
    saved += line.get("did") == "saved";
    loaded += line.get("did") == "loaded";
    refused += line.get("did") == "refused";
  } else if (word == "fell_back") {
    ++fell_back;
  } else {
    return false;
  }
  return true;
}

void StateTally::on_sync(const ReportLine& line) {
  const auto number = [&](std::string_view key) { return line.number(key).value_or(0); };
  const std::uint64_t fetched = number("fetched");
  ++syncs;
  bytes_fetched += fetched;
  bytes_again += number("again");
  fetching += fetched > 0;
  several_sources += number("sources") > 1;
  mended += number("attempts") > 1;
  mended_fetching += number("attempts") > 1 && fetched > 0;
  compressed += number("compress");
  only_marked += number("only_marked");
  kept_old += number("keep_old");
  send_only += number("strategy") == hawserSyncSendOnly;
  receive_only += number("strategy") == hawserSyncReceiveOnly;
  (fetched > 0 ? fetch_ms : quick_ms).add(line.real("ms").value_or(0));
}

void StateTally::on_prefetch(const ReportLine& line) {
  const std::uint64_t fetched = line.number("fetched").value_or(0);
  const bool complete = line.number("complete") == 1u;
  ++prefetches;
  prefetches_complete += complete;
  prefetches_partial += !complete && fetched > 0;
  prefetch_bytes += fetched;
  prefetch_sources_most = std::max(prefetch_sources_most, line.number("sources").value_or(0));
  if (fetched > 0) prefetch_ms.add(line.real("ms").value_or(0));
}

}  // namespace hawser::churn
