"""Enums, descriptors and errors of `hawser.compat.pccl`. Numbers are those of PCCL 1.0."""

from __future__ import annotations

import ctypes
from enum import Enum
from typing import Any

from hawser import _core
from hawser._core import Quantization, QuantizedType
from hawser.errors import HawserError

__all__ = [
    "Attribute",
    "DataType",
    "DeviceType",
    "DistributionHint",
    "PCCLError",
    "QuantizationAlgorithm",
    "QuantizationOptions",
    "ReduceDescriptor",
    "ReduceInfo",
    "ReduceOp",
    "ReduceOpDescriptor",
    "ReduceOperandDescriptor",
    "Result",
    "SharedStateSyncInfo",
    "SharedStateSyncStrategy",
    "TensorInfo",
]


class Result(Enum):
    """What a call came to. docs/pccl.md says when."""

    SUCCESS = 0
    NOT_INITIALIZED = 1
    INTERNAL_ERROR = 2
    INVALID_ARGUMENT = 3
    INVALID_USAGE = 4
    TOO_FEW_PEERS = 5
    MASTER_CONNECTION_FAILED = 6
    RANK_CONNECTION_FAILED = 7
    RANK_CONNECTION_LOST = 8
    NO_SHARED_STATE_AVAILABLE = 9
    PENDING_ASYNC_OPS = 10
    UPDATE_TOPOLOGY_FAILED = 11
    TOPOLOGY_OPTIMIZATION_FAILED = 12


# By hawserResult_t.
_RESULTS = {
    1: Result.INVALID_ARGUMENT,
    2: Result.INVALID_USAGE,
    3: Result.TOO_FEW_PEERS,
    4: Result.RANK_CONNECTION_LOST,
    5: Result.RANK_CONNECTION_LOST,
    6: Result.RANK_CONNECTION_LOST,
    7: Result.MASTER_CONNECTION_FAILED,
    8: Result.MASTER_CONNECTION_FAILED,
    9: Result.MASTER_CONNECTION_FAILED,
    10: Result.RANK_CONNECTION_LOST,
    12: Result.INVALID_USAGE,
}


def result_of(error: HawserError, retry: Result = Result.RANK_CONNECTION_LOST) -> Result:
    """The result that a program for PCCL expects.

    Args:
        retry: the call's own result for a loss, for members that differ and for a group that is too small.
    """
    plain = _RESULTS.get(error.code, Result.INTERNAL_ERROR)
    return retry if plain in (Result.RANK_CONNECTION_LOST, Result.TOO_FEW_PEERS) else plain


class PCCLError(Exception):
    """A call that did not succeed. `result` says how; the text has the sentence of the library."""

    def __init__(self, result: Result, func_name: str, sentence: str = "") -> None:
        super().__init__(f"{func_name} failed with error: {result.name}{': ' if sentence else ''}{sentence}")
        self.result = result

    @staticmethod
    def check(result: int, func_name: str) -> None:
        """Raises PCCLError unless the number is that of SUCCESS."""
        if result != Result.SUCCESS.value:
            raise PCCLError(Result(result), func_name)


class ReduceOp(Enum):
    """How elements are combined."""

    SUM = 0
    AVG = 1
    PROD = 2
    MAX = 3
    MIN = 4


class Attribute(Enum):
    """What `Communicator.get_attribute` tells."""

    GLOBAL_WORLD_SIZE = 1
    """Members of all groups together."""
    LOCAL_WORLD_SIZE = 2
    """Members of this peer's group."""
    NUM_DISTINCT_PEER_GROUPS = 3
    """Groups that have members."""
    LARGEST_PEER_GROUP_WORLD_SIZE = 4
    """Members of the largest group."""


class SharedStateSyncStrategy(Enum):
    """Whether a member offers its content, and takes another one."""

    ENFORCE_POPULAR = 0
    RECEIVE_ONLY = 1
    SEND_ONLY = 2


class DataType(Enum):
    """Types of elements."""

    UINT8 = 0
    INT8 = 1
    INT16 = 2
    """Missing in PCCL's Python package."""
    UINT16 = 3
    UINT32 = 4
    INT32 = 5
    UINT64 = 6
    INT64 = 7
    FLOAT16 = 8
    BFLOAT16 = 9
    FLOAT = 10
    DOUBLE = 11

    def _common_name(self) -> str:
        return {"FLOAT": "float32", "DOUBLE": "float64"}.get(self.name, self.name.lower())

    @classmethod
    def _of_name(cls, name: str) -> DataType:
        name = name.rpartition(".")[2]
        for kind in cls:
            if kind._common_name() == name:
                return kind
        raise ValueError(f"there is no data type for {name}")

    def to_torch_dtype(self) -> Any:
        """The torch.dtype of this type."""
        import torch

        return getattr(torch, self._common_name())

    def to_numpy_dtype(self) -> Any:
        """The numpy.dtype of this type. Raises ValueError (bfloat16)."""
        import numpy

        if self is DataType.BFLOAT16:
            raise ValueError("NumPy has no bfloat16")
        return numpy.dtype(self._common_name())

    @classmethod
    def from_torch_dtype(cls, dtype: Any) -> DataType:
        """The type of a torch.dtype. Raises ValueError."""
        return cls._of_name(str(dtype))

    @classmethod
    def from_numpy_dtype(cls, dtype: Any) -> DataType:
        """The type of a numpy.dtype. Raises ValueError."""
        return cls._of_name(str(dtype))


