"""A trained model as a file for other programs, held against the model before anyone relies on it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.about import Shape
from layerlr_dsl.runner.errors import RunFailed, RunnerError
from layerlr_dsl.runner.trained import Trained
from layerlr_dsl.tools.atomic import write_atomically
from layerlr_dsl.tools.numbers import spelled
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMS = (".pt2", ".onnx", ".safetensors")
BATCH = 2
ABOUT_KEY = "layerlr.json"
NEAR = 1e-3
"""How far the file's outputs may be from the model's, as a share of the largest."""


def export(trained: Trained, target: Path) -> str:
    """Write the model to `target`, whose ending says in which form; returns what to say of it.

    Raises RunnerError where it cannot be written in that form, or gives other numbers than the model.
    """
    form = target.suffix.lower()
    if form == ".safetensors":
        _write(target, _safetensors(trained))
        return f"{len(trained.content['model'])} tensors, with the classes and the preparation of images in its header"
    inputs = _example(trained)
    model = trained.model.cpu().eval()
    data, apart = (_pt2 if form == ".pt2" else _onnx)(model, inputs, trained)
    if apart is not None and not apart <= NEAR:
        raise RunFailed(
            f"{target} would not give what the model gives: outputs differ by {spelled(apart, 2)} of the largest"
        )
    _write(target, data)
    held = (
        "not run here: there is no onnxruntime"
        if apart is None
        else f"held against the model: {spelled(apart, 1)} apart"
    )
    return f"takes batches of any size; {held}"


def _write(target: Path, data: bytes) -> None:
    try:
        write_atomically(target, data)
    except OSError as fault:
        raise RunnerError(f"{target} cannot be written: {(fault.strerror or str(fault)).lower()}") from None


def _told(trained: Trained) -> str:
    """What another program must know of the model, as JSON."""
    return trained.about.model_dump_json(include={"version", "model", "classes", "input", "preparation"})


def _safetensors(trained: Trained) -> bytes:
    try:
        from safetensors.torch import save
    except ImportError:
        raise RunnerError("writing .safetensors needs safetensors", "pip install safetensors") from None
    # tensors that share memory are written twice, so that every loader finds every name
    tensors = {name: value.contiguous().clone() for name, value in trained.content["model"].items()}
    return save(tensors, metadata={"format": "pt", ABOUT_KEY: _told(trained)})


# ---------------------------------------------------------------- what has a graph


def _example(trained: Trained) -> dict[str, Tensor] | Tensor:
    """Inputs of the shape that the run's data has."""
    stated = trained.about.input
    if stated is None:
        raise RunnerError(
            f"{trained.path} does not tell what the model takes", "export the tensors: -o model.safetensors"
        )
    if isinstance(stated, Shape):
        return _tensor(stated)
    return {name: _tensor(shape) for name, shape in stated.items()}


def _tensor(shape: Shape) -> Tensor:
    import torch

    dtype = getattr(torch, shape.dtype)
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point:
        return torch.randn(BATCH, *shape.shape, generator=generator).to(dtype)
    return torch.ones(BATCH, *shape.shape, dtype=dtype)


def _called_with(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})


def _dynamic(inputs: Any) -> Any:
    """The first dimension of each input is the batch, of any size."""
    import torch

    batch = torch.export.Dim("batch")
    return {name: {0: batch} for name in inputs} if isinstance(inputs, Mapping) else ({0: batch},)


def _program(model: nn.Module, inputs: Any) -> Any:
    import torch

    arguments, named = _called_with(inputs)
    try:
        with _quiet():
            return torch.export.export(model, arguments, named, dynamic_shapes=_dynamic(inputs))
    except Exception as fault:
        raise RunnerError(
            f"the model has no graph of its own, so it can only be exported as tensors: {first_line(fault)}",
            "-o model.safetensors",
        ) from fault


def _pt2(model: nn.Module, inputs: Any, trained: Trained) -> tuple[bytes, float]:
    import torch

    program = _program(model, inputs)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={ABOUT_KEY: _told(trained)})
    file.seek(0)
    read = torch.export.load(file).module()
    larger = _repeated(inputs)
    arguments, named = _called_with(larger)
    with torch.no_grad():
        return file.getvalue(), _apart(_first(model(*arguments, **named)), _first(read(*arguments, **named)))


def _onnx(model: nn.Module, inputs: Any, trained: Trained) -> tuple[bytes, float | None]:
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise RunnerError(f"writing .onnx needs the package {package}", install("onnx")) from None
    import onnx
    import torch

    arguments, named = _called_with(inputs)
    program = _program(model, inputs)
    try:
        with _quiet():
            made = torch.onnx.export(program, arguments, kwargs=named, dynamo=True, verbose=False)
    except Exception as fault:
        raise RunnerError(
            f"the model cannot be written as ONNX: {first_line(fault)}", "-o model.pt2"
        ) from fault
    assert made is not None
    proto = made.model_proto
    for entry in (*proto.graph.input, *proto.graph.output):
        if entry.type.tensor_type.shape.dim:
            entry.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(proto, {ABOUT_KEY: _told(trained)})
    data = proto.SerializeToString()
    return data, _run_onnx(data, model, _repeated(inputs))


def _run_onnx(data: bytes, model: nn.Module, inputs: Any) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    import torch

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    arguments, named = _called_with(inputs)
    values = list(named.values()) or list(arguments)
    names = [entry.name for entry in session.get_inputs()]
    fed = {name: named[name] if name in named else values[at] for at, name in enumerate(names)}
    given = session.run(None, {name: value.numpy() for name, value in fed.items()})
    with torch.no_grad():
        return _apart(_first(model(*arguments, **named)), torch.from_numpy(given[0]))


def _repeated(inputs: Any) -> Any:
    """A batch of another size than the one that was traced."""
    if isinstance(inputs, Mapping):
        return {name: value.repeat(BATCH, *[1] * (value.ndim - 1))[1:] for name, value in inputs.items()}
    return inputs.repeat(BATCH, *[1] * (inputs.ndim - 1))[1:]


def _first(outputs: Any) -> Tensor:
    from layerlr_dsl.runner.tasks import Task, first_tensor

    return first_tensor(Task().outputs(outputs))


def _apart(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters talk of their own internals."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)
