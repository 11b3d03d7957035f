"""A GPU to test with where there is none: tensors say `cuda:0`, and what CUDA refuses fails as it would there.

Their numbers are in the CPU's memory and its kernels compute them, so that results can be compared with the CPU's. Seen
this way: a tensor, a network or a random generator in the wrong place, an array that NumPy is to read without `.cpu()`,
the branches that ask for `cuda`, and the formats that autocast mixes with bfloat16. Not seen: CUDA's own kernels,
memory, streams, speed and rounding. `torch.save` does not know these tensors; nothing here pickles any.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from plain_cpu import plain_cpu
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
NAMES = ("cuda", "cuda:0", torch.device("cuda"))
aten = torch.ops.aten
LAYERS = {aten.convolution, aten.addmm, aten.mm, aten.bmm}
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
ONE_NUMBER = {aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_}
_Generator = torch.Generator


class OnGpu(Tensor):
    """Its numbers are in `held`, on the CPU. To torch's core it is a `meta` tensor that is looked up as a `cuda` one: a
    build without CUDA knows how to guard the first, and autograd and autocast go by the second."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)

    @staticmethod
    def of(held: Tensor) -> OnGpu:
        size, stride, offset = held.size(), held.stride(), held.storage_offset()
        span = 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if held.numel() else 0
        shape = torch.empty(offset + span, dtype=held.dtype, device="meta").as_strided(size, stride, offset)
        tensor = Tensor._make_subclass(OnGpu, shape, False, device_for_backend_keys=GPU)
        tensor.held = held
        return tensor

    def get_device(self) -> int:
        return 0

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{self.held!r} on {GPU}"


class GpuGenerator(_Generator):
    """What `torch.Generator` makes while there is a GPU: for it, one that draws as the CPU's does, but knows where it
    belongs and has a state of another size, as CUDA's has."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return _Generator.__new__(cls if torch.device(device).type == "cuda" else _Generator)

    def __init__(self, device: Any = "cpu") -> None: ...

    device = property(lambda self: GPU)

    def get_state(self) -> Tensor:
        return torch.cat([super().get_state(), torch.zeros(1, dtype=torch.uint8)])

    def set_state(self, state: Tensor) -> GpuGenerator:
        if len(state) != len(self.get_state()):
            raise RuntimeError("RNG state is wrong size")
        super().set_state(state[:-1].clone())
        return self


def _each(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """With `change` of every tensor in `value`, which is a tensor, a list or a tuple with some, or anything else."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)([_each(one, change) for one in value]) if type(value) in (list, tuple) else value


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, OnGpu) else tensor


def _being_made() -> bool:
    """Whether a network is, which may take its shapes from a first frame on the CPU."""
    callers = (frame for frame, _ in traceback.walk_stack(None) if frame.f_code.co_name == "__init__")
    return any(isinstance(caller.f_locals.get("self"), nn.Module) for caller in callers)


