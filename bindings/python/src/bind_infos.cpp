#include <hawser.h>

#include <hawser/hawser.hpp>

#include "bind.hpp"
#include "record_class.hpp"

namespace nb = nanobind;

namespace hawser_python {

void bind_infos(nb::module_& module) {
  RecordClass<hawserCommInfo_t>(module, "CommInfo", "The view as this peer knows it.")
      .field("peer_id", &hawserCommInfo_t::peer_id, "This peer's id in the run.")
      .field("epoch", &hawserCommInfo_t::epoch, "Number of this group's view; grows with every change.")
      .field("world_size", &hawserCommInfo_t::world_size, "Admitted members over all groups.")
      .field("rank", &hawserCommInfo_t::rank, "Position of this peer in its group.")
      .field("group", &hawserCommInfo_t::group, "This peer's group number.")
      .field("group_size", &hawserCommInfo_t::group_size, "Members of this group.")
      .field("largest_group_size", &hawserCommInfo_t::largest_group_size, "Members of the largest group.")
      .field("group_count", &hawserCommInfo_t::group_count, "Groups that have members.")
      .done();

  RecordClass<hawser::Member>(module, "Member", "A member of this group.")
      .field("peer_id", &hawser::Member::peer_id, "Its id in the run.")
      .field("name", &hawser::Member::name, "For people.")
      .field("address", &hawser::Member::address, "Where other peers dial it.")
      .done();

  using hawser::Reduced;
  RecordClass<Reduced>(module, "ReduceInfo", "What a collective was.")
      .field("contributors", &Reduced::contributors,
             "Ids of the members whose inputs are in it, in rank order.")
      .field("world_size", &Reduced::world_size, "Number of contributors.")
      .field("rank", &Reduced::rank, "Of this peer among them.")
      .field("plan", &Reduced::plan, "Not AUTO: what was used.")
      .field("plan_reason", &Reduced::plan_reason, "Why, in words.")
      .field("epoch", &Reduced::epoch, "The view in which it ran.")
      .field("sequence", &Reduced::sequence, "The how-manieth on this tag in this view, from 0.")
      .field("bytes_sent", &Reduced::bytes_sent, "Payload, repeats after broken connections included.")
      .field("bytes_received", &Reduced::bytes_received, "Payload, likewise.")
      .field("wait_us", &Reduced::wait_us, "From the call until all whose data comes here had called.")
      .field("transfer_us", &Reduced::transfer_us, "From then to the own result being whole.")
      .field("reduce_us", &Reduced::reduce_us, "Of wait and transfer, spent computing.")
      .field("commit_us", &Reduced::commit_us, "From the own result being whole to the master's commit.")
      .field("predicted_us", &Reduced::predicted_us, "What the plan was expected to take; 0: nothing is known.")
      .done();

  using hawser::ReducedMany;
  RecordClass<ReducedMany>(module, "ManyInfo", "What the reduction of a list of tensors was.")
      .field("tensors", &ReducedMany::tensors, "That are reduced.")
      .field("collectives", &ReducedMany::collectives, "That it took.")
      .field("attempts", &ReducedMany::attempts,
             "1, and 1 more for each time that a loss ended some of them.")
      .field("world_size_least", &ReducedMany::world_size_least, "Contributors: the fewest.")
      .field("world_size_most", &ReducedMany::world_size_most, "Contributors: the most.")
      .field("bytes_sent", &ReducedMany::bytes_sent, "Payload.")
      .field("bytes_received", &ReducedMany::bytes_received, "Payload.")
      .field("total_us", &ReducedMany::total_us, "From the call to its end.")
      .done();

  RecordClass<hawser::SyncSource>(module, "SyncSource", "A member that content came from.")
      .field("peer_id", &hawser::SyncSource::peer_id, "Its id in the run.")
      .field("bytes", &hawser::SyncSource::bytes, "Of content that came from it.")
      .done();

  using hawser::SyncInfo;
  RecordClass<SyncInfo>(module, "SyncInfo", "What a synchronisation was.")
      .field("sources", &SyncInfo::sources, "Whom content came from.")
      .field("revision", &SyncInfo::revision, "Everybody's now.")
      .field("tensors", &SyncInfo::tensors, "Of the state.")
      .field("tensors_changed", &SyncInfo::tensors_changed, "Of which content was fetched here.")
      .field("bytes", &SyncInfo::bytes, "Of all tensors.")
      .field("bytes_fetched", &SyncInfo::bytes_fetched, "Of content that came here.")
      .field("bytes_again", &SyncInfo::bytes_again, "Fetched in vain.")
      .field("bytes_sent", &SyncInfo::bytes_sent, "Payload of all steps.")
      .field("bytes_received", &SyncInfo::bytes_received, "Payload of all steps.")
      .field("supporters", &SyncInfo::supporters, "Members that held the elected content before.")
      .field("world_size", &SyncInfo::world_size, "Members that took part.")
      .field("rank", &SyncInfo::rank, "Of this peer among them.")
      .field("attempts", &SyncInfo::attempts, "1, and 1 more for each loss on the way.")
      .field("epoch", &SyncInfo::epoch, "The view in which it ended.")
      .field("digest_us", &SyncInfo::digest_us, "Reading tensors.")
      .field("agree_us", &SyncInfo::agree_us, "Comparing and electing.")
      .field("transfer_us", &SyncInfo::transfer_us, "Until all members had everything.")
      .done();

  using Optimize = hawserOptimizeInfo_t;
  RecordClass<Optimize>(module, "OptimizeInfo", "What an optimize_topology came to, at this member.")
      .field("world_size", &Optimize::world_size, "Members that took part.")
      .field("rank", &Optimize::rank, "Of this peer among them.")
      .field("epoch", &Optimize::epoch, "The view in which it ran.")
      .field("pairs", &Optimize::pairs, "Other members with whom this one probed, in either direction.")
      .field("measured", &Optimize::measured, "Links from this member to another that were probed with success.")
      .field("lower_bounds", &Optimize::lower_bounds, "Of these, those that carry more than a probe could show.")
      .field("silent", &Optimize::silent, "Links over which nothing came through in time: still unknown.")
      .field("bytes_sent", &Optimize::bytes_sent, "Of probes.")
      .field("bytes_received", &Optimize::bytes_received, "Of probes.")
      .field("wait_us", &Optimize::wait_us, "From the call until all members had called.")
      .field("total_us", &Optimize::total_us, "From the call to its end.")
      .done();

  using Prefetch = hawserPrefetchInfo_t;
  RecordClass<Prefetch>(module, "PrefetchInfo", "What was fetched before joining.")
      .property(
          "complete", [](const Prefetch& info) { return info.complete != 0; },
          "All of the offered revision is here.")
      .field("sources", &Prefetch::sources, "Members that content came from.")
      .field("revision", &Prefetch::revision, "Of what was fetched.")
      .field("bytes_total", &Prefetch::bytes_total, "Of the tensors.")
      .field("bytes_fetched", &Prefetch::bytes_fetched, "That came here.")
      .field("prefetch_us", &Prefetch::prefetch_us, "Until the fetching was over.")
      .field("join_us", &Prefetch::join_us, "From then to the admission.")
      .done();
}

}  // namespace hawser_python
