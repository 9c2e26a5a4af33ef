"""What makes a model is alike on all members, or an error names it: buffers, frozen parameters, tied weights."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
from peers import communicator, run_threads

import hawser

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from hawser.torch import AsyncDiLoCo, DataParallel, DiLoCo, StreamingDiLoCo  # noqa: E402

H = 4
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "DiLoCo": (DiLoCo, {}),
    "AsyncDiLoCo": (AsyncDiLoCo, {}),
    "StreamingDiLoCo": (StreamingDiLoCo, {"fragments": 2, "overlap": 1}),
}


_seeding = threading.Lock()
"""Torch has one generator for all threads."""


class Net(nn.Module):
    """A frozen layer, BatchNorm, a flag that is assigned anew, and a cache that is not saved."""

    base: Any
    norm: Any
    head: Any
    flag: Any
    cache: Any

    def __init__(self, frozen_seed: int = 0) -> None:
        super().__init__()
        with _seeding:
            torch.manual_seed(frozen_seed)
            self.base = nn.Linear(6, 6)
            torch.manual_seed(1)
            self.norm = nn.BatchNorm1d(6)
            self.head = nn.Linear(6, 2)
        for parameter in self.base.parameters():
            parameter.requires_grad_(False)
        self.register_buffer("flag", torch.zeros(2, dtype=torch.bool))
        self.register_buffer("cache", torch.zeros(3), persistent=False)

    def forward(self, x: Any) -> Any:
        self.flag = torch.ones(2, dtype=torch.bool)
        return self.head(self.norm(self.base(x)))


def sgd(net: nn.Module) -> Any:
    return torch.optim.SGD(net.parameters(), lr=0.05)


def make(kind: str, comm: hawser.Communicator, net: nn.Module, given: Any = None, **options: Any) -> Any:
    loop, own = KINDS[kind]
    inner = options.pop("inner", None) or sgd(net)
    return loop(
        net if given is None else given, inner, comm, **{"sync_every": H, "alone_timeout_s": 30, **own, **options}
    )


def train(loop: Any, net: nn.Module, member: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(100 + member)
    for _ in range(steps):
        net(torch.randn(8, 6, generator=generator) + 3 * member).square().mean().backward()
        loop.step()
        loop.zero_grad()


def bits(net: nn.Module) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_buffers_are_alike(master: hawser.Master, kind: str) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, dict[str, bytes], dict[str, bytes]]:
        member = comm.rank
        net = Net()
        net.cache += member
        with torch.no_grad():
            net.norm.running_mean += 7 * member
        loop = make(kind, comm, net)
        if member:
            net.norm.num_batches_tracked += 100
        train(loop, net, member, 3 * H)
        assert net.cache.eq(member).all()
        fresh = Net(frozen_seed=5)
        fresh.load_state_dict(loop.outer_model())
        assert net.flag.all() and fresh.flag.all()
        return loop.digest(), bits(net), bits(fresh)

    (digest, net, outer), (other_digest, other_net, other_outer) = run_threads(master.address, 2, body)
    assert digest == other_digest and outer == other_outer
    assert outer["norm.num_batches_tracked"] == net["norm.num_batches_tracked"]
    if kind == "DiLoCo":
        assert net == other_net == outer
    else:
        assert net["norm.num_batches_tracked"] == other_net["norm.num_batches_tracked"]


def test_the_average_of_buffers_has_the_weights(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> Any:
        member = comm.rank
        net = Net()
        loop = make("DiLoCo", comm, net, weight=lambda: (3, 1)[member])
        train(loop, net, member, H - 1)
        with torch.no_grad():
            net.norm.momentum = 0.0  # what is there stays
            net.norm.running_mean.fill_(8.0 * member)
        train(loop, net, member, 1)
        return net.norm.running_mean.tolist()

    assert run_threads(master.address, 2, body) == [[2.0] * 6] * 2


def test_local_buffers_stay(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> tuple[str, bytes]:
        net, member = Net(), comm.rank
        loop = make("DiLoCo", comm, net, buffers="local")
        train(loop, net, member, H)
        return loop.digest(), bits(net)["norm.running_mean"]

    first, second = run_threads(master.address, 2, body)
    assert first[0] == second[0] and first[1] != second[1]


def test_buffers_of_a_list_of_parameters(master: hawser.Master, caplog: pytest.LogCaptureFixture) -> None:
    def body(comm: hawser.Communicator) -> dict[str, bytes]:
        net, member = Net(), comm.rank
        loop = make("DiLoCo", comm, net, list(net.named_parameters()), buffers=net.named_buffers())
        net.cache += 1
        train(loop, net, member, H)
        return bits(net)

    first, second = run_threads(master.address, 2, body)
    assert first["norm.running_mean"] == second["norm.running_mean"]
    assert "running statistics" not in caplog.text


def test_parameters_without_a_module_are_said(master: hawser.Master, caplog: pytest.LogCaptureFixture) -> None:
    net = Net()
    with communicator(master.address) as comm:
        make("DiLoCo", comm, net, net.named_parameters(), on_alone="continue")
        assert not caplog.records
        make("DiLoCo", comm, net, list(net.parameters()), on_alone="continue", first_tag=1 << 45)
    assert "running statistics" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_has_buffers(master: hawser.Master, kind: str) -> None:
    def whole(comm: hawser.Communicator) -> Any:
        net, member = Net(), comm.rank
        loop = make(kind, comm, net)
        train(loop, net, member, 2 * H)
        saved = copy.deepcopy(loop.state_dict())
        train(loop, net, member, 2 * H)
        return saved, bits(net), loop.digest()

    def resumed(comm: hawser.Communicator) -> Any:
        net, member = Net(), comm.rank
        loop = make(kind, comm, net, resume=results[member][0])
        train(loop, net, member, 2 * H)
        return bits(net), loop.digest()

    results = run_threads(master.address, 2, whole)
    with hawser.Master("127.0.0.1:0", bootstrap_ms=200) as another:
        assert run_threads(another.address, 2, resumed) == [(values, digest) for _, values, digest in results]


# ------------------------------------------------------------------------------------------------ frozen parameters


def join_a_run(address: str, body: Any, **options: Any) -> list[Any]:
    """A member trains; a newcomer runs body(comm, refused); gives what it has put there, and the member's net."""
    said: list[Any] = []

    def newcomer() -> None:
        with communicator(address) as comm:
            body(comm, said)

    with communicator(address) as comm:
        net = Net()
        loop = make("DiLoCo", comm, net, on_alone="continue", **options)
        train(loop, net, 0, H)
        thread = threading.Thread(target=newcomer)
        thread.start()
        while thread.is_alive():
            train(loop, net, 0, 1)
        while loop.local_steps:
            train(loop, net, 0, 1)
        said.append((loop.digest(), bits(net)))
    return said


