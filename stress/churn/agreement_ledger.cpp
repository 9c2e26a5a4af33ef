#include "agreement_ledger.hpp"

#include <algorithm>
#include <utility>

namespace hawser::churn {
namespace {

// A worker lags behind the others by the silence and stall bounds at most, some thousand collectives.
constexpr std::size_t kEntriesKept = 50'000;

std::string facts_of(const ReportLine& line, std::initializer_list<std::string_view> keys) {
  std::string facts;
  for (const std::string_view key : keys) facts.append(key).append("=").append(line.get(key)).append(" ");
  return facts;
}

}  // namespace

std::optional<std::string> AgreementLedger::enter(std::map<Key, Entry>& book, const Key& key, Entry entry,
                                                  bool& first) {
  first = false;
  if (book.size() == kEntriesKept && key < book.begin()->first)
    return std::nullopt;  // older than what is kept
  const auto [place, inserted] = book.try_emplace(key, std::move(entry));
  first = inserted;
  if (inserted) {
    if (book.size() > kEntriesKept) book.erase(book.begin());
    return std::nullopt;
  }
  if (place->second.facts == entry.facts) {
    ++confirmations_;
    return std::nullopt;
  }
  return place->second.worker + " says " + place->second.facts + "but " + entry.worker + " says " +
         entry.facts;
}

std::optional<std::string> AgreementLedger::on_reduce(const std::string& worker, const ReportLine& line) {
  const auto epoch = line.number("epoch");
  const auto tag = line.number("tag");
  const auto sequence = line.number("seq");
  if (!epoch || !tag || !sequence) return worker + " reported a reduce without epoch, tag or sequence";
  bool first = false;
  auto disagreement = enter(reduces_, {*epoch, *tag, *sequence},
                            {worker, facts_of(line, {"phase", "count", "plan", "members", "digest"})}, first);
  if (first) ++collectives_;
  if (!disagreement) return std::nullopt;
  return "collective " + std::to_string(*sequence) + " on tag " + std::to_string(*tag) + " in epoch " +
         std::to_string(*epoch) + ": " + *disagreement;
}

AgreementLedger::RoundNews AgreementLedger::on_round(const std::string& worker, const ReportLine& line) {
  RoundNews news;
  const auto lineage = line.number("lineage");
  const auto step = line.number("step");
  if (!lineage || !step) {
    news.disagreement = worker + " reported a round without lineage or step";
    return news;
  }
  auto known = std::find(lineages_.begin(), lineages_.end(), *lineage);
  if (known == lineages_.end()) {
    news.new_lineage = true;
    known = lineages_.insert(lineages_.end(), *lineage);
  }
  const auto number = static_cast<std::uint64_t>(known - lineages_.begin());
  const auto disagreement =
      enter(rounds_, {number, *step, 0}, {worker, facts_of(line, {"epoch", "seq", "members", "digest"})},
            news.first);
  if (news.first) ++steps_;
  if (disagreement) news.disagreement = "step " + std::to_string(*step) + ": " + *disagreement;
  return news;
}

}  // namespace hawser::churn
