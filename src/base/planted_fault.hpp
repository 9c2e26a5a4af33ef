#pragma once

#include <string_view>
#include <utility>

namespace hawser {

/// Bugs planted on purpose, to prove that the simulator finds them. All builds have them, and only plant() turns one
/// on; nothing that a user can reach calls it. So the code that is proven to be checked is the code that ships.
enum class PlantedFault {
  none,
  lost_abort,            ///< A peer forgets to abort a collective when a view starts.
  double_counted_chunk,  ///< A repeated chunk is added again.
  stale_commit,          ///< A report of an older view counts towards a commit in the view in force.
  torn_slice,            ///< A slice that was half received when a transfer broke off counts as untouched.
  lingering_member,  ///< Of several members that go in one change of a view a peer keeps the last, and does not notice.
  hasty_offer,       ///< A shared state is offered as it is, synchronised or not.
  careless_guest,    ///< A slice that is prefetched is taken with whatever digest it has.
  settled_residual,  ///< Error feedback takes what an aborted collective has prepared for settled.
  lone_survivor,     ///< When one of a party is lost the others stay.
  // One for each rule of what strangers and bad members may cost (docs/simulator.md).
  unproven_newcomer,  ///< Whoever waits is admitted, with links or without.
  lost_connection,    ///< A member whose connection to the master breaks is lost at once.
  fatal_message,      ///< A message that does not fit is a bug of the master, and not of its sender.
  borrowed_name,      ///< Whoever comes back under a member's id is that member, whatever its token.
  crowded_source,     ///< As many newcomers as like visit from one address.
  trusted_payload,    ///< Whoever says that a payload needs no checksum is believed.
  open_ban,           ///< Whoever has a key is heard, banned or not.
  misplaced_contribution,  ///< What a member has signed of a contribution is kept as another one's.
  // Of update-topology calls that are over before they are called.
  forgotten_round,   ///< A member that resumes does not tell that its next update-topology is over.
  starved_newcomer,  ///< The next update-topology is over for the members, also if somebody waits for admission.
  // Of several masters.
  forgotten_term,  ///< A member hears a master that it has heard another one supersede.
  lone_master,     ///< A master goes on with however few members of its view it has left.
  eager_standby,   ///< A master that stands by takes a run over with whichever of its members have come.
  late_lease,      ///< A lease is held from the answer to its renewal on, and not from the request.
  any_key,            ///< A peer is known by its token alone, whatever its key.
  // Of links.
  torn_successor,  ///< The late break of a connection that was replaced is taken for that of its successor.
  nobody_dials,    ///< When a link has broken altogether, each side waits for the other's dial.
  trusted_way,     ///< A connection that stands is relied on, also if nothing arrives on it any more.
  ignored_detour,  ///< The first member plans as if all pairs had ways of their own.
  open_door,       ///< A link greeting is accepted whatever secret it shows.
  any_link_key,    ///< A link greeting is accepted whatever key its connection has proven.
  lonely_receiver,  ///< A transfer makes do with the links of neighbours, be there a way to a holder or not.
  // Of works on payloads, and their order.
  unawaited_work,        ///< A call ends, and its caller has its memory back, while works on that are under way.
  early_landing,         ///< A result is written over the input before the work that saves the input is done.
  forgotten_arrival,     ///< What came for a chunk while a work on it was under way is not added.
  hasty_end,             ///< The end of a call is told while works still put its memory in order.
  lost_input,            ///< After an exception the input of a call that has not been told of its end stays changed.
  hasty_guest,           ///< A guest's connect call ends while works on what it has prefetched are under way.
  // Of relays.
  forgetful_relay,  ///< Calls that the loss of a relay undid do not begin again, and nobody is told.
  doubling_relay,   ///< A relay that begins a sum with two of others takes the first of them twice.
  unseen_view,      ///< A peer judges by the views it has seen whether nothing but relays has gone.
  // Of messages.
  overtaking_message,  ///< Messages are received in the order in which their frames come.
  forgotten_sender,    ///< What a member had sent is forgotten when it goes.
  doubled_message,     ///< A part of a message that comes again counts again.
  deaf_master,         ///< A collective that a member gives up goes on.
};

/// By the names under which they are planted.
inline constexpr std::pair<std::string_view, PlantedFault> kPlantedFaults[] = {
    {"lost_abort", PlantedFault::lost_abort},
    {"double_counted_chunk", PlantedFault::double_counted_chunk},
    {"stale_commit", PlantedFault::stale_commit},
    {"torn_slice", PlantedFault::torn_slice},
    {"lingering_member", PlantedFault::lingering_member},
    {"hasty_offer", PlantedFault::hasty_offer},
    {"careless_guest", PlantedFault::careless_guest},
    {"settled_residual", PlantedFault::settled_residual},
    {"lone_survivor", PlantedFault::lone_survivor},
    {"unproven_newcomer", PlantedFault::unproven_newcomer},
    {"lost_connection", PlantedFault::lost_connection},
    {"fatal_message", PlantedFault::fatal_message},
    {"borrowed_name", PlantedFault::borrowed_name},
    {"crowded_source", PlantedFault::crowded_source},
    {"trusted_payload", PlantedFault::trusted_payload},
    {"open_ban", PlantedFault::open_ban},
    {"misplaced_contribution", PlantedFault::misplaced_contribution},
    {"forgotten_round", PlantedFault::forgotten_round},
    {"starved_newcomer", PlantedFault::starved_newcomer},
    {"any_key", PlantedFault::any_key},
    {"forgotten_term", PlantedFault::forgotten_term},
    {"lone_master", PlantedFault::lone_master},
    {"eager_standby", PlantedFault::eager_standby},
    {"late_lease", PlantedFault::late_lease},
    {"torn_successor", PlantedFault::torn_successor},
    {"nobody_dials", PlantedFault::nobody_dials},
    {"trusted_way", PlantedFault::trusted_way},
    {"ignored_detour", PlantedFault::ignored_detour},
    {"open_door", PlantedFault::open_door},
    {"any_link_key", PlantedFault::any_link_key},
    {"lonely_receiver", PlantedFault::lonely_receiver},
    {"unawaited_work", PlantedFault::unawaited_work},
    {"early_landing", PlantedFault::early_landing},
    {"forgotten_arrival", PlantedFault::forgotten_arrival},
    {"hasty_end", PlantedFault::hasty_end},
    {"lost_input", PlantedFault::lost_input},
    {"forgetful_relay", PlantedFault::forgetful_relay},
    {"doubling_relay", PlantedFault::doubling_relay},
    {"unseen_view", PlantedFault::unseen_view},
    {"overtaking_message", PlantedFault::overtaking_message},
    {"forgotten_sender", PlantedFault::forgotten_sender},
    {"doubled_message", PlantedFault::doubled_message},
    {"deaf_master", PlantedFault::deaf_master},
    {"hasty_guest", PlantedFault::hasty_guest},
};

namespace detail {
extern PlantedFault planted_fault;
}  // namespace detail

/// Plants a fault for the rest of the process, in place of the one before. Before any other thread runs.
void plant(PlantedFault fault);
inline bool planted(PlantedFault fault) { return detail::planted_fault == fault; }

}  // namespace hawser
