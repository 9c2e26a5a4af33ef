#ifdef HAWSER_HAS_LEASE

#include "lease/curl_library.hpp"

#include <dlfcn.h>

#include <mutex>
#include <optional>
#include <string>

namespace hawser::lease {
namespace {

constexpr const char* kCurlFile = "libcurl.so.4";

template <class Function>
bool find_in(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

/// Of 7.68 and later, which have all of these.
Result<CurlLibrary> open_curl() {
  void* const library = ::dlopen(kCurlFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return Error{Status::system, "a master with a lease needs libcurl, which cannot be loaded (" +
                                     std::string(::dlerror()) + "); install libcurl4"};
  CurlLibrary curl;
  const bool has_all = find_in(library, curl.global_init, "curl_global_init") &&
                       find_in(library, curl.easy_init, "curl_easy_init") &&
                       find_in(library, curl.easy_cleanup, "curl_easy_cleanup") &&
                       find_in(library, curl.easy_reset, "curl_easy_reset") &&
                       find_in(library, curl.easy_setopt, "curl_easy_setopt") &&
                       find_in(library, curl.easy_getinfo, "curl_easy_getinfo") &&
                       find_in(library, curl.easy_strerror, "curl_easy_strerror") &&
                       find_in(library, curl.multi_init, "curl_multi_init") &&
                       find_in(library, curl.multi_cleanup, "curl_multi_cleanup") &&
                       find_in(library, curl.multi_add_handle, "curl_multi_add_handle") &&
                       find_in(library, curl.multi_remove_handle, "curl_multi_remove_handle") &&
                       find_in(library, curl.multi_perform, "curl_multi_perform") &&
                       find_in(library, curl.multi_poll, "curl_multi_poll") &&
                       find_in(library, curl.multi_wakeup, "curl_multi_wakeup") &&
                       find_in(library, curl.multi_info_read, "curl_multi_info_read") &&
                       find_in(library, curl.slist_append, "curl_slist_append") &&
                       find_in(library, curl.slist_free_all, "curl_slist_free_all");
  if (!has_all)
    return Error{Status::system, std::string("the ") + kCurlFile +
                                     " of this machine is too old for a master with a lease; install libcurl 7.68 or "
                                     "later"};
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return Error{Status::system, "libcurl, which a master with a lease needs, cannot be initialised"};
  return curl;
}

}  // namespace

Result<const CurlLibrary*> load_curl() {
  static std::mutex mutex;
  static std::optional<CurlLibrary> loaded;
  const std::lock_guard lock(mutex);
  if (!loaded) {
    auto opened = open_curl();
    if (!opened.ok()) return opened.error();
    loaded = *opened;
  }
  return &*loaded;
}

}  // namespace hawser::lease

#endif
