#include <hawser_optim.h>

#include <optional>
#include <string>

#include "bind.hpp"
#include "failure.hpp"
#include "gil.hpp"
#include "tensor.hpp"

namespace nb = nanobind;

namespace hawser_python {
namespace {

void check_update_count(const char* role, const Tensor& tensor, std::uint64_t wanted) {
  if (tensor.count != wanted)
    raise_invalid_argument("the " + std::string(role) + " tensor has " + std::to_string(tensor.count) +
                           " elements, not " + std::to_string(wanted));
}

hawserDataType_t outer_type(hawserDataType_t inner) {
  return inner == hawserFloat64 ? hawserFloat64 : hawserFloat32;
}

/// A tensor as long as the first one, of the type that goes with it.
Tensor beside(nb::handle object, Access access, const char* role, const Tensor& first,
              hawserDataType_t type) {
  Tensor tensor = tensor_of(object, access, role);
  check_update_count(role, tensor, first.count);
  if (tensor.type != type)
    raise_invalid_argument("the " + std::string(role) + " tensor must be of the outer type: float64 for " +
                           "float64, else float32");
  return tensor;
}

/// Without the GIL: as long as the memory takes.
template <class Call>
void run(const Call& call) {
  Outcome outcome;
  {
    const GilReleased released;
    outcome = outcome_of(call());
  }
  raise_unless_ok(outcome);
}

void pseudo_gradient(nb::handle outer, nb::handle inner, nb::handle delta, double scale) {
  const Tensor local = tensor_of(inner, Access::read, "inner");
  const Tensor from = beside(outer, Access::read, "outer", local, outer_type(local.type));
  const Tensor to = beside(delta, Access::write, "delta", local, outer_type(local.type));
  run([&] { return hawserPseudoGradient(from.data, local.data, to.data, local.count, local.type, scale); });
}

void scale(nb::handle values, double multiplier, double divisor) {
  const Tensor all = tensor_of(values, Access::write, "values");
  run([&] { return hawserScale(all.data, all.count, all.type, multiplier, divisor); });
}

void outer_step(nb::handle outer, nb::handle momentum, nb::handle delta, double learning_rate, double factor,
                bool nesterov) {
  const Tensor parameters = tensor_of(outer, Access::write, "outer");
  const Tensor gradient = beside(delta, Access::read, "delta", parameters, parameters.type);
  std::optional<Tensor> buffer;
  if (!momentum.is_none()) buffer = beside(momentum, Access::write, "momentum", parameters, parameters.type);
  hawserOuterStepOptions_t options = HAWSER_OUTER_STEP_OPTIONS_INIT;
  options.learning_rate = learning_rate;
  options.momentum = factor;
  options.nesterov = nesterov ? 1 : 0;
  run([&] {
    return hawserOuterStep(parameters.data, buffer ? buffer->data : nullptr, gradient.data, parameters.count,
                           parameters.type, &options);
  });
}

void clear_momentum(nb::handle momentum) {
  const Tensor buffer = tensor_of(momentum, Access::write, "momentum");
  run([&] { return hawserClearMomentum(buffer.data, buffer.count, buffer.type); });
}

void mix(nb::handle local, nb::handle global, double alpha) {
  const Tensor to = tensor_of(local, Access::write, "local");
  const Tensor from = beside(global, Access::read, "global", to, outer_type(to.type));
  run([&] { return hawserMix(to.data, from.data, to.count, to.type, alpha); });
}

void add_difference(nb::handle local, nb::handle a, nb::handle b) {
  const Tensor to = tensor_of(local, Access::write, "local");
  const Tensor plus = beside(a, Access::read, "a", to, outer_type(to.type));
  const Tensor minus = beside(b, Access::read, "b", to, outer_type(to.type));
  run([&] { return hawserAddDifference(to.data, plus.data, minus.data, to.count, to.type); });
}

}  // namespace

void bind_optim(nb::module_& module) {
  module.def("pseudo_gradient", &pseudo_gradient, nb::arg("outer"), nb::arg("inner"), nb::arg("delta"),
             nb::arg("scale") = 1.0, "delta = (outer - inner) * scale.");
  module.def("scale", &scale, nb::arg("values"), nb::arg("multiplier") = 1.0, nb::arg("divisor") = 1.0,
             "values = (values * multiplier) / divisor.");
  module.def("outer_step", &outer_step, nb::arg("outer"), nb::arg("momentum").none(), nb::arg("delta"),
             nb::arg("learning_rate") = 0.7, nb::arg("factor") = 0.9, nb::arg("nesterov") = true,
             "One step of SGD on `outer` with the gradient `delta`; `factor` is that of the momentum.");
  module.def("clear_momentum", &clear_momentum, nb::arg("momentum"), "Fills it with -0.0.");
  module.def("mix", &mix, nb::arg("local"), nb::arg("global_"), nb::arg("alpha") = 0.0,
             "local = (alpha * local) + ((1 - alpha) * global_).");
  module.def("add_difference", &add_difference, nb::arg("local"), nb::arg("a"), nb::arg("b"),
             "local = local + (a - b).");
}

}  // namespace hawser_python
