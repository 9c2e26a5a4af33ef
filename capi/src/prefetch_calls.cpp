#include "boundary.hpp"
#include "handles.hpp"
#include "hawser_shared_state.h"

namespace capi = hawser::capi;

namespace {

constexpr std::uint32_t kBoundMsDefault = 600000;

hawser::Result<hawser::PrefetchArguments> prefetch_arguments_of(const hawserPrefetchOptions_t* callers) {
  const hawserPrefetchOptions_t defaults = HAWSER_PREFETCH_OPTIONS_INIT;
  const auto options = capi::read_struct(callers != nullptr ? *callers : defaults, "hawserPrefetchOptions_t");
  if (!options.ok()) return options.error();
  hawser::PrefetchArguments arguments;
  arguments.bound = hawser::milliseconds(options->bound_ms != 0 ? options->bound_ms : kBoundMsDefault);
  arguments.stream = reinterpret_cast<std::uintptr_t>(options->stream);
  if (options->progress != nullptr)
    arguments.progress = [call = options->progress, user = options->user](const hawser::SyncProgress& progress) {
      call(user, progress.bytes_done, progress.bytes_total);
    };
  return arguments;
}

}  // namespace

extern "C" {

hawserResult_t hawserSharedStateOffer(hawserComm_t comm, hawserSharedState_t state) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (state == nullptr) return capi::null_state();
    return capi::report(state->state->offer(*comm->communicator));
  });
}

hawserResult_t hawserSharedStateWithdraw(hawserSharedState_t state) {
  return capi::guarded([&] {
    if (state == nullptr) return capi::null_state();
    return capi::report(state->state->withdraw());
  });
}

hawserResult_t hawserCommConnectPrefetch(hawserComm_t comm, hawserSharedState_t state,
                                         const hawserPrefetchOptions_t* options, hawserPrefetchInfo_t* info) {
  return capi::guarded([&] {
    if (comm == nullptr) return capi::null_comm();
    if (state == nullptr) return capi::null_state();
    const auto arguments = prefetch_arguments_of(options);
    if (!arguments.ok()) return capi::report(arguments.error());
    hawserPrefetchInfo_t out = HAWSER_PREFETCH_INFO_INIT;
    if (info != nullptr) {
      const auto read = capi::read_struct(*info, "hawserPrefetchInfo_t", capi::Rest::waits_for_answer);
      if (!read.ok()) return capi::report(read.error());
      out = *read;
    }
    const hawser::PrefetchOutcome outcome = state->state->connect(*comm->communicator, *arguments);
    out.complete = outcome.complete ? 1 : 0;
    out.sources = outcome.sources;
    out.revision = outcome.revision;
    out.bytes_total = outcome.bytes_total;
    out.bytes_fetched = outcome.bytes_fetched;
    out.prefetch_us = capi::whole_microseconds(outcome.prefetch);
    out.join_us = capi::whole_microseconds(outcome.join);
    if (info != nullptr) capi::write_struct(out, *info);
    return outcome.error.status == hawser::Status::success ? hawserSuccess : capi::report(outcome.error);
  });
}

}  // extern "C"
