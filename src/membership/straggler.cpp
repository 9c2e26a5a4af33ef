#include "membership/straggler.hpp"

#include <iterator>

namespace hawser {

void SlowLinks::count(std::uint32_t sender, const SlowLink& link, bool is_slow) {
  for (const std::uint32_t rank : {sender, link.to}) {
    End& end = ends_[rank];
    by_links_.erase({end.links, rank});
    end.links += is_slow ? 1 : -1;
    end.percents += is_slow ? link.percent : -std::uint64_t{link.percent};
    if (end.links > 0)
      by_links_.insert({end.links, rank});
    else
      ends_.erase(rank);
  }
  links_ += is_slow ? 1 : -1;
}

void SlowLinks::take_back(std::uint32_t sender) {
  const auto found = reports_.find(sender);
  if (found == reports_.end()) return;
  for (const SlowLink& link : found->second.links) {
    count(sender, link, false);
    incoming_.erase({link.to, sender});
  }
  by_age_.erase({found->second.heard_at, sender});
  reports_.erase(found);
}

void SlowLinks::tell(Instant now, std::uint32_t sender, std::vector<SlowLink> links) {
  take_back(sender);
  if (links.empty()) return;
  for (const SlowLink& link : links) {
    count(sender, link, true);
    incoming_.insert({link.to, sender});
  }
  by_age_.insert({now, sender});
  reports_.emplace(sender, Report{.heard_at = now, .links = std::move(links)});
}

void SlowLinks::forget(std::uint32_t rank) {
  take_back(rank);
  for (auto next = incoming_.lower_bound({rank, 0}); next != incoming_.end() && next->first == rank;) {
    const std::uint32_t sender = next->second;
    next = incoming_.erase(next);
    Report& report = reports_.at(sender);
    std::erase_if(report.links, [&](const SlowLink& link) {
      if (link.to != rank) return false;
      count(sender, link, false);
      return true;
    });
    if (report.links.empty()) take_back(sender);
  }
}

void SlowLinks::forget_older(Instant than) {
  while (!by_age_.empty() && by_age_.begin()->first < than) take_back(by_age_.begin()->second);
}

std::optional<Straggler> SlowLinks::straggler() const {
  if (links_ == 0) return std::nullopt;
  const auto worst = by_links_.rbegin();
  const auto next = std::next(worst);
  if (std::size_t{worst->first} * 4 < links_ * 3 || (next != by_links_.rend() && next->first == worst->first))
    return std::nullopt;
  if (!has_two_ends(worst->second)) return std::nullopt;
  const End& end = ends_.at(worst->second);
  return Straggler{.rank = worst->second, .percent = static_cast<std::uint32_t>(end.percents / end.links)};
}

/// Looks no further than to the second one.
bool SlowLinks::has_two_ends(std::uint32_t rank) const {
  std::optional<std::uint32_t> first;
  const auto is_another = [&](std::uint32_t other) {
    if (!first) first = other;
    return *first != other;
  };
  if (const auto report = reports_.find(rank); report != reports_.end())
    for (const SlowLink& link : report->second.links)
      if (is_another(link.to)) return true;
  for (auto next = incoming_.lower_bound({rank, 0}); next != incoming_.end() && next->first == rank; ++next)
    if (is_another(next->second)) return true;
  return false;
}

std::vector<std::uint32_t> SlowLinks::slow_ends(std::uint32_t rank) const {
  std::set<std::uint32_t> ends;
  if (const auto report = reports_.find(rank); report != reports_.end())
    for (const SlowLink& link : report->second.links) ends.insert(link.to);
  for (auto next = incoming_.lower_bound({rank, 0}); next != incoming_.end() && next->first == rank; ++next)
    ends.insert(next->second);
  return {ends.begin(), ends.end()};
}

}  // namespace hawser
