#include <hawser.h>
#include <nanobind/nanobind.h>

#include "bind.hpp"

NB_MODULE(_core, module) {
  module.doc() = "The C interface of Hawser. Use the package hawser, which is made of this.";
  // A communicator may outlive the interpreter as a global; hawser.communicator closes it.
  nanobind::set_leak_warnings(false);
  module.def("version", &hawserGetVersion, "\"major.minor.patch\" of the library.");
  module.def(
      "result_name", [](int code) { return hawserGetResultName(static_cast<hawserResult_t>(code)); },
      nanobind::arg("code"), "Short name of a result, such as \"peer lost\".");
  hawser_python::bind_enums(module);
  hawser_python::bind_quantization(module);
  hawser_python::bind_infos(module);
  hawser_python::bind_log(module);
  hawser_python::bind_master(module);
  hawser_python::bind_shared_state(module);
  hawser_python::bind_communicator(module);
  hawser_python::bind_optim(module);
  hawser_python::bind_keys(module);
  hawser_python::bind_sim_device(module);
}
