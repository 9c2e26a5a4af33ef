#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "report_line.hpp"

namespace hawser::churn {

/// Compares what different workers say about their shared state. Pure.
///
/// A synchronisation is known by (epoch, revision): all that report it must report the same digest, content,
/// lineage, step and world. A content is known by (lineage, revision, step), whoever has it and however it
/// came to have it: held before a synchronisation, gained by one, prefetched, or loaded from a checkpoint.
/// What a synchronisation gave, somebody must have held before.
class StateLedger {
 public:
  /// Takes a `holds` line, which a worker writes before a synchronisation. Returns the disagreement, if there
  /// is one.
  std::optional<std::string> on_holds(const std::string& worker, const ReportLine& line);

  struct SyncNews {
    bool first = false;  ///< Nobody had reported this synchronisation before.
    std::optional<std::string> disagreement;
  };
  /// Takes a `sync` line.
  SyncNews on_sync(const std::string& worker, const ReportLine& line);

  /// Takes a `found` line: a content that was prefetched.
  std::optional<std::string> on_found(const std::string& worker, const ReportLine& line);

  /// Contents that synchronisations gave and that nobody has said to have held, a sentence for each. At the
  /// end, since a worker's words may be heard later than those of another one who got it from there.
  std::vector<std::string> unexplained() const;

  std::uint64_t syncs() const { return syncs_; }
  /// How many reports agreed with an earlier one of another worker.
  std::uint64_t confirmations() const { return confirmations_; }

 private:
  struct Entry {
    std::string worker;
    std::string facts;
  };
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
  using Book = std::map<Key, Entry>;
  std::optional<std::string> enter(Book& book, const Key& key, const Entry& entry, bool& first);
  std::optional<std::string> enter_content(const std::string& worker, const ReportLine& line, bool synced);
  std::uint64_t number_of(std::uint64_t lineage);

  struct Known {
    bool held = false;
    std::string synced_by;
  };
  std::map<std::uint64_t, std::uint64_t> lineages_;  // in the order in which they were heard of
  Book syncs_book_;                                  // (epoch, revision, 0)
  Book contents_;                                    // (lineage number, revision, step)
  std::map<Key, Known> known_;                       // the same
  std::uint64_t syncs_ = 0;
  std::uint64_t confirmations_ = 0;
};

}  // namespace hawser::churn
