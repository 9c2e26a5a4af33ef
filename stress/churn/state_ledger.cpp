#include "state_ledger.hpp"

#include <string_view>

namespace hawser::churn {
namespace {

constexpr std::size_t kEntriesKept = 50'000;

std::string facts_of(const ReportLine& line, std::initializer_list<std::string_view> keys) {
  std::string facts;
  for (const std::string_view key : keys) facts.append(key).append("=").append(line.get(key)).append(" ");
  return facts;
}

}  // namespace

std::uint64_t StateLedger::number_of(std::uint64_t lineage) {
  return lineages_.try_emplace(lineage, lineages_.size()).first->second;
}

std::optional<std::string> StateLedger::enter(Book& book, const Key& key, const Entry& entry, bool& first) {
  first = false;
  if (book.size() == kEntriesKept && key < book.begin()->first)
    return std::nullopt;  // older than what is kept
  const auto [place, inserted] = book.try_emplace(key, entry);
  first = inserted;
  if (inserted) {
    if (book.size() > kEntriesKept) book.erase(book.begin());
    return std::nullopt;
  }
  if (place->second.facts == entry.facts) {
    if (place->second.worker != entry.worker) ++confirmations_;
    return std::nullopt;
  }
  return place->second.worker + " says " + place->second.facts + "but " + entry.worker + " says " +
         entry.facts;
}

std::optional<std::string> StateLedger::enter_content(const std::string& worker, const ReportLine& line,
                                                      bool synced) {
  const auto lineage = line.number("lineage");
  const auto revision = line.number("revision");
  const auto step = line.number("step");
  if (!lineage || !revision || !step || !line.number("content"))
    return worker + " reported a state without lineage, revision, step or content";
  const Key key{number_of(*lineage), *revision, *step};
  bool first = false;
  const auto disagreement = enter(contents_, key, {worker, facts_of(line, {"content"})}, first);
  if (!contents_.contains(key)) return std::nullopt;
  Known& known = known_[key];
  if (synced) {
    known.synced_by = worker;
  } else if (line.word() == "holds") {
    known.held = true;
  }
  while (known_.size() > kEntriesKept) known_.erase(known_.begin());
  if (!disagreement) return std::nullopt;
  return "revision " + std::to_string(*revision) + " at step " + std::to_string(*step) + ": " + *disagreement;
}

std::optional<std::string> StateLedger::on_holds(const std::string& worker, const ReportLine& line) {
  return enter_content(worker, line, false);
}

std::optional<std::string> StateLedger::on_found(const std::string& worker, const ReportLine& line) {
  return enter_content(worker, line, false);
}

StateLedger::SyncNews StateLedger::on_sync(const std::string& worker, const ReportLine& line) {
  const auto epoch = line.number("epoch");
  const auto revision = line.number("revision");
  if (!epoch || !revision || line.get("digest").empty())
    return {.disagreement = worker + " reported a synchronisation without epoch, revision or digest"};
  SyncNews news;
  const auto disagreement =
      enter(syncs_book_, {*epoch, *revision, 0},
            {worker, facts_of(line, {"lineage", "step", "digest", "content", "world"})}, news.first);
  if (news.first) ++syncs_;
  if (disagreement) {
    news.disagreement = "synchronisation in epoch " + std::to_string(*epoch) + " to revision " +
                        std::to_string(*revision) + ": " + *disagreement;
  }
  const auto other_content = enter_content(worker, line, true);
  if (!news.disagreement) news.disagreement = other_content;
  return news;
}

std::vector<std::string> StateLedger::unexplained() const {
  std::vector<std::string> sentences;
  for (const auto& [key, known] : known_) {
    if (known.held || known.synced_by.empty()) continue;
    sentences.push_back(known.synced_by + " came to revision " + std::to_string(std::get<1>(key)) +
                        " at step " + std::to_string(std::get<2>(key)) + ", which nobody had held before");
  }
  return sentences;
}

}  // namespace hawser::churn
