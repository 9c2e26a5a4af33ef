#include "failing_allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#  define HAWSER_TEST_SANITIZED 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#    define HAWSER_TEST_SANITIZED 1
#  endif
#endif

namespace hawser::test {
namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> counted{0};
std::atomic<std::uint64_t> first_to_fail{0};
std::atomic<std::uint64_t> to_fail{0};
std::atomic<std::uint64_t> have_failed{0};
thread_local bool is_tests = false;
thread_local int library_calls = 0;

bool shall_fail() {
  if (!counting.load(std::memory_order_relaxed) || (is_tests && library_calls == 0)) return false;
  const std::uint64_t number = ++counted;
  const std::uint64_t first = first_to_fail;
  if (number < first || number - first >= to_fail) return false;
  ++have_failed;
  return true;
}

void* take(std::size_t bytes, std::size_t alignment) {
  if (shall_fail()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* take_or_throw(std::size_t bytes, std::size_t alignment = 1) {
  void* const memory = take(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void FailingAllocations::begin(std::uint64_t first, std::uint64_t length) {
  counted = have_failed = 0;
  first_to_fail = first;
  to_fail = length;
  counting = true;
}

std::uint64_t FailingAllocations::end() {
  counting = false;
  return counted;
}

std::uint64_t FailingAllocations::failed() { return have_failed; }

void this_thread_is_the_tests() { is_tests = true; }
LibraryCall::LibraryCall() { ++library_calls; }
LibraryCall::~LibraryCall() { --library_calls; }

}  // namespace hawser::test

using hawser::test::take;
using hawser::test::take_or_throw;

void* operator new(std::size_t bytes) { return take_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return take_or_throw(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#if defined(__GLIBC__) && !defined(HAWSER_TEST_SANITIZED)

#include <link.h>

#include <cstring>

// zstd takes its contexts from malloc. Others in the process, such as the loader, cannot go on without theirs.
extern "C" void* __libc_malloc(std::size_t bytes);  // NOLINT: glibc's own name.

namespace {

struct Code {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

int find_zstd(dl_phdr_info* object, std::size_t, void* found) {
  if (std::strstr(object->dlpi_name, "libzstd") == nullptr) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& part = object->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + part.p_vaddr;
    *static_cast<Code*>(found) = {.begin = begin, .end = begin + part.p_memsz};
  }
  return 1;
}

bool asks_for_zstd(const void* caller) {
  static const Code zstd = [] {
    Code found;
    dl_iterate_phdr(find_zstd, &found);
    return found;
  }();
  const auto at = reinterpret_cast<std::uintptr_t>(caller);
  return zstd.begin <= at && at < zstd.end;
}

}  // namespace

extern "C" void* malloc(std::size_t bytes) {
  if (hawser::test::counting.load(std::memory_order_relaxed) && asks_for_zstd(__builtin_return_address(0)) &&
      hawser::test::shall_fail())
    return nullptr;
  return __libc_malloc(bytes);
}

#endif
