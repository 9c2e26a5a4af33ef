"""One of the DiLoCo family where a framework wants a torch.optim.Optimizer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]

from hawser.torch.outer_loop import OuterLoop

__all__ = ["as_optimizer"]


def as_optimizer(outer_loop: OuterLoop) -> Any:
    """`outer_loop` as a torch.optim.Optimizer, for Lightning, Accelerate, the HF Trainer, schedulers, GradScaler.

        optimizer = as_optimizer(DiLoCo(model, torch.optim.AdamW(model.parameters()), comm, sync_every=500))

    Its `step` is that of outer_loop, and blocks and raises as that does; with a closure it returns the loss. Groups of
    parameters, their learning rates, state and defaults are those of the inner optimiser, so that a scheduler sets the
    inner rates. `state_dict` and `load_state_dict` are those of outer_loop: all members load at once, after equally
    many steps. What was taken last, without a step since, may be given back at any time, and changes nothing.

    Steps that a GradScaler skips are no steps of the round: a member that skips some ends its round later, and the
    others wait. `add_param_group` raises RuntimeError: the group has agreed on the parameters.
    """
    return _AsOptimizer(outer_loop)


class _AsOptimizer(torch.optim.Optimizer):  # type: ignore[misc,unused-ignore]
    def __init__(self, outer_loop: OuterLoop) -> None:
        self.outer_loop = outer_loop
        self._taken = ""  # Names the moment of the latest state_dict.
        # What Optimizer.__init__ prepares beside groups and state, which are the inner optimiser's.
        super().__setstate__({})

    @property
    def param_groups(self) -> Any:
        return self.outer_loop.inner.param_groups

    @param_groups.setter
    def param_groups(self, groups: Any) -> None:
        self.outer_loop.inner.param_groups = groups

    @property
    def state(self) -> Any:
        return self.outer_loop.inner.state

    @state.setter
    def state(self, state: Any) -> None:
        self.outer_loop.inner.state = state

    @property
    def defaults(self) -> Any:
        return self.outer_loop.inner.defaults

    @defaults.setter
    def defaults(self, defaults: Any) -> None:
        self.outer_loop.inner.defaults = defaults

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._taken = ""
        self.outer_loop.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.outer_loop.zero_grad(set_to_none)

    def add_param_group(self, param_group: Any) -> None:
        raise RuntimeError(
            "no parameters can be added: all members have agreed on them. Make the inner optimizer with all of them, "
            f"then {type(self.outer_loop).__name__}"
        )

    def state_dict(self) -> dict[str, Any]:
        self._taken = secrets.token_hex(8)
        return {**self.outer_loop.state_dict(), "taken": self._taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # Accelerate gives back what it has just taken, on each member when it comes: that is no call of all.
        if self._taken and state_dict.get("taken") == self._taken:
            return
        self.outer_loop.load_state_dict(state_dict)

    def __repr__(self) -> str:
        return f"{type(self.outer_loop).__name__} as an optimizer, with {self.outer_loop.inner!r}"

    def __getstate__(self) -> Any:
        raise TypeError("it cannot be pickled or copied: it belongs to a communicator. Take state_dict()")
