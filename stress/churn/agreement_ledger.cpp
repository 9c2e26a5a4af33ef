#include "agreement_ledger.hpp"

#include <algorithm>
#include <utility>

namespace hawser::churn {
namespace {

// A worker lags behind the others by the silence and stall bounds at most, some thousand collectives.
constexpr std::size_t kEntriesKept = 50'000;
constexpr std::uint64_t kWholeList = UINT64_MAX;

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

AgreementLedger::CollectiveNews AgreementLedger::on_reduce(const std::string& worker,
                                                           const ReportLine& line) {
  const auto epoch = line.number("epoch");
  const auto tag = line.number("tag");
  const auto sequence = line.number("seq");
  if (!epoch || !tag || !sequence)
    return {.disagreement = worker + " reported a reduce without epoch, tag or sequence"};
  CollectiveNews news;
  const auto disagreement =
      enter(reduces_, {*epoch, *tag, *sequence},
            {worker,
             facts_of(line, {"phase", "count", "kind", "type", "op", "quant", "plan", "members", "digest"})},
            news.first);
  if (news.first) ++collectives_;
  if (disagreement) {
    news.disagreement = "collective " + std::to_string(*sequence) + " on tag " + std::to_string(*tag) +
                        " in epoch " + std::to_string(*epoch) + ": " + *disagreement;
  }
  return news;
}

std::optional<std::string> AgreementLedger::on_many(const std::string& worker, const ReportLine& line) {
  const auto known = std::find(lineages_.begin(), lineages_.end(), line.number("lineage").value_or(0));
  const auto step = line.number("step");
  const std::string_view done = line.get("done");
  const std::vector<std::uint64_t> digests = line.list("digests");
  if (!step || digests.size() != done.size())
    return worker + " reported a list without step, results or digests";
  if (known == lineages_.end()) return worker + " reported a list of an unknown lineage";
  const auto number = static_cast<std::uint64_t>(known - lineages_.begin());
  const std::string where = "list of step " + std::to_string(*step) + ": ";
  bool first = false;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (done[i] != '1') continue;
    const auto disagreement =
        enter(tensors_, {number, *step, i}, {worker, "digest=" + std::to_string(digests[i]) + " "}, first);
    if (disagreement) return where + "tensor " + std::to_string(i) + ": " + *disagreement;
  }
  if (line.number("agreed") != 1u) return std::nullopt;
  const auto disagreement =
      enter(tensors_, {number, *step, kWholeList}, {worker, facts_of(line, {"done"})}, first);
  return disagreement ? std::optional(where + *disagreement) : std::nullopt;
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
