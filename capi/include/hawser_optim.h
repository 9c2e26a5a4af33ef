/** @file hawser_optim.h
 *  The arithmetic of the DiLoCo family on tensors of the caller: pseudo-gradients, the outer step, mixing. The
 *  conventions of hawser.h hold. docs/optim.md has the algorithms that are made of it, and what is exact.
 *
 *  Inner parameters are what a model trains. Their type is the inner type: float32, float64, bfloat16 or float16. Outer
 *  parameters, momentum and pseudo-gradients have the outer type: float64 if the inner type is float64, otherwise
 *  float32. Arithmetic is in the outer type. 16-bit floats are widened first, and rounded to nearest even at the end.
 *
 *  Results have the same bits on every machine, except the payloads of NaNs. The operations of the formulas are made in
 *  the order of the brackets, in IEEE arithmetic. Each is rounded to nearest even. There is no fused multiply-add, and
 *  denormals are kept, unless the calling thread has told its processor otherwise. Factors are float64 and are rounded
 *  to the outer type once.
 *
 *  On host memory every function works on `count` elements at any alignment, in the calling thread, at the speed of
 *  memory. It does not block, allocates nothing, keeps nothing, and is safe from any thread. Elements do not depend on each other, so a
 *  tensor may be split among threads. Pointers may be null only if count is 0. Memory that is written must not overlap
 *  any other argument, unless the function says so. Errors of all functions: InvalidArgument (null, unknown type,
 *  numbers out of range, memory that overlaps or is larger than the address space). Nothing was written then.
 */
#ifndef HAWSER_OPTIM_H
#define HAWSER_OPTIM_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Tensors on a device: all of a call lie on the same one, and the call puts its work on a stream of that device and
 *  does not wait for it. Results have the bits that the host makes. This names the stream, for the calling thread and
 *  all its later calls. Null, as at first: the device's default stream. Errors of the calls on devices, beside the
 *  others: InvalidArgument (tensors in different places, no stream of that device, a build without kernels for GPUs),
 *  System. */
HAWSER_API hawserResult_t hawserOptimSetStream(void* stream);

/** delta = (outer - inner) * scale: the input of a member to the all-reduce. The scale is 1, or this member's weight.
 *  `inner` has `inner_type`, `outer` and `delta` have its outer type. `delta` may be `outer`, or `inner` if both have
 *  the same type. The scale must be finite in the outer type. */
HAWSER_API hawserResult_t hawserPseudoGradient(const void* outer, const void* inner, void* delta, uint64_t count,
                                               hawserDataType_t inner_type, double scale);

/** values = (values * multiplier) / divisor, with two roundings. A factor of 1 changes nothing. It turns a weighted sum
 *  into a weighted average, with the sum of the weights as divisor. `type` is float32 or float64. Both factors must be
 *  finite in it, and the divisor must not be 0. */
HAWSER_API hawserResult_t hawserScale(void* values, uint64_t count, hawserDataType_t type, double multiplier,
                                      double divisor);

/** The settings of torch.optim.SGD. Fill with HAWSER_OUTER_STEP_OPTIONS_INIT: the values of the DiLoCo paper. */
typedef struct hawserOuterStepOptions {
  size_t size;
  double learning_rate; /**< 0 or more. */
  double momentum;      /**< 0 or more; 0: none. */
  uint32_t nesterov;    /**< 0, or 1, which needs a momentum above 0. */
} hawserOuterStepOptions_t;

#define HAWSER_OUTER_STEP_OPTIONS_INIT {sizeof(hawserOuterStepOptions_t), 0.7, 0.9, 1}

/** One step of SGD with `delta` as the gradient:
 *
 *      momentum = (options.momentum * momentum) + delta
 *      d        = nesterov ? delta + (options.momentum * momentum) : momentum
 *      outer    = outer - (options.learning_rate * d)
 *
 *  With options.momentum 0, d is delta, and `momentum` may be null. All tensors have `type`, float32 or float64. Before
 *  the first step fill `momentum` with hawserClearMomentum. @param options may be null. */
HAWSER_API hawserResult_t hawserOuterStep(void* outer, void* momentum, const void* delta, uint64_t count,
                                          hawserDataType_t type, const hawserOuterStepOptions_t* options);

/** Fills `momentum` with -0.0, the only number to which any `delta` can be added without a change of its bits. So the
 *  first step makes momentum = delta, as PyTorch does. `type` is float32 or float64. */
HAWSER_API hawserResult_t hawserClearMomentum(void* momentum, uint64_t count, hawserDataType_t type);

/** local = (alpha * local) + ((1 - alpha) * global), with alpha from 0 to 1: mixes in the group's parameters (streaming
 *  DiLoCo). `local` has `inner_type`, `global` its outer type. With alpha 0 `local` is not read: it becomes `global`,
 *  rounded to the inner type. With alpha 1 nothing is done. */
HAWSER_API hawserResult_t hawserMix(void* local, const void* global, uint64_t count, hawserDataType_t inner_type,
                                    double alpha);

/** local = local + (a - b): moves parameters that are being trained by the same difference as the group's (delayed
 *  DiLoCo). `local` has `inner_type`, `a` and `b` have its outer type. `a` and `b` may overlap. */
HAWSER_API hawserResult_t hawserAddDifference(void* local, const void* a, const void* b, uint64_t count,
                                              hawserDataType_t inner_type);

#ifdef __cplusplus
}
#endif
#endif
