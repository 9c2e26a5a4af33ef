#pragma once

#include <hawser.h>

#include <string>

/// From results of the C interface to Python's exceptions.
namespace hawser_python {

/// What a call of the C interface came to. The sentence is kept per thread there, so it is taken at once.
struct Outcome {
  hawserResult_t code = hawserSuccess;
  std::string sentence;

  bool ok() const { return code == hawserSuccess; }
};

/// By the thread that has called, before it calls anything else.
Outcome outcome_of(hawserResult_t code);

/// Throws the exception of hawser.errors that belongs to the code. Needs the GIL.
[[noreturn]] void raise(const Outcome& outcome);
[[noreturn]] void raise_invalid_argument(std::string sentence);
[[noreturn]] void raise_invalid_usage(std::string sentence);
[[noreturn]] void raise_closed(std::string sentence);

inline void raise_unless_ok(const Outcome& outcome) {
  if (!outcome.ok()) raise(outcome);
}

/// For calls that don't wait.
inline void check(hawserResult_t code) { raise_unless_ok(outcome_of(code)); }

}  // namespace hawser_python
