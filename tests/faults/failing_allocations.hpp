#pragma once

#include <cstdint>

/// Allocations that fail on purpose. Linked into a program, all of its operator new goes through here, and (with
/// glibc, without sanitizers) what zstd takes from malloc.
namespace hawser::test {

struct FailingAllocations {
  /// From now on allocations of the library are counted from 1; the `first`-th fails, and those after it, `length`
  /// in all.
  static void begin(std::uint64_t first, std::uint64_t length);
  /// How many were counted.
  static std::uint64_t end();
  static std::uint64_t failed();
};

/// In threads of the test itself nothing fails, except while a LibraryCall lives.
void this_thread_is_the_tests();

class LibraryCall {
 public:
  LibraryCall();
  ~LibraryCall();
  LibraryCall(const LibraryCall&) = delete;
  LibraryCall& operator=(const LibraryCall&) = delete;
};

}  // namespace hawser::test
