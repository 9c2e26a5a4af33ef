#pragma once

#include <semaphore.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hawser.h"
#include "hawser_shared_state.h"
#include "pccl_compat.h"

/// What stands behind the handles of pccl_compat.h. The library uses nothing but the C face of Hawser.
namespace hawser_pccl {

/// Frees a handle of the C face at the end of a scope.
template <auto Destroy>
struct Destroyer {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Destroy(handle);
  }
};
using Comm = std::unique_ptr<hawserComm, Destroyer<hawserCommDestroy>>;
using Operation = std::unique_ptr<hawserOp, Destroyer<hawserOpDestroy>>;
using State = std::unique_ptr<hawserSharedState, Destroyer<hawserSharedStateDestroy>>;
using Master = std::unique_ptr<hawserMaster, Destroyer<hawserMasterDestroy>>;

/// Tags that callers cannot have.
constexpr std::uint64_t kSyncTag = UINT64_MAX;           ///< Of a shared state's synchronisation.
constexpr std::uint64_t kSentBytesTag = UINT64_MAX - 1;  ///< Of the sum that tells who has sent what in it.
constexpr std::uint64_t kPendingTag = UINT64_MAX - 2;    ///< Of the vote on newcomers.
constexpr std::uint64_t kTakenTagFirst = UINT64_MAX - 3;

/// A tensor as the caller described it. Equal lists are the same state: its last agreed revision is kept with it.
struct KnownTensor {
  std::string name;
  const void* data;
  std::size_t count;
  int type;
  bool may_differ;
  bool operator==(const KnownTensor&) const = default;
};

struct KnownState {
  std::vector<KnownTensor> tensors;
  State state;
  std::uint64_t used = 0;  ///< Number of the call that used it last.
};

/// An all-reduce that has not been awaited.
struct Flight {
  Operation operation;
  bool awaited = false;
};

}  // namespace hawser_pccl

struct pcclComm_t {
  explicit pcclComm_t(const pcclCommCreateParams_t& given) : params(given) {}

  const pcclCommCreateParams_t params;
  std::mutex connect_mutex;              ///< One pcclConnect at a time.
  std::atomic<hawserComm_t> comm{};      ///< Null until pcclConnect. Owned by `owned_comm`.
  hawser_pccl::Comm owned_comm;          ///< Written under connect_mutex only.
  std::mutex flights_mutex;
  std::map<std::uint64_t, hawser_pccl::Flight> flights;  ///< By tag.
  std::mutex states_mutex;               ///< One synchronisation at a time.
  std::vector<hawser_pccl::KnownState> states;
  std::uint64_t syncs = 0;
};

struct pcclMasterInstanceState_t {
  enum class Phase { created, running, ended };

  std::string listen;
  std::mutex mutex;  ///< Of phase, master and stopper; not of `interrupted`.
  Phase phase = Phase::created;
  hawser_pccl::Master master;
  std::atomic<bool> has_run{false};
  sem_t interrupted{};   ///< Posted by pcclInterruptMaster, also from a signal handler.
  std::thread stopper;   ///< Waits for that, and stops the master.
};
