#include "membership/view.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/random.hpp"

namespace hawser {
namespace {

/// Mixes numbers and texts into 64 bits, each dependent on all before it.
class Mixer {
 public:
  void add(std::uint64_t number) { state_ = Random(state_ ^ number).next(); }
  void add(const std::string& text) {
    add(text.size());
    for (const char c : text) add(static_cast<unsigned char>(c));
  }
  std::uint64_t mixed() const { return state_; }

 private:
  std::uint64_t state_ = 0;
};

}  // namespace

std::uint64_t fingerprint(const View& view) {
  Mixer mixer;
  mixer.add(view.epoch.value);
  mixer.add(view.id.value);
  mixer.add(view.group);
  mixer.add(view.link_secret);
  for (const Member& member : view.members) {
    mixer.add(member.id.value);
    mixer.add(member.name);
    mixer.add(member.address.host);
    mixer.add(member.address.port);
    mixer.add(member.machine);
    mixer.add(std::string(member.key.bytes.begin(), member.key.bytes.end()));
    if (member.is_relay) mixer.add(member.relay_bytes_per_second + 1);
  }
  return mixer.mixed();
}

bool relays_come_last(const std::vector<Member>& members) {
  return std::is_partitioned(members.begin(), members.end(), [](const Member& member) { return !member.is_relay; });
}

void put_relays_last(std::vector<Member>& members) {
  std::stable_partition(members.begin(), members.end(), [](const Member& member) { return !member.is_relay; });
}

MemberChange whole_list(std::vector<Member> members) {
  return {.whole = true, .came = std::move(members), .gone = {}};
}

MemberChange change_between(const std::vector<Member>& before, const std::vector<Member>& after,
                            const std::unordered_set<PeerId>& anew) {
  MemberChange change;
  auto kept = after.begin();
  for (const Member& member : before) {
    if (kept != after.end() && kept->id == member.id && !anew.contains(member.id))
      ++kept;
    else
      change.gone.push_back(member.id);
  }
  change.came.assign(kept, after.end());
  return change;
}

bool apply(const MemberChange& change, std::vector<Member>& members) {
  const std::unordered_set<PeerId> gone(change.gone.begin(), change.gone.end());
  std::vector<Member> changed;
  if (!change.whole)
    for (const Member& member : members)
      if (!gone.contains(member.id)) changed.push_back(member);
  const std::size_t kept = changed.size();
  if (!change.whole && (gone.size() != change.gone.size() || kept + gone.size() != members.size())) return false;
  changed.insert(changed.end(), change.came.begin(), change.came.end());
  std::unordered_set<PeerId> ids;
  for (const Member& member : changed)
    if (!ids.insert(member.id).second) return false;
  members = std::move(changed);
  return true;
}

}  // namespace hawser
