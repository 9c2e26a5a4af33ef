#pragma once

#include <nanobind/nanobind.h>

namespace hawser_python {

/// Each adds its topic to the module.
void bind_enums(nanobind::module_& module);
void bind_quantization(nanobind::module_& module);
void bind_infos(nanobind::module_& module);
void bind_log(nanobind::module_& module);
void bind_master(nanobind::module_& module);
void bind_shared_state(nanobind::module_& module);
void bind_communicator(nanobind::module_& module);
void bind_optim(nanobind::module_& module);
void bind_keys(nanobind::module_& module);
void bind_sim_device(nanobind::module_& module);

}  // namespace hawser_python
