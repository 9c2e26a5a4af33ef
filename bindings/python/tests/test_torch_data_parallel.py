from __future__ import annotations

from typing import Any

import pytest
from peers import PeerProcess, joined, run_threads
from multiprocessing.connection import Connection

import hawser
from hawser import Plan, Quantization, ReduceOp

torch = pytest.importorskip("torch")

from hawser.torch import DataParallel  # noqa: E402


def model_of(seed: int, *, unused: bool = False) -> Any:
    model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    if unused:
        model.add_module("unused", torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(5))]))
    start = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=start) * 0.3)
    return model


def backward(model: Any, member: int, step: int) -> None:
    data = torch.Generator().manual_seed(1000 * step + member)
    output = model[2](model[1](model[0](torch.randn(8, 6, generator=data))))
    torch.nn.functional.mse_loss(output, torch.randn(8, 3, generator=data)).backward()


@pytest.mark.parametrize("bucket_bytes", [1, 300, 25 << 20])
def test_equals_the_plain_loop(master: hawser.Master, bucket_bytes: int) -> None:
    def body(comm: hawser.Communicator) -> bool:
        ours, plain = model_of(5), model_of(5)
        parallel = DataParallel(ours.parameters(), comm, bucket_bytes=bucket_bytes, plan=Plan.RING)
        optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in (ours, plain)]
        for step in range(5):
            for optimizer in optimizers:
                optimizer.zero_grad()
            backward(plain, comm.rank, step)
            for parameter in plain.parameters():
                comm.all_reduce(parameter.grad, op=ReduceOp.AVG, plan=Plan.RING)
            backward(ours, comm.rank, step)
            assert len(parallel.finish()) == 2
            for optimizer in optimizers:
                optimizer.step()
        comm.barrier()
        parallel.close()
        return all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters()))

    assert run_threads(master.address, 2, body) == [True, True]


def test_accumulated_unused_and_quantised(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> list[bytes]:
        model = model_of(5, unused=True)
        parallel = DataParallel(model.named_parameters(), comm, quantization=Quantization.min_max())
        with parallel.accumulate():
            backward(model, comm.rank, 1)
        backward(model, comm.rank, 2)
        own = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        parallel.finish()
        gradients = [parameter.grad for parameter in model.parameters()]
        assert not any(torch.equal(a, b) for a, b in zip(own, gradients))
        assert model.unused[0].grad.abs().max() < 0.05
        return [parameter.grad.numpy().tobytes() for parameter in model.parameters()]

    first, second, third = run_threads(master.address, 3, body)
    assert first == second == third


def test_backward_twice(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        model = model_of(5)
        parallel = DataParallel(model.parameters(), comm)
        backward(model, comm.rank, 1)
        with pytest.raises(RuntimeError, match="backward ran twice"):
            backward(model, comm.rank, 1)
        parallel.finish()
        comm.barrier()

    run_threads(master.address, 2, body)


def member(address: str, pipe: Connection, number: int) -> None:
    with joined(address, 3) as comm:
        model = model_of(5)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        parallel = DataParallel(model.parameters(), comm, bucket_bytes=100)
        for step in range(40):
            optimizer.zero_grad()
            backward(model, number, step)
            if number == 2 and step == 20:
                pipe.send("killed here")  # with gradients under way
                pipe.recv()
            contributors = parallel.finish()
            assert len(contributors) == (3 if step < 20 else 2) or step == 20
            optimizer.step()
        pipe.send([parameter.detach().numpy().tobytes() for parameter in model.parameters()])
        comm.barrier()


def test_a_member_dies(master: hawser.Master) -> None:
    peers = [PeerProcess(member, master.address, i) for i in range(3)]
    assert peers[2].receive() == "killed here"
    peers[2].process.kill()
    first, second = (peer.receive() for peer in peers[:2])
    assert first == second and isinstance(first[0], bytes)
    for peer in peers[:2]:
        peer.result()


def test_alone(master: hawser.Master) -> None:
    def body(comm: hawser.Communicator) -> None:
        model = model_of(5)
        parallel = DataParallel(model.parameters(), comm)
        backward(model, 0, 1)
        own = [parameter.grad.clone() for parameter in model.parameters()]
        with pytest.raises(hawser.TooFewPeers):
            parallel.finish()
        assert all(torch.equal(a, parameter.grad) for a, parameter in zip(own, model.parameters()))

    run_threads(master.address, 1, body)
