#pragma once

#include <vector>

#include "base/link_layout.hpp"
#include "membership/view.hpp"

namespace hawser {

/// In a group that has not all links a newcomer's place, and so its neighbours, depend on who comes in before it. It
/// proves itself by links to its sponsors instead: members that its id and theirs determine (rendezvous hashing, Thaler
/// and Ravishankar 1998), whoever else comes and goes. They dial it, and it does not dial them: a member that nobody
/// can dial may have no link to the next one of these.
std::vector<Member> sponsors_of(const LinkLayout& layout, const std::vector<Member>& members, PeerId newcomer);
/// Whether this member is one of them.
bool is_sponsor(const LinkLayout& layout, const std::vector<Member>& members, PeerId member, PeerId newcomer);

}  // namespace hawser
