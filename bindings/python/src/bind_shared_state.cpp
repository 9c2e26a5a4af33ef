#include <hawser_shared_state.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <hawser/shared_state.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind.hpp"
#include "comm_handle.hpp"
#include "state_handle.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

/// What a call keeps that uses the state, and a caller who may have left.
std::shared_ptr<Kept> keep(const nb::object& state, const StateHandle::Use& use) {
  auto kept = std::make_shared<Kept>();
  kept->objects.push_back(state);
  kept->token = use.token;
  return kept;
}

struct SyncRoom {
  std::vector<hawserSyncSource_t> sources = std::vector<hawserSyncSource_t>(kMembersMax);
  hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
};

hawser::SyncInfo sync(nb::object self, CommHandle& comm, hawserSyncStrategy_t strategy, std::uint64_t tag,
                      bool compress, bool only_marked, bool keep_old_bytes, std::uint32_t threads,
                      nb::object progress) {
  const StateHandle::Use use = nb::cast<StateHandle&>(self).use();
  hawserSyncOptions_t options = HAWSER_SYNC_OPTIONS_INIT;
  options.strategy = strategy;
  options.tag = tag;
  options.compress = compress ? 1 : 0;
  options.only_marked = only_marked ? 1 : 0;
  options.keep_old_bytes = keep_old_bytes ? 1 : 0;
  options.threads = threads;
  const auto room = std::make_shared<SyncRoom>();
  room->info.sources = room->sources.data();
  room->info.source_capacity = kMembersMax;
  const bool has_progress = !progress.is_none();
  try {
    comm.wait_for(
        [state = use.handle, options, room, has_progress](hawserComm_t handle, HelperCall* call) mutable {
          if (has_progress) {
            options.progress = &HelperCall::on_progress;
            options.user = call;
          }
          return hawserSharedStateSync(handle, state, &options, &room->info);
        },
        keep(self, use), progress);
  } catch (nb::python_error& error) {
    if (nb::hasattr(error.value(), "incomplete"))
      error.value().attr("incomplete") = room->info.incomplete != 0;
    throw;
  }
  return hawser::detail::sync_info(room->info, room->sources);
}

hawserPrefetchInfo_t connect_prefetch(nb::object self, CommHandle& comm, std::uint32_t bound_ms,
                                      nb::object progress) {
  const StateHandle::Use use = nb::cast<StateHandle&>(self).use();
  hawserPrefetchOptions_t options = HAWSER_PREFETCH_OPTIONS_INIT;
  options.bound_ms = bound_ms;
  const auto info = std::make_shared<hawserPrefetchInfo_t>();
  *info = HAWSER_PREFETCH_INFO_INIT;
  const bool has_progress = !progress.is_none();
  comm.wait_for(
      [state = use.handle, options, info, has_progress](hawserComm_t handle, HelperCall* call) mutable {
        if (has_progress) {
          options.progress = &HelperCall::on_progress;
          options.user = call;
        }
        return hawserCommConnectPrefetch(handle, state, &options, info.get());
      },
      keep(self, use), progress);
  return *info;
}

std::uint64_t revision(StateHandle& self) {
  std::uint64_t revision = 0;
  self.run([&](hawserSharedState_t state) { return hawserSharedStateGetRevision(state, &revision); });
  return revision;
}

std::string digest(StateHandle& self) {
  char text[HAWSER_DIGEST_BYTES] = "";
  self.run([&](hawserSharedState_t state) { return hawserSharedStateGetDigest(state, text); });
  return text;
}

std::uint64_t load(StateHandle& self, const std::string& path) {
  std::uint64_t revision = 0;
  self.run([&](hawserSharedState_t state) { return hawserSharedStateLoad(state, path.c_str(), &revision); });
  return revision;
}

void init(StateHandle* self, const std::vector<std::string>& names, const std::vector<nb::object>& tensors,
          const std::vector<bool>& allow_content_inequality) {
  std::vector<StateHandle::Entry> entries;
  for (std::size_t i = 0; i < names.size(); ++i)
    entries.push_back({.name = names[i],
                       .tensor = tensors.at(i),
                       .allow_content_inequality = allow_content_inequality.at(i)});
  new (self) StateHandle(entries);
}

}  // namespace

void bind_shared_state(nb::module_& module) {
  nb::class_<CommHandle>(module, "CommHandle");  // its functions: bind_communicator()
  nb::class_<StateHandle>(module, "StateHandle")
      .def("__init__", &init, nb::arg("names"), nb::arg("tensors"), nb::arg("allow_content_inequality"))
      .def("sync", &sync, nb::arg("comm"), nb::arg("strategy"), nb::arg("tag"), nb::arg("compress"),
           nb::arg("only_marked"), nb::arg("keep_old_bytes"), nb::arg("threads"), nb::arg("progress").none())
      .def("connect_prefetch", &connect_prefetch, nb::arg("comm"), nb::arg("bound_ms"),
           nb::arg("progress").none())
      .def("revision", &revision)
      .def(
          "set_revision",
          [](StateHandle& self, std::uint64_t revision) {
            self.run(
                [&](hawserSharedState_t state) { return hawserSharedStateSetRevision(state, revision); });
          },
          nb::arg("revision"))
      .def(
          "mark_changed",
          [](StateHandle& self, const std::optional<std::string>& name) {
            self.run([&](hawserSharedState_t state) {
              return hawserSharedStateMarkChanged(state, name ? name->c_str() : nullptr);
            });
          },
          nb::arg("name").none())
      .def("digest", &digest)
      .def(
          "save",
          [](StateHandle& self, const std::string& path) {
            self.run([&](hawserSharedState_t state) { return hawserSharedStateSave(state, path.c_str()); });
          },
          nb::arg("path"))
      .def("load", &load, nb::arg("path"))
      .def(
          "offer",
          [](StateHandle& self, CommHandle& comm) {
            const StateHandle::Use use = self.use();
            comm.look([&](hawserComm_t handle) { return hawserSharedStateOffer(handle, use.handle); });
          },
          nb::arg("comm"))
      .def("withdraw", [](StateHandle& self) { self.run(&hawserSharedStateWithdraw); })
      .def("close", &StateHandle::close);
}

}  // namespace hawser_python
