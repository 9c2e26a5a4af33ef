"""One member of the bench: goes through all measurements as all members do, and prints a JSON line for each."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy

import hawser
from device_bench.matmul import Matmuls, measure_matmuls
from device_bench.memory import Host, Memory, Torch, bits, memory_of
from device_bench.payload import SCHEMES, Payload, Scheme
from hawser import sim_device

BOUND_S = 300
SIOCGIFADDR = 0x8915


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


class Member:
    def __init__(self, arguments: argparse.Namespace, comm: hawser.Communicator) -> None:
        self.arguments = arguments
        self.comm = comm
        self.payload = Payload(arguments.member, arguments.world)
        self.device: Memory = memory_of(arguments.device)
        self.kinds: dict[str, Callable[[int, int, Scheme], dict[str, Any]]] = {
            "host": lambda *what: self.hawser_round(Host(), *what),
            "device": lambda *what: self.hawser_round(self.device, *what),
        }
        if arguments.beside:
            self.kinds["gloo"] = self.gloo_round

    def counters(self) -> dict[str, int]:
        return sim_device.counters() if self.arguments.device == "sim" else {}

    def judged(self, number: int, scheme: Scheme, ms: float, got: Any) -> dict[str, Any]:
        return {"ms": ms, "problem": self.payload.problem(number, scheme, got), "bits": bits(got)}

    def hawser_round(self, memory: Memory, number: int, count: int, scheme: Scheme) -> dict[str, Any]:
        """Out of place: from one tensor into another one."""
        send = memory.put(self.payload.values(number, count))
        receive = memory.put(numpy.zeros(count, numpy.float32))
        memory.settle()
        before = self.counters()
        self.comm.barrier()
        begun = time.perf_counter()
        info = self.comm.all_reduce(send, receive, quantization=scheme.quantization)
        ms = 1e3 * (time.perf_counter() - begun)
        after = self.counters()
        facts = self.judged(number, scheme, ms, memory.read(receive))
        facts |= {"sent": info.bytes_sent, "received": info.bytes_received}
        if after:
            facts |= {"down": after["bytes_down"] - before["bytes_down"], "up": after["bytes_up"] - before["bytes_up"]}
            facts["pinned"] = after["pinned_bytes_most"]
        return facts

    def gloo_round(self, number: int, count: int, scheme: Scheme) -> dict[str, Any]:
        """In place, since Gloo has no other way."""
        import torch.distributed

        # Gloo has no tensors on the simulated device.
        memory = self.device if isinstance(self.device, Torch) else Torch("cpu")
        tensor = memory.put(self.payload.values(number, count))
        memory.settle()
        self.comm.barrier()
        begun = time.perf_counter()
        torch.distributed.all_reduce(tensor)
        memory.settle()
        ms = 1e3 * (time.perf_counter() - begun)
        return self.judged(number, scheme, ms, memory.read(tensor))

    def measure(self) -> None:
        number = 0
        for size in self.arguments.sizes:
            for name in self.arguments.quantize:
                kinds = [kind for kind in self.kinds if kind != "gloo" or name == "none"]
                # The first round opens what is opened lazily, and is not measured.
                for turn in range(self.arguments.rounds + 1):
                    # Each kind comes first as often as the others.
                    for kind in kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)]:
                        number += 1
                        facts = self.kinds[kind](number, size // 4, SCHEMES[name])
                        tell(kind=kind, size=size, quantize=name, turn=turn, member=self.arguments.member, **facts)


def join_gloo(arguments: argparse.Namespace) -> None:
    import torch.distributed

    os.environ.setdefault("GLOO_SOCKET_IFNAME", gloo_interface(arguments.listen))
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{arguments.gloo_file}",
        rank=arguments.member,
        world_size=arguments.world,
        timeout=timedelta(seconds=BOUND_S),
    )


def gloo_interface(address: str) -> str:
    """The one with this address: Gloo's own choice needs a name of the host that leads there."""
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            request = struct.pack("256s", name.encode())
            try:
                answer = fcntl.ioctl(asking.fileno(), SIOCGIFADDR, request)
            except OSError:
                continue  # It has no address.
        if socket.inet_ntoa(answer[20:24]) == address:
            return name
    raise SystemExit(f"bench_device: no network interface has the address {address}, which Gloo was to take")


def run_member(arguments: argparse.Namespace) -> None:
    config: dict[str, Any] = {"listen_address": arguments.listen, "min_peers": arguments.world}
    if arguments.advertise:
        port = arguments.port
        config |= {"advertise_address": arguments.advertise, "port_first": port, "port_last": port}
    with hawser.Communicator(arguments.master, **config) as comm:
        comm.connect()
        if arguments.beside:
            join_gloo(arguments)
        member = Member(arguments, comm)
        member.measure()
        if arguments.matmul:
            assert isinstance(member.device, Torch)
            matmuls = Matmuls(member.device) if arguments.member == 0 else None
            facts = measure_matmuls(comm, member.payload, matmuls, max(arguments.sizes), arguments.rounds)
            if facts:
                tell(kind="matmul", member=arguments.member, **facts)
        comm.barrier()
