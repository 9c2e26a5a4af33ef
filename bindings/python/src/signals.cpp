#include "signals.hpp"

#include <nanobind/nanobind.h>

namespace nb = nanobind;

namespace hawser_python {

bool handles_signals() {
  // Asked each time: after a fork another thread may be the main one.
  const nb::object main_thread = nb::module_::import_("threading").attr("main_thread")();
  return nb::cast<unsigned long>(main_thread.attr("ident")) == PyThread_get_thread_ident();
}

bool pass_signals() { return PyErr_CheckSignals() == 0; }

}  // namespace hawser_python
