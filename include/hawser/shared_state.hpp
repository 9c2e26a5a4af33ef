/// Shared state in C++: part of hawser/hawser.hpp. hawser_shared_state.h has the contract.
///
///     auto state = hawser::SharedState::create({{"weights", weights}, {"momentum", momentum}});
///     auto synced = state->sync(*comm);
///     if (synced) std::cout << synced->bytes_fetched << " bytes came\n";
#pragma once

#include <hawser.h>
#include <hawser/collectives.hpp>
#include <hawser/communicator.hpp>
#include <hawser/result.hpp>
#include <hawser_shared_state.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hawser {
inline namespace v0 {

/// A tensor and its name. The values must stay where they are as long as the shared state lives. They may be a span
/// over memory of a device, which nothing here touches.
class NamedTensor {
 public:
  template <MutableElements Values>
    requires std::ranges::borrowed_range<Values>
  NamedTensor(std::string name, Values&& values, bool allow_content_inequality = false)
      : name_(std::move(name)),
        tensor_{nullptr,
                std::ranges::data(values),
                std::ranges::size(values),
                data_type<ElementOf<Values>>(),
                hawserMemoryByAddress,
                allow_content_inequality ? 1U : 0U} {}

  /// Its name points into this object.
  hawserStateTensor_t c_tensor() const {
    hawserStateTensor_t tensor = tensor_;
    tensor.name = name_.c_str();
    return tensor;
  }

 private:
  std::string name_;
  hawserStateTensor_t tensor_;
};

/// The fields of hawserSyncOptions_t, which explains them.
struct SyncOptions {
  hawserSyncStrategy_t strategy = hawserSyncEnforcePopular;
  std::uint64_t tag = 0;
  bool compress = false;
  bool only_marked = false;
  bool keep_old_bytes = false;
  std::uint32_t threads = 0;  ///< 0: one for each core.
  void* stream = nullptr;     ///< Of tensors on devices.
  /// Called by the thread that waits. sync() throws what it has thrown, after its own end.
  std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress = {};
};

struct SyncSource {
  std::uint64_t peer_id = 0;
  std::uint64_t bytes = 0;  ///< Content that came from it.
};

/// What a synchronisation did. hawserSyncInfo_t explains the fields.
struct SyncInfo {
  std::vector<SyncSource> sources;
  std::uint64_t revision = 0;
  std::uint64_t tensors = 0;
  std::uint64_t tensors_changed = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_fetched = 0;
  std::uint64_t bytes_again = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint32_t supporters = 0;
  std::uint32_t world_size = 0;
  std::uint32_t rank = 0;
  std::uint32_t attempts = 1;
  std::uint64_t epoch = 0;
  std::uint64_t digest_us = 0;
  std::uint64_t agree_us = 0;
  std::uint64_t transfer_us = 0;
};

namespace detail {

/// The caller's function, and what it threw: no exception may pass through C.
class ProgressCall {
 public:
  explicit ProgressCall(const SyncOptions& options) : call_(options.progress) {}
  void into(hawserSyncOptions_t& options) {
    if (!call_) return;
    options.user = this;
    options.progress = [](void* user, std::uint64_t done, std::uint64_t total) noexcept {
      static_cast<ProgressCall*>(user)->tell(done, total);
    };
  }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  void tell(std::uint64_t done, std::uint64_t total) noexcept {
    if (thrown_) return;
    try {
      call_(done, total);
    } catch (...) {
      thrown_ = std::current_exception();
    }
  }

  const std::function<void(std::uint64_t, std::uint64_t)>& call_;
  std::exception_ptr thrown_;
};

inline SyncInfo sync_info(const hawserSyncInfo_t& from, const std::vector<hawserSyncSource_t>& sources) {
  SyncInfo info;
  for (std::size_t i = 0; i < sources.size() && i < from.source_count; ++i)
    info.sources.push_back({.peer_id = sources[i].peer_id, .bytes = sources[i].bytes});
  info.revision = from.revision;
  info.tensors = from.tensors;
  info.tensors_changed = from.tensors_changed;
  info.bytes = from.bytes;
  info.bytes_fetched = from.bytes_fetched;
  info.bytes_again = from.bytes_again;
  info.bytes_sent = from.bytes_sent;
  info.bytes_received = from.bytes_received;
  info.supporters = from.supporters;
  info.world_size = from.world_size;
  info.rank = from.rank;
  info.attempts = from.attempts;
  info.epoch = from.epoch;
  info.digest_us = from.digest_us;
  info.agree_us = from.agree_us;
  info.transfer_us = from.transfer_us;
  return info;
}

}  // namespace detail

/// What a prefetch fetched. hawserPrefetchInfo_t explains the fields.
struct PrefetchInfo {
  bool complete = false;  ///< All of the offered revision is here.
  std::uint32_t sources = 0;
  std::uint64_t revision = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_fetched = 0;
  std::chrono::microseconds prefetch{};
  std::chrono::microseconds join{};
};

/// Named tensors that all members hold with the same bytes.
class SharedState {
 public:
  static Result<SharedState> create(const std::vector<NamedTensor>& tensors) {
    std::vector<hawserStateTensor_t> list;
    for (const NamedTensor& tensor : tensors) list.push_back(tensor.c_tensor());
    hawserSharedState_t handle = nullptr;
    if (const auto code = hawserSharedStateCreate(list.data(), list.size(), &handle); code != hawserSuccess)
      return detail::last_failure(code);
    return SharedState(handle);
  }

  /// Brings all members' tensors to the same bytes and the same revision. All members call it. See
  /// hawserSharedStateSync.
  Result<SyncInfo> sync(Communicator& comm, const SyncOptions& options = {}) {
    // The group only shrinks meanwhile: update-topology does not run at the same time.
    const auto view = comm.info();
    if (!view) return view.error();
    std::vector<hawserSyncSource_t> sources(view->group_size);
    hawserSyncInfo_t info = HAWSER_SYNC_INFO_INIT;
    info.sources = sources.data();
    info.source_capacity = static_cast<std::uint32_t>(sources.size());
    hawserSyncOptions_t o = HAWSER_SYNC_OPTIONS_INIT;
    o.strategy = options.strategy;
    o.tag = options.tag;
    o.compress = options.compress ? 1 : 0;
    o.only_marked = options.only_marked ? 1 : 0;
    o.keep_old_bytes = options.keep_old_bytes ? 1 : 0;
    o.threads = options.threads;
    o.stream = options.stream;
    detail::ProgressCall progress(options);
    progress.into(o);
    const auto code = hawserSharedStateSync(comm.handle(), handle_.get(), &o, &info);
    progress.rethrow();
    if (code != hawserSuccess) return detail::last_failure(code);
    return detail::sync_info(info, sources);
  }

  Result<std::uint64_t> revision() const {
    std::uint64_t revision = 0;
    if (const auto code = hawserSharedStateGetRevision(handle_.get(), &revision); code != hawserSuccess)
      return detail::last_failure(code);
    return revision;
  }
  Result<void> set_revision(std::uint64_t revision) {
    return detail::check(hawserSharedStateSetRevision(handle_.get(), revision));
  }
  /// Says that the caller has written to this tensor.
  Result<void> mark_changed(const std::string& name) {
    return detail::check(hawserSharedStateMarkChanged(handle_.get(), name.c_str()));
  }
  /// Says that the caller has written to all tensors. The state counts as complete from then on.
  Result<void> mark_all_changed() { return detail::check(hawserSharedStateMarkChanged(handle_.get(), nullptr)); }
  /// 32 hexadecimal digits. Reads all tensors.
  Result<std::string> digest() const {
    char text[HAWSER_DIGEST_BYTES] = "";
    if (const auto code = hawserSharedStateGetDigest(handle_.get(), text); code != hawserSuccess)
      return detail::last_failure(code);
    return std::string(text);
  }

  /// Writes tensors and revision to a safetensors file. Blocks as long as the disk takes. See hawserSharedStateSave.
  Result<void> save(const std::string& path) const {
    return detail::check(hawserSharedStateSave(handle_.get(), path.c_str()));
  }
  /// Reads what save() wrote, and gives its revision. See hawserSharedStateLoad.
  Result<std::uint64_t> load(const std::string& path) {
    std::uint64_t revision = 0;
    if (const auto code = hawserSharedStateLoad(handle_.get(), path.c_str(), &revision); code != hawserSuccess)
      return detail::last_failure(code);
    return revision;
  }

  /// Lets newcomers fetch this state from here, until withdraw() or the next call that changes it. The tensors must not
  /// be written to meanwhile. See hawserSharedStateOffer.
  Result<void> offer(Communicator& comm) {
    return detail::check(hawserSharedStateOffer(comm.handle(), handle_.get()));
  }
  /// Ends the offer. When it returns, nobody reads the tensors.
  Result<void> withdraw() { return detail::check(hawserSharedStateWithdraw(handle_.get())); }
  /// Fetches what the members offer while they train, then joins as Communicator::connect does. See
  /// hawserCommConnectPrefetch.
  Result<PrefetchInfo> connect(Communicator& comm, std::chrono::milliseconds bound = std::chrono::minutes(10),
                               void* stream = nullptr) {
    hawserPrefetchOptions_t o = HAWSER_PREFETCH_OPTIONS_INIT;
    o.stream = stream;
    o.bound_ms = static_cast<std::uint32_t>(bound.count());
    hawserPrefetchInfo_t info = HAWSER_PREFETCH_INFO_INIT;
    if (const auto code = hawserCommConnectPrefetch(comm.handle(), handle_.get(), &o, &info); code != hawserSuccess)
      return detail::last_failure(code);
    return PrefetchInfo{.complete = info.complete != 0,
                        .sources = info.sources,
                        .revision = info.revision,
                        .bytes_total = info.bytes_total,
                        .bytes_fetched = info.bytes_fetched,
                        .prefetch = std::chrono::microseconds(info.prefetch_us),
                        .join = std::chrono::microseconds(info.join_us)};
  }
  hawserSharedState_t handle() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(hawserSharedState_t handle) const { (void)hawserSharedStateDestroy(handle); }
  };
  explicit SharedState(hawserSharedState_t handle) : handle_(handle) {}
  std::unique_ptr<hawserSharedState, Destroy> handle_;
};

}  // namespace v0
}  // namespace hawser
