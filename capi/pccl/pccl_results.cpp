#include "pccl_results.hpp"

#include <atomic>
#include <exception>

namespace hawser_pccl {
namespace {

// PCCL's API has this one fact of the whole process.
std::atomic<bool> initialised{false};

std::string& sentence_of_thread() {
  thread_local std::string sentence;
  return sentence;
}

}  // namespace

pcclResult_t fail(pcclResult_t result, const char* sentence) noexcept {
  try {
    sentence_of_thread() = sentence;
  } catch (...) {
    sentence_of_thread().clear();  // No memory for the sentence. The result says what it can.
  }
  return result;
}

pcclResult_t translated(hawserResult_t result) noexcept {
  switch (result) {
    case hawserSuccess: return pcclSuccess;
    case hawserErrorInvalidArgument: return fail(pcclInvalidArgument, hawserGetLastError());
    case hawserErrorInvalidUsage:
    case hawserErrorClosed: return fail(pcclInvalidUsage, hawserGetLastError());
    case hawserErrorTooFewPeers: return fail(pcclTooFewPeers, hawserGetLastError());
    case hawserErrorPeerLost:
    case hawserErrorMismatch:
    case hawserErrorTimeout:
    case hawserErrorMasterRestarted: return fail(pcclRankConnectionLost, hawserGetLastError());
    case hawserErrorMasterUnreachable:
    case hawserErrorExpelled:
    case hawserErrorRefused: return fail(pcclMasterConnectionFailed, hawserGetLastError());
    case hawserErrorSystem:
    case hawserErrorInternal: return fail(pcclInternalError, hawserGetLastError());
  }
  return fail(pcclInternalError, hawserGetLastError());
}

pcclResult_t translated_as(hawserResult_t result, pcclResult_t retry) noexcept {
  const pcclResult_t plain = translated(result);
  return plain == pcclRankConnectionLost || plain == pcclTooFewPeers ? retry : plain;
}

bool is_loss(hawserResult_t result) noexcept {
  return result == hawserErrorPeerLost || result == hawserErrorMasterRestarted;
}

const char* last_sentence() noexcept { return sentence_of_thread().c_str(); }

pcclResult_t fail_by_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    return fail(pcclInternalError, error.what());
  } catch (...) {
    return fail(pcclInternalError, "an unknown exception ended the call");
  }
}

bool is_initialised() noexcept { return initialised.load(); }

}  // namespace hawser_pccl

extern "C" {

pcclResult_t pcclInit(void) {
  hawser_pccl::initialised = true;
  return pcclSuccess;
}

pcclResult_t pcclGetBuildInfo(pcclBuildInfo_t* info) {
  if (info == nullptr) return hawser_pccl::null_argument();
  info->has_cuda_support = true;
  return pcclSuccess;
}

const char* pcclCompatGetLastError(void) { return hawser_pccl::last_sentence(); }

}  // extern "C"