class DeviceType(Enum):
    """Where a tensor's memory is."""

    CPU = 0
    CUDA = 1

    @classmethod
    def from_torch_device_type(cls, device_type: str) -> DeviceType | None:
        """The type of `tensor.device.type`; None if there is none."""
        return {"cpu": cls.CPU, "cuda": cls.CUDA}.get(device_type)


class DistributionHint(Enum):
    """A hint without effect, as in PCCL 1.0."""

    NONE = 0
    NORMAL = 1
    UNIFORM = 2


class QuantizationAlgorithm(Enum):
    """How floats are made smaller on the wire."""

    NONE = 0
    MIN_MAX = 1
    ZERO_POINT_SCALE = 2


# Format of the buffer protocol, and bytes.
_FORMATS = {
    DataType.UINT8: ("B", 1),
    DataType.INT8: ("b", 1),
    DataType.INT16: ("h", 2),
    DataType.UINT16: ("H", 2),
    DataType.UINT32: ("I", 4),
    DataType.INT32: ("i", 4),
    DataType.UINT64: ("Q", 8),
    DataType.INT64: ("q", 8),
    DataType.FLOAT: ("f", 4),
    DataType.DOUBLE: ("d", 8),
}
_TYPESTRS = {DataType.FLOAT16: "<f2"}


class _CudaMemory:
    """Memory on a GPU by its address."""

    def __init__(self, address: int, count: int, dtype: DataType) -> None:
        letter, size = _FORMATS.get(dtype, ("", 0))
        typestr = _TYPESTRS.get(dtype) or f"<{'f' if letter in 'fd' else 'u' if letter.isupper() else 'i'}{size}"
        self.__cuda_array_interface__ = {"shape": (count,), "typestr": typestr, "data": (address, False), "version": 3}


def memory_at(address: int, count: int, dtype: DataType, device: DeviceType) -> Any:
    """Memory by its address, as a tensor. Nothing keeps it alive.

    Raises ValueError for 16-bit floats that no Python object describes: make these from torch tensors or NumPy arrays.
    """
    on_host = device is DeviceType.CPU
    if dtype is DataType.BFLOAT16 or (on_host and dtype not in _FORMATS):
        raise ValueError(f"memory of {dtype.name} cannot be named by its address; use from_torch or from_numpy")
    if not on_host:
        return _CudaMemory(address, count, dtype)
    letter, size = _FORMATS[dtype]
    plain: Any = memoryview((ctypes.c_uint8 * (count * size)).from_address(address)).cast("B")
    return plain.cast(letter)


class ReduceOperandDescriptor:
    """The type of a reduction's elements."""

    def __init__(self, datatype: DataType, distribution_hint: DistributionHint = DistributionHint.NONE) -> None:
        self.datatype = datatype
        self.distribution_hint = distribution_hint


class QuantizationOptions:
    """To UINT8, INT8 or UINT16. The type is not read if the algorithm is NONE."""

    def __init__(
        self,
        quantized_datatype: DataType = DataType.UINT8,
        algorithm: QuantizationAlgorithm = QuantizationAlgorithm.MIN_MAX,
    ) -> None:
        self.quantized_datatype = quantized_datatype
        self.algorithm = algorithm


def quantization_of(options: QuantizationOptions | None, call: str) -> Quantization | None:
    """Raises PCCLError (a type to which nothing is quantised)."""
    if options is None or options.algorithm is QuantizationAlgorithm.NONE:
        return None
    quantized = {
        DataType.UINT8: QuantizedType.UINT8,
        DataType.INT8: QuantizedType.INT8,
        DataType.UINT16: QuantizedType.UINT16,
    }.get(options.quantized_datatype)
    if quantized is None:
        sentence = f"nothing is quantised to {options.quantized_datatype.name}; use UINT8, INT8 or UINT16"
        raise PCCLError(Result.INVALID_ARGUMENT, call, sentence)
    if options.algorithm is QuantizationAlgorithm.MIN_MAX:
        return Quantization.min_max(quantized)
    return Quantization.zero_point_scale(quantized)


def op_of(op: ReduceOp) -> _core.ReduceOp:
    return _core.ReduceOp[op.name]