def test_frozen_parameters_must_be_alike(master: hawser.Master) -> None:
    def newcomer(comm: hawser.Communicator, said: list[Any]) -> None:
        with pytest.raises(hawser.Refused, match="frozen parameters.*content.*frozen=True"):
            make("DiLoCo", comm, Net(frozen_seed=3))
        said.append("refused")

    assert join_a_run(master.address, newcomer)[0] == "refused"


def test_frozen_parameters_are_fetched(master: hawser.Master) -> None:
    def newcomer(comm: hawser.Communicator, said: list[Any]) -> None:
        net = Net(frozen_seed=3)
        make("DiLoCo", comm, net, frozen=True)
        said.append(bits(net)["base.weight"])

    fetched, (_, others) = join_a_run(master.address, newcomer, frozen=True)
    assert fetched == others["base.weight"]


def test_frozen_parameters_may_be_local(master: hawser.Master) -> None:
    def newcomer(comm: hawser.Communicator, said: list[Any]) -> None:
        net = Net(frozen_seed=3)
        make("DiLoCo", comm, net, frozen="local")
        said.append(bits(net)["base.weight"])

    own, (_, others) = join_a_run(master.address, newcomer, frozen="local")
    assert own != others["base.weight"]


def test_another_inner_optimizer_is_refused(master: hawser.Master) -> None:
    def newcomer(comm: hawser.Communicator, said: list[Any]) -> None:
        net = Net()
        groups = [{"params": net.norm.parameters()}, {"params": net.head.parameters()}]
        with pytest.raises(hawser.Refused, match="inner optimizer.*Adam, 2 groups"):
            make("DiLoCo", comm, net, inner=torch.optim.Adam(groups))
        said.append("refused")

    assert join_a_run(master.address, newcomer)[0] == "refused"


