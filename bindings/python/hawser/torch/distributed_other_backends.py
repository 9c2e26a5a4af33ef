"""The other halves of a process group whose devices have several backends: "cpu:hawser,cuda:nccl".

Torch stops at the first backend that is a process group of its own, as Hawser's is, and takes it for the whole. So
Hawser's makes the others, and passes calls with tensors of their devices on. Torch does not tell a backend which others
were asked for: that is read from the frame of the function that calls it. If torch changes that function, groups of one
backend go on working.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import PrefixStore  # type: ignore[import-not-found,unused-ignore]
from torch.distributed import distributed_c10d as c10d  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Asked", "OtherBackends", "asked_for"]

_c10d: Any = c10d  # its stubs lack what is private
_Kind: Any = dist.ProcessGroup.BackendType


@dataclass(frozen=True)
class Asked:
    """What torch was asked for. Empty where it cannot be read."""

    backends: dict[str, str] = field(default_factory=dict)
    """The name of the backend of each type of device."""
    group: Any = None
    """What torch has made of them so far."""


def asked_for(caller: FrameType | None) -> Asked:
    """caller: the frame of torch's function that makes process groups."""
    if caller is None or caller.f_code.co_name != "_new_process_group_helper":
        return Asked()
    names = caller.f_locals
    config: dict[str, str] = getattr(names.get("backend_config"), "get_device_backend_map", dict)()
    return Asked(dict(config), names.get("pg"))


class OtherBackends:
    """A process group of torch for the types of devices that are not Hawser's. Ranks are as in the whole group."""

    def __init__(self, asked: Asked, given: Any, own: str) -> None:
        """given: torch's _DistributedBackendOptions. own: Hawser's name."""
        self.devices = {device for device, name in asked.backends.items() if name != own}
        self.group: Any = None
        if not self.devices:
            return
        self.group = dist.ProcessGroup(given.store, given.group_rank, given.group_size)
        made: dict[str, tuple[Any, Any]] = {}
        for device in sorted(self.devices):
            name = asked.backends[device]
            if name not in made:
                made[name] = _there_already(asked, device) or _made(name, device, given)
            kind, backend = made[name]
            self.group._register_backend(torch.device(device), kind, backend)
        self.group._set_default_backend(next(iter(made.values()))[0])


def _there_already(asked: Asked, device: str) -> tuple[Any, Any] | None:
    if asked.group is None or torch.device(device) not in asked.group._device_types:
        return None
    name = asked.backends[device]
    return _Kind.__members__.get(name.upper(), _Kind.CUSTOM), asked.group._get_backend(torch.device(device))


def _made(name: str, device: str, given: Any) -> tuple[Any, Any]:
    """The kind of the backend and itself, as torch makes it."""
    store = PrefixStore(f"{device}:{name}/", given.store)
    rank, size = given.group_rank, given.group_size
    if name == "gloo":
        gloo = _c10d.ProcessGroupGloo(store, rank, size, timeout=given.timeout)
        gloo._set_sequence_number_for_group()
        return _Kind.GLOO, gloo
    if name == "nccl":
        options = _c10d.ProcessGroupNCCL.Options()
        options._timeout = given.timeout
        options.global_ranks_in_group = given.global_ranks_in_group
        options.group_name = given.group_id
        nccl = _c10d.ProcessGroupNCCL(store, rank, size, options)
        nccl._set_sequence_number_for_group()
        return _Kind.NCCL, nccl
    plugin = _c10d.Backend._plugins.get(name.upper())
    if plugin is None:
        raise ValueError(
            f"the hawser backend goes together with gloo, nccl and registered backends, not with {name!r}; make a "
            f"group for {device} with new_group(backend={name!r})"
        )
    if not plugin.extended_api:
        return _Kind.CUSTOM, plugin.creator_fn(store, rank, size, given.timeout)
    return _Kind.CUSTOM, plugin.creator_fn(given, None)
