#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "tensor_facts.hpp"

namespace hawser_python {

/// What `__cuda_array_interface__` (version 3 and before) of an object says: CuPy, Numba and JAX have it. None: the
/// object has no such attribute. Raises InvalidArgument for one that is not as the interface has it, for a mask, and
/// for a stream that no other thread can wait for.
std::optional<TensorFacts> cuda_array_facts(nanobind::handle object, const char* role);

}  // namespace hawser_python
