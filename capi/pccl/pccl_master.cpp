#include <cerrno>
#include <cstdio>
#include <system_error>

#include "pccl_addresses.hpp"
#include "pccl_handles.hpp"
#include "pccl_results.hpp"

using namespace hawser_pccl;
using Phase = pcclMasterInstanceState_t::Phase;

namespace {

/// Waits for pcclInterruptMaster, and leaves its token for whoever else waits.
void wait_for_interrupt(sem_t& interrupted) {
  while (sem_wait(&interrupted) != 0 && errno == EINTR) {
  }
  sem_post(&interrupted);
}

pcclResult_t never_ran() { return fail(pcclInvalidUsage, "the master was not run; call pcclRunMaster first"); }

pcclResult_t run(pcclMasterInstanceState_t& instance) {
  const std::lock_guard lock(instance.mutex);
  if (instance.phase != Phase::created) return fail(pcclInvalidUsage, "the master has run already; create another one");
  hawserMasterConfig_t config = HAWSER_MASTER_CONFIG_INIT;
  config.listen = instance.listen.c_str();
  hawserMaster_t made = nullptr;
  if (const auto created = hawserMasterCreate(&config, &made); created != hawserSuccess) {
    const auto result = translated(created);
    return result == pcclInternalError ? fail(pcclInvalidUsage, hawserGetLastError()) : result;
  }
  Master master(made);
  if (const auto started = hawserMasterStart(made); started != hawserSuccess) return translated(started);
  instance.stopper = std::thread([&instance, made] {
    wait_for_interrupt(instance.interrupted);
    hawserMasterStop(made);
  });
  instance.master = std::move(master);
  instance.phase = Phase::running;
  instance.has_run = true;
  return pcclSuccess;
}

}  // namespace

extern "C" {

pcclResult_t pcclCreateMaster(ccoip_socket_address_t listen_address, pcclMasterInstance_t** p_master_handle_out) {
  return guarded([&] {
    if (p_master_handle_out == nullptr) return null_argument();
    auto instance = std::make_unique<pcclMasterInstanceState_t>();
    instance->listen = listen_text_of(listen_address);
    if (sem_init(&instance->interrupted, 0, 0) != 0)
      throw std::system_error(errno, std::generic_category(), "the system gives no semaphore");
    *p_master_handle_out = instance.release();
    return pcclSuccess;
  });
}

pcclResult_t pcclRunMaster(pcclMasterInstance_t* master_instance) {
  return guarded([&] {
    if (master_instance == nullptr) return null_argument();
    const auto result = run(*master_instance);
    if (result != pcclSuccess) std::fprintf(stderr, "hawser: pcclRunMaster: %s\n", last_sentence());
    return result;
  });
}

pcclResult_t pcclCompatGetMasterAddress(pcclMasterInstance_t* master_instance, ccoip_socket_address_t* address_out) {
  return guarded([&] {
    if (master_instance == nullptr || address_out == nullptr) return null_argument();
    const std::lock_guard lock(master_instance->mutex);
    if (master_instance->master == nullptr) return never_ran();
    char text[HAWSER_ADDRESS_BYTES] = "";
    const auto got = hawserMasterGetAddress(master_instance->master.get(), text, sizeof text);
    if (got != hawserSuccess) return translated(got);
    if (!read_address(text, *address_out))
      return fail(pcclInternalError, "the master's address has a form that this call does not know");
    return pcclSuccess;
  });
}

// No lock and no sentence but in the error: a signal handler may be the caller.
pcclResult_t pcclInterruptMaster(pcclMasterInstance_t* master_instance) {
  if (master_instance == nullptr) return null_argument();
  if (!master_instance->has_run) return never_ran();
  sem_post(&master_instance->interrupted);
  return pcclSuccess;
}

pcclResult_t pcclMasterAwaitTermination(pcclMasterInstance_t* master_instance) {
  return guarded([&] {
    if (master_instance == nullptr) return null_argument();
    if (!master_instance->has_run) return never_ran();
    wait_for_interrupt(master_instance->interrupted);
    const std::lock_guard lock(master_instance->mutex);
    if (master_instance->phase == Phase::running) {
      master_instance->stopper.join();
      master_instance->phase = Phase::ended;
    }
    return pcclSuccess;
  });
}

pcclResult_t pcclDestroyMaster(pcclMasterInstance_t* master_instance) {
  return guarded([&] {
    if (master_instance == nullptr) return null_argument();
    if (master_instance->stopper.joinable()) {
      sem_post(&master_instance->interrupted);
      master_instance->stopper.join();
    }
    sem_destroy(&master_instance->interrupted);
    delete master_instance;
    return pcclSuccess;
  });
}

}  // extern "C"