def test_digest_covers_frozen_parameters(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        net = Net()
        loop = make("DiLoCo", comm, net, on_alone="continue")
        before = loop.digest()
        net.base.weight.data[0, 0] += 1  # torch counts no such change
        assert loop.digest() != before
        net.base.weight.data[0, 0] -= 1
        train(loop, net, 0, H)


# ------------------------------------------------------------------------------------------------ what changes later


def unfreeze(net: Any, inner: Any) -> str:
    net.base.weight.requires_grad_(True)
    return "base.weight was frozen then"


def add(net: Any, inner: Any) -> str:
    net.late = nn.Linear(2, 2)
    return "late.weight was added"


def replace(net: Any, inner: Any) -> str:
    net.head.weight = nn.Parameter(net.head.weight.detach().clone())
    return "head.weight was replaced"


def widen(net: Any, inner: Any) -> str:
    net.head.bias.data = torch.zeros(5)
    return r"head.bias was \(2,\) float32 on cpu then, and is \(5,\)"


def add_buffer(net: Any, inner: Any) -> str:
    net.head.register_buffer("scale", torch.ones(1))
    return "buffer head.scale was added"


def write_frozen(net: Any, inner: Any) -> str:
    with torch.no_grad():
        net.base.bias += 1
    return "frozen parameter base.bias was written to"


def add_group(net: Any, inner: Any) -> str:
    inner.add_param_group({"params": [nn.Parameter(torch.zeros(3))]})
    return "number 0 of group 1"


@pytest.mark.parametrize("change", [unfreeze, add, replace, widen, add_buffer, write_frozen, add_group])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_changes_is_an_error(master: hawser.Master, kind: str, change: Any) -> None:
    with communicator(master.address) as comm:
        net = Net()
        inner = sgd(net)
        loop = make(kind, comm, net, inner=inner, on_alone="continue")
        train(loop, net, 0, H)
        with pytest.raises(RuntimeError, match=change(net, inner)):
            for _ in range(H):
                loop.step()


def test_data_parallel_names_what_changed(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        net = Net()
        parallel = DataParallel(net, comm)
        net(torch.randn(8, 6)).square().mean().backward()
        parallel.finish()
        net.zero_grad()
        net.base.weight.requires_grad_(True)
        net(torch.randn(8, 6)).square().mean().backward()
        with pytest.raises(RuntimeError, match="base.weight was frozen then"):
            parallel.finish()
        parallel.close()
        comm.barrier()

    run_threads(master.address, 2, body)


def test_tied_weights_are_one_entry(master: hawser.Master) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(3, 3)
            self.out = nn.Linear(3, 3)
            self.out.weight = self.embed.weight

    with communicator(master.address) as comm:
        net = Tied()
        loop = make("DiLoCo", comm, net, on_alone="continue")
        assert list(loop.outer_parameters()) == ["embed.weight", "embed.bias", "out.bias"]
        Tied().load_state_dict(loop.outer_model())


def test_parameters_that_only_the_inner_optimizer_knows(
    master: hawser.Master, caplog: pytest.LogCaptureFixture
) -> None:
    with communicator(master.address) as comm:
        net = Net()
        make("DiLoCo", comm, net, net.head, on_alone="continue")
    assert "not given (number 2 of group 0, (6,); number 3 of group 0, (6,))" in caplog.text


def test_choices(master: hawser.Master) -> None:
    with communicator(master.address) as comm:
        with pytest.raises(ValueError, match='"local"'):
            make("DiLoCo", comm, Net(), buffers="mine")
        with pytest.raises(ValueError, match='"local"'):
            make("DiLoCo", comm, Net(), frozen="mine")
