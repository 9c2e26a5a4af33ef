"""The formulas by operations of torch have the bits of hawser.optim: what runs on devices is tested on the CPU."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from hawser import optim
from hawser.torch import device_arithmetic

Dtype = Any  # of torch, which is not there everywhere
Tensor = Any
INNER = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
COUNT = 40_000
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
pytestmark = [pytest.mark.parametrize("device", DEVICES)]


def outer_type(inner: Dtype) -> Dtype:
    return torch.float64 if inner == torch.float64 else torch.float32


def values(dtype: Dtype, seed: int) -> Tensor:
    """Any bits: all special values of the 16-bit types are among them, and denormals, infinities and NaNs of all."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty((), dtype=dtype).element_size()
    raw = torch.randint(0, 256, (COUNT // 4 * size,), dtype=torch.uint8, generator=generator).view(dtype)
    near = torch.randn(COUNT // 2, generator=generator, dtype=torch.float64).to(dtype)
    info = torch.finfo(dtype)
    special = [0.0, -0.0, 1.0, -1.0, info.max, -info.max, info.tiny, info.tiny / 2, info.eps]
    special += [float("inf"), -float("inf"), float("nan")]
    rows = torch.tensor(special, dtype=torch.float64).to(dtype)
    result = torch.cat([raw, near, rows.repeat(COUNT // 4 // len(special) + 1)])[:COUNT]
    return result[torch.randperm(COUNT, generator=generator)].contiguous()


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Payloads and signs of NaNs apart."""
    nan = one.isnan()
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
    return bool(torch.equal(nan, other.isnan()) and torch.equal(one[~nan].view(integers), other[~nan].view(integers)))


def compared(device: str, call: Callable[..., None], given: list[Tensor]) -> None:
    """`call` on (module, tensors) leaves all tensors the same."""
    expected = [tensor.clone() for tensor in given]
    call(optim, *expected)
    found = [tensor.to(device, copy=True) for tensor in given]
    call(device_arithmetic, *found)
    for one, other in zip(expected, found):
        assert same_bits(one, other.cpu())


@pytest.fixture(params=INNER, ids=str)
def inner(request: pytest.FixtureRequest) -> Dtype:
    return request.param


@pytest.fixture(autouse=True)
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_arithmetic, "_PIECE", 7_001)


@pytest.mark.parametrize("scale", [1.0, 0.3, 1 / 3, 7e4])
def test_pseudo_gradient(device: str, inner: Dtype, scale: float) -> None:
    outer = outer_type(inner)
    given = [values(outer, 1), values(inner, 2), values(outer, 3)]
    compared(device, lambda by, theta, local, delta: by.pseudo_gradient(theta, local, delta, scale), given)


@pytest.mark.parametrize("outer", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("factors", [(1.0, 3.0), (0.7, 1.0), (0.1, 49.0), (1e-3, 1e3), (1.0, 1 / 3)])
def test_scale(device: str, outer: Dtype, factors: tuple[float, float]) -> None:
    compared(device, lambda by, all_of: by.scale(all_of, *factors), [values(outer, 4)])


@pytest.mark.parametrize("outer", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("rates", [(0.7, 0.9), (1.0, 0.1), (0.3, 1 / 3)])
def test_outer_step(device: str, outer: Dtype, nesterov: bool, rates: tuple[float, float]) -> None:
    given = [values(outer, 5), values(outer, 6), values(outer, 7)]
    compared(device, lambda by, theta, m, delta: by.outer_step(theta, m, delta, *rates, nesterov), given)


@pytest.mark.parametrize("outer", [torch.float32, torch.float64], ids=str)
def test_outer_step_without_momentum(device: str, outer: Dtype) -> None:
    given = [values(outer, 8), values(outer, 9)]
    compared(device, lambda by, theta, delta: by.outer_step(theta, None, delta, 0.7, 0.0, False), given)


@pytest.mark.parametrize("outer", [torch.float32, torch.float64], ids=str)
def test_first_step(device: str, outer: Dtype) -> None:
    def first(by: Any, theta: Tensor, m: Tensor, delta: Tensor) -> None:
        by.clear_momentum(m)
        by.outer_step(theta, m, delta, 0.7, 0.9, True)

    compared(device, first, [values(outer, 10), values(outer, 11), values(outer, 12)])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.3, 1.0])
def test_mix(device: str, inner: Dtype, alpha: float) -> None:
    given = [values(inner, 13), values(outer_type(inner), 14)]
    compared(device, lambda by, local, theta: by.mix(local, theta, alpha), given)


def test_add_difference(device: str, inner: Dtype) -> None:
    outer = outer_type(inner)
    given = [values(inner, 15), values(outer, 16), values(outer, 17)]
    compared(device, lambda by, local, a, b: by.add_difference(local, a, b), given)


def test_tensors_of_different_lengths_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match=r"\[3, 4\] elements"):
        device_arithmetic.mix(torch.zeros(3, device=device), torch.zeros(4, device=device), 0.5)
