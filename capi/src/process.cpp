/// Results, version and log: what belongs to the process and not to a handle.
#include <array>

#include "boundary.hpp"
#include "runtime/log.hpp"

#define HAWSER_STRING_OF(x) #x
#define HAWSER_STRING(x) HAWSER_STRING_OF(x)

namespace capi = hawser::capi;

static_assert(hawserErrorInternal == static_cast<int>(hawser::Status::internal));
static_assert(hawserErrorInternal == hawser::kStatusMax);
static_assert(hawserErrorMasterRestarted == static_cast<int>(hawser::Status::master_restarted));
static_assert(hawserErrorPeerLost == static_cast<int>(hawser::Status::peer_lost));
static_assert(hawserLogOff == static_cast<int>(hawser::LogLevel::off));
static_assert(hawserLogError == static_cast<int>(hawser::LogLevel::error));
static_assert(hawserLogNotice == static_cast<int>(hawser::LogLevel::notice));
static_assert(hawserLogDebug == static_cast<int>(hawser::LogLevel::debug));

extern "C" {

const char* hawserGetResultName(hawserResult_t result) {
  return hawser::status_name(static_cast<hawser::Status>(capi::number_in(result)));
}

const char* hawserGetLastError(void) { return capi::last_sentence(); }

const char* hawserGetVersion(void) {
  return HAWSER_STRING(HAWSER_VERSION_MAJOR) "." HAWSER_STRING(HAWSER_VERSION_MINOR) "." HAWSER_STRING(
      HAWSER_VERSION_PATCH);
}

hawserResult_t hawserSetLogCallback(hawserLogCallback_t callback, void* user) {
  return capi::guarded([&] {
    if (callback == nullptr)
      hawser::set_log_sink({});
    else
      hawser::set_log_sink([callback, user](hawser::LogLevel level, const std::string& line) {
        callback(user, static_cast<hawserLogLevel_t>(level), line.c_str());
      });
    return hawserSuccess;
  });
}

hawserResult_t hawserSetLogLevel(hawserLogLevel_t level) {
  return capi::guarded([&] {
    const int value = capi::number_in(level);
    if (value < static_cast<int>(hawserLogOff) || value > static_cast<int>(hawserLogDebug))
      return capi::report(capi::invalid_argument(std::to_string(value) + " is not a log level"));
    hawser::set_log_level(static_cast<hawser::LogLevel>(value));
    return hawserSuccess;
  });
}

}  // extern "C"
