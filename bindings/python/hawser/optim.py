"""The arithmetic of the DiLoCo family on tensors of the caller (docs/optim.md): the same bits on every machine.

Inner parameters (`inner`, `local`) are float32, float64, bfloat16 or float16. All others are of their outer type:
float64 for float64, else float32. The functions work through their tensors at the speed of memory, let other threads
run, and raise InvalidArgument (types, sizes, memory that overlaps) before anything was written.

    pseudo_gradient(outer, inner, delta, scale=1)     delta = (outer - inner) * scale
    scale(values, multiplier=1, divisor=1)            values = (values * multiplier) / divisor
    outer_step(outer, momentum, delta, ...)           as torch.optim.SGD, by the formula in docs/optim.md
    clear_momentum(momentum)                          what it is before the first step
    mix(local, global_, alpha=0)                      local = (alpha * local) + ((1 - alpha) * global_)
    add_difference(local, a, b)                       local = local + (a - b)
"""

from hawser._core import add_difference, clear_momentum, mix, outer_step, pseudo_gradient, scale

__all__ = ["add_difference", "clear_momentum", "mix", "outer_step", "pseudo_gradient", "scale"]
