/** @file hawser_optim.h
 * The arithmetic of the DiLoCo family on tensors of the caller: pseudo-gradients, the outer step, mixing. The
 * conventions of hawser.h hold. docs/optim.md has the algorithms that are made of it, and what is exact.
 *
 * Inner parameters are what a model trains: float32, float64, bfloat16 or float16, the inner type. Outer ones and
 * all that goes with them (momentum, pseudo-gradients) are of the outer type: float64 for float64, else float32.
 * Arithmetic is in the outer type; 16-bit floats are widened first, and rounded to nearest even last.
 *
 * The same bits on every machine (NaN payloads apart): the formulas' operations in IEEE arithmetic as the brackets
 * say, each rounded to nearest even, no fused multiply-add, denormals kept (as long as the calling thread has not
 * told its processor otherwise). Factors are float64 and are rounded to the outer type once.
 *
 * Every function works through `count` elements at any alignment, in the calling thread, at the speed of its
 * memory. It does not block, allocates nothing, keeps nothing, and is safe from any thread; elements don't depend
 * on each other, so a tensor may be split among threads. Pointers may be null only if count is 0. Memory that is
 * written must not overlap any other argument, unless the function says so.
 * Errors of all: InvalidArgument (null, unknown type, numbers out of range, memory that overlaps or is larger than
 * the address space). Then nothing was written.
 */
#ifndef HAWSER_OPTIM_H
#define HAWSER_OPTIM_H

#include "hawser.h"

#ifdef __cplusplus
extern "C" {
#endif

/** delta = (outer - inner) * scale: what a member hands to the all-reduce. The scale is 1, or this member's weight.
 *  `inner` is of `inner_type`, `outer` and `delta` of its outer type. `delta` may be `outer`, or `inner` if they are
 *  of one type. The scale must be finite in the outer type. */
HAWSER_API hawserResult_t hawserPseudoGradient(const void* outer, const void* inner, void* delta, uint64_t count,
                                               hawserDataType_t inner_type, double scale);

/** values = (values * multiplier) / divisor, two roundings; a factor of 1 changes nothing. Makes a weighted average
 *  of a weighted sum (divisor: the sum of the weights). `type` is float32 or float64; both factors are finite in
 *  it, and the divisor is not 0. */
HAWSER_API hawserResult_t hawserScale(void* values, uint64_t count, hawserDataType_t type, double multiplier,
                                      double divisor);

/** The settings of torch.optim.SGD. Fill with HAWSER_OUTER_STEP_OPTIONS_INIT, which has those of the DiLoCo paper. */
typedef struct hawserOuterStepOptions {
  size_t size;
  double learning_rate; /**< 0 or more. */
  double momentum;      /**< 0 or more; 0: none. */
  uint32_t nesterov;    /**< 0, or 1, which needs a momentum above 0. */
} hawserOuterStepOptions_t;

#define HAWSER_OUTER_STEP_OPTIONS_INIT {sizeof(hawserOuterStepOptions_t), 0.7, 0.9, 1}

/** One step of SGD, `delta` being the gradient:
 *
 *      momentum = (options.momentum * momentum) + delta
 *      d        = nesterov ? delta + (options.momentum * momentum) : momentum
 *      outer    = outer - (options.learning_rate * d)
 *
 *  With options.momentum 0, d is delta, and `momentum` may be null. All tensors are of `type`, float32 or float64.
 *  Before the first step, `momentum` is what hawserClearMomentum makes it. @param options may be null. */
HAWSER_API hawserResult_t hawserOuterStep(void* outer, void* momentum, const void* delta, uint64_t count,
                                          hawserDataType_t type, const hawserOuterStepOptions_t* options);

/** Fills `momentum` with -0.0, the one number that `delta` can be added to without changing a bit of it: so the
 *  first step makes momentum = delta, as PyTorch's does. `type` is float32 or float64. */
HAWSER_API hawserResult_t hawserClearMomentum(void* momentum, uint64_t count, hawserDataType_t type);

/** local = (alpha * local) + ((1 - alpha) * global), alpha from 0 to 1: takes over the group's parameters in part
 *  (streaming DiLoCo). `local` is of `inner_type`, `global` of its outer type. With alpha 0 `local` is not read:
 *  it becomes `global`, rounded to the inner type. With alpha 1 nothing is done. */
HAWSER_API hawserResult_t hawserMix(void* local, const void* global, uint64_t count, hawserDataType_t inner_type,
                                    double alpha);

/** local = local + (a - b): moves parameters that are being trained along with the group's (delayed DiLoCo).
 *  `local` is of `inner_type`, `a` and `b` of its outer type. `a` and `b` may overlap. */
HAWSER_API hawserResult_t hawserAddDifference(void* local, const void* a, const void* b, uint64_t count,
                                              hawserDataType_t inner_type);

#ifdef __cplusplus
}
#endif
#endif