def _require_together(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """CUDA takes the CPU's indices, and single numbers of it where it computes element by element; nothing else."""
    packet = func.overloadpacket
    if packet is aten.copy_:
        return
    if packet in INDEXED:
        indices = [] if isinstance(args[0], OnGpu) else [index for index in args[1] if index is not None]
        tensors = [args[0], *indices, *(value for value in args[2:3] if value.dim())]
    elif torch.Tag.pointwise in func.tags or packet in ONE_NUMBER:
        written = [one for one, spec in zip(args, func._schema.arguments, strict=False) if spec.is_write]
        tensors = [*written, *(tensor for tensor in tensors if tensor.dim() or isinstance(tensor, OnGpu))]
    if len({isinstance(tensor, OnGpu) for tensor in tensors}) > 1:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {GPU} and cpu! ({func})")


class _Kernels(TorchDispatchMode):
    """Runs every operation on tensors of the GPU with the CPU's kernel, on what they hold. A layer of a network that
    computes on the CPU has been left there: that fails too, though CUDA would not mind."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors: list[Tensor] = []
        _each((args, *kwargs.values()), tensors.append)
        theirs = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnGpu)}
        if theirs and not all(isinstance(tensor, OnGpu) for tensor in tensors):
            _require_together(func, args, tensors)
        if any(tensor.is_meta for tensor in tensors):
            raise NotImplementedError(f"{func}: the core has made a tensor on the device that it takes for meta")
        there = bool(theirs) and (func.overloadpacket is not aten.copy_ or isinstance(args[0], OnGpu))
        if kwargs.get("device") is not None:
            there = kwargs["device"].type in ("cuda", "meta")
            if there and kwargs["device"].index:
                raise RuntimeError(f"CUDA error: invalid device ordinal ({kwargs['device']})")
            kwargs["device"] = CPU
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False  # is the driver's
        layer = any(isinstance(one, nn.Parameter) for one in tensors) and func.overloadpacket in LAYERS
        if layer and not there and not _being_made():
            raise RuntimeError(f"there is a GPU, but a layer of a network computes on the CPU ({func})")
        args = _each(args, _held)
        kwargs = {name: _each(value, _held) for name, value in kwargs.items()}
        if not there:
            return func(*args, **kwargs)
        drawn = torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None
        with _own_numbers() if drawn else nullcontext():
            result = func(*args, **kwargs)
        return _each(result, lambda tensor: theirs[id(tensor)] if id(tensor) in theirs else OnGpu.of(tensor))


@contextmanager
def _own_numbers() -> Iterator[None]:
    """Draw from the GPU's own generator what nobody gave a generator for."""
    own, cpus = torch.cuda.default_generators[0], torch.default_generator
    before = cpus.get_state()
    cpus.set_state(_Generator.get_state(own))
    try:
        yield
    finally:
        _Generator.set_state(own, cpus.get_state())
        cpus.set_state(before)


class _Calls(TorchFunctionMode):
    """What torch's core settles before any operation is reached, or not at all for a tensor that is not its own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # without an index, the core would ask CUDA's driver for one
        args = [GPU if _is_gpu(value) else value for value in args]
        kwargs = {name: GPU if _is_gpu(value) else value for name, value in (kwargs or {}).items()}
        if func is Tensor.tolist and isinstance(args[0], OnGpu):
            return args[0].held.tolist()
        if func == Tensor.data.__set__:
            return _set_data(*args)
        if func is Tensor.new_tensor and isinstance(args[0], OnGpu):
            func, args, kwargs = torch.tensor, args[1:], {"dtype": args[0].dtype, "device": GPU, **kwargs}
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], OnGpu):
            args[1] = _as_tensors(args[1])
        result = func(*args, **kwargs)
        generator = kwargs.get("generator")
        if generator is not None and isinstance(result, Tensor) and generator.device.type != result.device.type:
            raise RuntimeError(f"Expected a '{result.device.type}' generator, but found '{generator.device.type}'")
        return result


def _is_gpu(value: Any) -> bool:
    return isinstance(value, (str, torch.device)) and value in NAMES


def _as_tensors(index: Any) -> Any:
    """With tensors for its lists, of which the core would make some where it takes the indexed one to be."""
    if isinstance(index, tuple):
        return tuple(map(_as_tensors, index))
    return torch.tensor(index) if isinstance(index, list) else index


def _set_data(tensor: Tensor, value: Tensor) -> None:
    """As a parameter moves, which stays the same object."""
    Tensor.data.__set__(tensor, value)
    parameter = isinstance(tensor, nn.Parameter)
    if isinstance(value, OnGpu):
        tensor.__class__ = OnGpu
        tensor.held, tensor._is_param = value.held, parameter
    elif isinstance(tensor, OnGpu):
        tensor.__class__ = nn.Parameter if parameter else Tensor
        del tensor.held


LOWER = """convolution conv1d conv2d conv3d conv_transpose2d linear matmul mm bmm addmm baddbmm mv prelu
scaled_dot_product_attention"""
WHOLE = """exp expm1 log log1p log2 pow reciprocal rsqrt softplus softmax log_softmax logsumexp sum prod cumsum cumprod
norm group_norm layer_norm native_layer_norm mse_loss l1_loss smooth_l1_loss huber_loss nll_loss kl_div
binary_cross_entropy_with_logits cosine_similarity dist cdist upsample_nearest2d upsample_bilinear2d"""
WIDEST = "cat stack index_put addcmul addcdiv atan2 dot scatter_add"


def _autocasting() -> torch.library.Library:
    """CUDA's autocast (the lists in torch's manual): torch's own goes by the device that the core sees."""
    library = torch.library.Library("aten", "IMPL")
    rules = {LOWER: lambda _: torch.bfloat16, WHOLE: lambda _: torch.float32, WIDEST: _widest}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch's own are replaced
        for names, rule in rules.items():
            for packet in (getattr(aten, name) for name in names.split()):
                for overload in packet.overloads():
                    kernel = _cast(getattr(packet, overload), rule)
                    library.impl(f"{packet.__name__}.{overload}".removesuffix(".default"), kernel, "AutocastCUDA")
    return library


def _cast(func: Any, rule: Callable[[list[Tensor]], torch.dtype]) -> Any:
    below = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)

    def castable(tensor: Tensor) -> bool:
        return isinstance(tensor, OnGpu) and tensor.is_floating_point() and tensor.dtype != torch.float64

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(below):
            tensors: list[Tensor] = []
            _each((args, *kwargs.values()), tensors.append)
            dtype = rule([tensor for tensor in tensors if castable(tensor)])

            def change(tensor: Tensor) -> Tensor:
                return tensor.to(dtype) if castable(tensor) else tensor

            return func(*_each(args, change), **{name: _each(value, change) for name, value in kwargs.items()})

    return kernel


def _widest(tensors: list[Tensor]) -> torch.dtype:
    return torch.float32 if any(tensor.dtype == torch.float32 for tensor in tensors) else torch.bfloat16


@contextmanager
def _in_this_thread() -> Iterator[None]:
    lifting = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # else torch.tensor(..., device=...) moves where no mode sees it
    try:
        with _Calls(), _Kernels():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifting)


@contextmanager
def pretend_gpu(bfloat16: bool = False) -> Iterator[torch.device]:
    """Within it there is one GPU, `cuda:0`, which computes in `bfloat16` or not. At the end it is gone, and what lay
    on it cannot be used any more."""
    if torch.cuda.is_available():
        torch.cuda.init()  # the core would take the pretended start for the real one's
    own, run = GpuGenerator("cuda").manual_seed(0), threading.Thread.run

    def run_there(thread: threading.Thread) -> None:
        with _in_this_thread():
            run(thread)

    cuda = {
        "_lazy_init": lambda: None,
        "current_device": lambda: 0,
        "default_generators": (own,),
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: "pretended",
        "is_available": lambda: True,
        "is_bf16_supported": lambda including_emulation=True: bfloat16,
        "is_current_stream_capturing": lambda: False,
        "manual_seed_all": own.manual_seed,
        "max_memory_allocated": lambda device=None: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
    }
    with plain_cpu(), ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in cuda.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch.accelerator, "is_available", lambda: True)
        patch.setattr(torch.accelerator, "synchronize", lambda device=None: None)
        patch.setattr(torch, "Generator", GpuGenerator)
        patch.setattr(threading.Thread, "run", run_there)
        if bfloat16:
            stack.callback(_autocasting()._destroy)
        stack.enter_context(_in_this_thread())
        yield GPU
