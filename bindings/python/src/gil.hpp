#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace hawser_python {

/// Other threads run Python while one of these lives, as with nanobind's gil_scoped_release. Unlike that, it may be
/// the interpreter's end that meets it: before 3.14 Python ends a thread that wants the GIL back by then with
/// pthread_exit, whose unwinding aborts the process where it meets a destructor. Such a thread stays here instead, as
/// it does in later versions, until the process is gone. Created and destroyed by a thread that has the GIL.
class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  ~GilReleased() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      // Not an exception, which that C function cannot throw, but the unwinding; it goes no further.
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace hawser_python
