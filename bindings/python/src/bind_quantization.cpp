#include <hawser.h>

#include <new>
#include <string>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"
#include "residual.hpp"
#include "tensor.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

using Quantization = hawserQuantization_t;

void bind_schemes(nb::module_& module) {
  nb::class_<Quantization>(
      module, "Quantization",
      "How floats are made smaller on the wire. The same on all members, whose results are the "
      "same bits all the same. docs/quantization.md has formulas and errors.")
      .def_static(
          "min_max",
          [](hawserQuantizedType_t type, bool stochastic) {
            return Quantization{hawserQuantizeMinMax, type, 0, stochastic ? 1U : 0U};
          },
          nb::arg("type") = hawserToUint8, nb::arg("stochastic") = false,
          "One scale per chunk, from its smallest to its largest value. To UINT8, INT8 or UINT16.")
      .def_static(
          "zero_point_scale",
          [](hawserQuantizedType_t type, bool stochastic) {
            return Quantization{hawserQuantizeZeroPointScale, type, 0, stochastic ? 1U : 0U};
          },
          nb::arg("type") = hawserToUint8, nb::arg("stochastic") = false,
          "The same, with 0 exactly representable. To UINT8, INT8 or UINT16.")
      .def_static(
          "blockwise",
          [](hawserQuantizedType_t type, std::uint32_t block, bool stochastic) {
            return Quantization{hawserQuantizeBlockwise, type, block, stochastic ? 1U : 0U};
          },
          nb::arg("type") = hawserToInt8, nb::arg("block") = 256, nb::arg("stochastic") = false,
          "A scale for each block of 64 to 1024 values (a power of two). To INT8 or INT4.")
      .def_static(
          "cast",
          [](hawserQuantizedType_t type, bool stochastic) {
            return Quantization{hawserQuantizeCast, type, 0, stochastic ? 1U : 0U};
          },
          nb::arg("type") = hawserToBfloat16, nb::arg("stochastic") = false, "To BFLOAT16 or FLOAT16.")
      .def_ro("scheme", &Quantization::scheme)
      .def_ro("type", &Quantization::type)
      .def_ro("block", &Quantization::block, "Values per scale of the blockwise scheme, else 0.")
      .def_prop_ro(
          "stochastic", [](const Quantization& self) { return self.stochastic != 0; },
          "Rounded up or down at random, right on average.")
      .def("__repr__", [](nb::handle self) {
        return nb::str("Quantization(scheme={}, type={}, block={}, stochastic={})")
            .format(self.attr("scheme"), self.attr("type"), self.attr("block"), self.attr("stochastic"));
      });
}

void bind_residual(nb::module_& module) {
  nb::class_<Residual>(
      module, "Residual",
      "Error feedback for one tensor: what quantisation lost in one call is added to the next. A call "
      "that fails leaves it as it was. Takes 8 bytes per element (float64: 16). In use by one call "
      "at a time. Raises InvalidArgument (not a float type), SystemFailure (no memory).")
      .def(nb::init<std::uint64_t, hawserDataType_t>(), nb::arg("count"), nb::arg("type"),
           "For `count` elements.")
      .def_static(
          "like",
          [](nb::object tensor) {
            const Tensor read = tensor_of(tensor, Access::read, "model", Where::host_or_device);
            return new Residual(read.count, read.type);
          },
          nb::arg("tensor"), nb::rv_policy::take_ownership, "For tensors of this one's size and type.")
      .def(
          "reset", [](Residual& self) { check(hawserResidualReset(self.handle())); },
          "Forgets what is owed. Raises InvalidUsage (in use).")
      .def_prop_ro(
          "norm",
          [](Residual& self) {
            double norm = 0;
            Outcome outcome;
            {
              const GilReleased released;
              outcome = outcome_of(hawserResidualGetNorm(self.handle(), &norm));
            }
            raise_unless_ok(outcome);
            return norm;
          },
          "The root mean square of what is owed. Raises InvalidUsage (in use).");
}

}  // namespace

Residual::Residual(std::uint64_t count, hawserDataType_t type) {
  check(hawserResidualCreate(count, type, &handle_));
}

void bind_quantization(nb::module_& module) {
  bind_schemes(module);
  bind_residual(module);
}

}  // namespace hawser_python
