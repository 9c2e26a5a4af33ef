#include "failure.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <utility>

namespace nb = nanobind;

namespace hawser_python {

Outcome outcome_of(hawserResult_t code) {
  return {.code = code, .sentence = code == hawserSuccess ? std::string() : hawserGetLastError()};
}

void raise(const Outcome& outcome) {
  // Imported only now: the stub generator loads this module alone.
  const nb::object made = nb::module_::import_("hawser.errors")
                              .attr("from_result")(static_cast<int>(outcome.code),
                                                   nb::str(outcome.sentence.data(), outcome.sentence.size()));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  throw nb::python_error();
}

void raise_invalid_argument(std::string sentence) {
  raise({.code = hawserErrorInvalidArgument, .sentence = std::move(sentence)});
}

void raise_invalid_usage(std::string sentence) {
  raise({.code = hawserErrorInvalidUsage, .sentence = std::move(sentence)});
}

void raise_closed(std::string sentence) {
  raise({.code = hawserErrorClosed, .sentence = std::move(sentence)});
}

}  // namespace hawser_python