class ReduceDescriptor:
    """Parameters of one reduction in a list."""

    def __init__(
        self,
        count: int,
        op: ReduceOp,
        tag: int,
        operand_descriptor: ReduceOperandDescriptor,
        quantization_options: QuantizationOptions,
    ) -> None:
        self.count = count
        self.op = op
        self.tag = tag
        self.operand_descriptor = operand_descriptor
        self.quantization_options = quantization_options


class ReduceOpDescriptor:
    """One reduction in a list, from memory by its address, or from tensors, which are kept alive."""

    def __init__(self, sendbuf_ptr: int, recvbuf_ptr: int, reduce_descriptor: ReduceDescriptor) -> None:
        self.sendbuf_ptr = sendbuf_ptr
        self.recvbuf_ptr = recvbuf_ptr
        self.reduce_descriptor = reduce_descriptor
        self._tensors: tuple[Any, Any] | None = None

    @staticmethod
    def from_torch(send: Any, recv: Any, reduce_descriptor: ReduceDescriptor) -> ReduceOpDescriptor:
        """From two contiguous torch tensors of one type and size, which may be the same one."""
        made = ReduceOpDescriptor(send.data_ptr(), recv.data_ptr(), reduce_descriptor)
        made._tensors = (send, recv)
        return made

    @staticmethod
    def from_numpy(send: Any, recv: Any, reduce_descriptor: ReduceDescriptor) -> ReduceOpDescriptor:
        """From two contiguous NumPy arrays of one type and size, which may be the same one."""
        made = ReduceOpDescriptor(send.ctypes.data, recv.ctypes.data, reduce_descriptor)
        made._tensors = (send, recv)
        return made

    def tensors(self) -> tuple[Any, Any]:
        """What is sent, and where the result goes: None for the same memory."""
        if self._tensors is not None:
            send, receive = self._tensors
        else:
            count, dtype = self.reduce_descriptor.count, self.reduce_descriptor.operand_descriptor.datatype
            send = memory_at(self.sendbuf_ptr, count, dtype, DeviceType.CPU)
            receive = memory_at(self.recvbuf_ptr, count, dtype, DeviceType.CPU)
        return send, None if self.sendbuf_ptr == self.recvbuf_ptr else receive


class TensorInfo:
    """A named tensor of a shared state."""

    def __init__(
        self,
        name: str,
        data_ptr: int,
        *,
        numel: int,
        dtype: DataType,
        device_type: DeviceType,
        allow_content_inequality: bool,
    ) -> None:
        if data_ptr == 0:
            raise ValueError(f"the tensor {name!r} has no memory")
        self.name = name
        self.data_ptr = data_ptr
        self.numel = numel
        self.dtype = dtype
        self.device_type = device_type
        self.allow_content_inequality = allow_content_inequality
        self._tensor: Any = None

    @classmethod
    def from_torch(cls, tensor: Any, name: str, *, allow_content_inequality: bool = False) -> TensorInfo:
        """From a contiguous torch tensor, which is kept alive."""
        device_type = DeviceType.from_torch_device_type(tensor.device.type)
        if device_type is None or hasattr(tensor, "device_mesh"):
            raise ValueError(f"the tensor {name!r} is on {tensor.device} or sharded; use one on the CPU or a GPU")
        made = cls(
            name,
            tensor.data_ptr(),
            numel=tensor.numel(),
            dtype=DataType.from_torch_dtype(tensor.dtype),
            device_type=device_type,
            allow_content_inequality=allow_content_inequality,
        )
        made._tensor = tensor
        return made

    @classmethod
    def from_numpy(cls, tensor: Any, name: str, *, allow_content_inequality: bool = False) -> TensorInfo:
        """From a contiguous NumPy array, which is kept alive."""
        made = cls(
            name,
            tensor.ctypes.data,
            numel=tensor.size,
            dtype=DataType.from_numpy_dtype(tensor.dtype),
            device_type=DeviceType.CPU,
            allow_content_inequality=allow_content_inequality,
        )
        made._tensor = tensor
        return made

    def tensor(self) -> Any:
        """The tensor it was made of, or its memory."""
        if self._tensor is not None:
            return self._tensor
        return memory_at(self.data_ptr, self.numel, self.dtype, self.device_type)


class SharedStateSyncInfo:
    """What a synchronisation did: content that others got from here, and that came here, in bytes."""

    def __init__(self, tx_bytes: int, rx_bytes: int) -> None:
        self.tx_bytes = tx_bytes
        self.rx_bytes = rx_bytes


class ReduceInfo:
    """What a reduction did: its contributors, and the payload that was sent and received, in bytes."""

    def __init__(self, local_world_size: int, tx_bytes: int, rx_bytes: int) -> None:
        self.local_world_size = local_world_size
        self.tx_bytes = tx_bytes
        self.rx_bytes = rx_bytes
