#include "boundary.hpp"
#include "handles.hpp"

namespace capi = hawser::capi;
using hawser::Result;

namespace {

struct Wanted {
  hawser::ProbeBounds bounds;
  hawser::ProbeWishes wishes;
  hawserOptimizeCallback_t progress = nullptr;
  void* user = nullptr;
};

Result<Wanted> wanted_of(const hawserOptimizeOptions_t* callers) {
  Wanted wanted;
  if (callers == nullptr) return wanted;
  const auto options = capi::read_struct(*callers, "hawserOptimizeOptions_t");
  if (!options.ok()) return options.error();
  if (options->all_pairs > 1) return capi::invalid_argument("all_pairs is 0 or 1");
  wanted.wishes.all_pairs = options->all_pairs == 1;
  if (options->age_ms_max != 0) wanted.wishes.age_max = hawser::milliseconds(options->age_ms_max);
  wanted.bounds.time_max = hawser::milliseconds(options->probe_ms_max);
  if (options->total_ms_max != 0) wanted.bounds.total = hawser::milliseconds(options->total_ms_max);
  if (options->probe_bytes_max != 0) wanted.bounds.bytes_max = options->probe_bytes_max;
  wanted.progress = options->progress;
  wanted.user = options->progress_user;
  return wanted;
}

hawserOptimizeInfo_t shown_probing(const hawser::OptimizeInfo& from) {
  hawserOptimizeInfo_t info = HAWSER_OPTIMIZE_INFO_INIT;
  info.epoch = from.collective.key.epoch.value;
  info.bytes_sent = from.collective.bytes_sent;
  info.bytes_received = from.collective.bytes_received;
  info.total_us = capi::whole_microseconds(from.total);
  info.wait_us = capi::whole_microseconds(from.collective.wait);
  info.world_size = static_cast<std::uint32_t>(from.collective.contributors.size());
  info.rank = from.collective.rank;
  info.pairs = from.pairs;
  info.measured = from.measured;
  info.lower_bounds = from.lower_bounds;
  info.silent = from.silent;
  return info;
}

}  // namespace

extern "C" {

hawserResult_t hawserCommOptimizeTopology(hawserComm_t comm, const hawserOptimizeOptions_t* options,
                                          hawserOptimizeInfo_t* info) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    const auto wanted = wanted_of(options);
    if (!wanted.ok()) return capi::report(wanted.error());
    if (info != nullptr)
      if (const auto read = capi::read_struct(*info, "hawserOptimizeInfo_t", capi::Rest::waits_for_answer); !read.ok())
        return capi::report(read.error());
    std::function<void(std::uint32_t, std::uint32_t)> progress;
    if (wanted->progress != nullptr)
      progress = [&](std::uint32_t done, std::uint32_t total) { wanted->progress(wanted->user, done, total); };
    const auto ended = comm->communicator->optimize_topology(wanted->bounds, wanted->wishes, progress);
    if (!ended.ok()) return capi::report(ended.error());
    if (info != nullptr) capi::write_struct(shown_probing(*ended), *info);
    return hawserSuccess;
  });
}

}  // extern "C"
