#include "sim/lease_service.hpp"

#include <utility>

namespace hawser::sim {

std::optional<LeaseAnswer> LeaseService::serve(Instant now, const LeaseRequest& request, Random& random) {
  if (!stays_ && random.chance(1, 200)) away_until_ = now + milliseconds(random.between(100, 8000));
  if (!stays_ && now < away_until_) return std::nullopt;
  std::erase_if(lives_, [&](const auto& entry) { return now >= entry.second; });
  if (holder_ && !lives_.contains(holder_->id)) holder_.reset();
  LeaseAnswer answer{.number = request.number, .is_answered = true};
  switch (request.kind) {
    case LeaseRequest::Kind::look: answer.holder = holder_; break;
    case LeaseRequest::Kind::grant:
      answer.id = ++ids_;
      answer.ttl = request.ttl;
      lives_[answer.id] = now + request.ttl;
      break;
    case LeaseRequest::Kind::take:
      if (!lives_.contains(request.id)) return std::nullopt;
      // Others use the service, too.
      if (!holder_)
        holder_ = LeaseHolder{.revision = revisions_ += 1 + random.below(1000), .id = request.id, .name = "a master"};
      answer.holder = holder_;
      break;
    case LeaseRequest::Kind::renew:
      if (const auto life = lives_.find(request.id); life != lives_.end()) {
        answer.ttl = LeaseBounds{}.ttl;
        life->second = now + answer.ttl;
      }
      break;
    case LeaseRequest::Kind::revoke:
      lives_.erase(request.id);
      if (holder_ && holder_->id == request.id) holder_.reset();
      break;
  }
  return answer;
}

}  // namespace hawser::sim
