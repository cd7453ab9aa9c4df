"""Building a model for its names and shapes only: without memory where that can be, and without a trace."""

from __future__ import annotations

import contextlib
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.limits import limited_size

if TYPE_CHECKING:
    from torch import nn
    from torch.overrides import TorchFunctionMode

# What constructors fill new tensors with. It changes no shape, and meta kernels take up to 5 ms for it.
_FILLING = (
    "normal_",
    "uniform_",
    "log_normal_",
    "exponential_",
    "random_",
    "fill_",
    "zero_",
    "copy_",
    "erfinv_",
    "clamp_",
    "clamp_min_",
    "clamp_max_",
    "add_",
    "sub_",
    "mul_",
    "div_",
    "exp_",
    "log_",
    "sqrt_",
    "neg_",
    "abs_",
    "pow_",
)


def build_on_meta(make: Callable[[], nn.Module], most: int) -> nn.Module:
    """The model that `make` builds, its parameters on the meta device where its constructor allows that.

    Only what is allocated goes to meta: constructors that compute their sizes (RegNet's do) read true
    values. A constructor that reads what it allocated is run again with real memory. `most` is how many
    modules and parameters it may have. Raises ModelError beyond them.
    """
    with untouched_random_state():
        try:
            with limited_size(most), _allocating_nothing()():
                return make()
        except (ModelError, MemoryError):
            raise
        except Exception as fault:
            return _build_in_memory(make, most, fault)


def _build_in_memory(make: Callable[[], nn.Module], most: int, before: Exception) -> nn.Module:
    """The model with real memory, after `before` went wrong without.

    Raises MemoryError where there is too little of it, but `before` if that is no matter of memory: what
    is wrong with the arguments is wrong either way.
    """
    try:
        with limited_size(most):
            return make()
    except (MemoryError, RuntimeError) as fault:
        if not isinstance(fault, MemoryError) and "allocate memory" not in str(fault):
            raise
        raise MemoryError if "meta" in str(before).lower() else before from None


@cache
def _allocating_nothing() -> type[TorchFunctionMode]:
    import torch
    from torch.overrides import TorchFunctionMode

    filling = {getattr(torch.Tensor, name) for name in _FILLING}
    allocators = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.randint}

    class AllocatingNothing(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func in allocators and kwargs.get("device") is None:
                kwargs["device"] = "meta"
            elif func in filling and args and args[0].is_meta:
                return args[0]
            return func(*args, **kwargs)

    return AllocatingNothing


@contextlib.contextmanager
def untouched_random_state() -> Iterator[None]:
    """Leave the random state of Python, NumPy and torch as it was."""
    import torch

    python = random.getstate()
    numpy = sys.modules.get("numpy")
    numpys = numpy.random.get_state() if numpy else None
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(numpys)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's advice on weights and initialisation off the screen."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
