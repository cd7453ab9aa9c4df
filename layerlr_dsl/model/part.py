"""A part of a model: modules and parameters under the names that the whole model has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn

from layerlr_dsl.model.errors import ModelError
from layerlr_dsl.model.live import as_module, unwrap

Held: TypeAlias = nn.Module | Mapping[str, nn.Module | Tensor] | Sequence[nn.Module]


class Part(nn.Module):
    """What one process holds of a model, at the places that it has in the whole.

    Keys of members have dots where they stand deeper in the whole model. Nobody calls it; what is in it is called.

    named: whether whoever made it has said by name what is in it.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], parameters: Mapping[str, Tensor], named: bool
    ) -> None:
        super().__init__()
        self._modules.update(modules)
        self._parameters.update(parameters)  # type: ignore[arg-type]
        self.named = named


def as_held(model: Held) -> nn.Module:
    """What a process holds of a model as one module: all of it, or a part.

    A part is a module whose names are some of the whole model's, several of them in a list, or a mapping from names of
    the whole model to the parameters and modules there. Raises ModelError for anything else.
    """
    if isinstance(model, Mapping):
        whole = model and all(isinstance(one, nn.Module) and "." not in name for name, one in model.items())
        return as_module(model) if whole else by_name(model)  # type: ignore[arg-type]
    return of_stages(model) if isinstance(model, (list, tuple)) else model  # type: ignore[return-value]


def by_name(held: Mapping[str, Any]) -> Part:
    """Modules and parameters by their names in the whole model. Raises ModelError for anything else."""
    modules = {name: one for name, one in held.items() if isinstance(one, nn.Module)}
    parameters = {name: one for name, one in held.items() if isinstance(one, Tensor)}
    odd = [name for name in held if name not in modules and name not in parameters]
    if odd:
        raise ModelError(f"{odd[0]}: a {type(held[odd[0]]).__name__} is no module and no parameter")
    return Part(modules, parameters, True)


def of_stages(stages: Sequence[nn.Module]) -> Part:
    """Several stages of a pipeline that one process holds. Raises ModelError for what is no module."""
    modules: dict[str, nn.Module] = {}
    parameters: dict[str, Tensor] = {}
    for stage in stages:
        if not isinstance(stage, nn.Module):
            raise ModelError(f"expected a list of torch.nn.Module, and a {type(stage).__name__} is in it")
        _add(modules, parameters, "", stage)
    return Part(modules, parameters, False)


def _add(modules: dict[str, nn.Module], parameters: dict[str, Tensor], place: str, module: nn.Module) -> None:
    """Put the members of a module in; containers that several stages have at a place are opened."""
    inner = unwrap(module)
    parameters.update({place + leaf: one for leaf, one in inner._parameters.items() if one is not None})
    for segment, child in inner._modules.items():
        name = place + segment
        if child is None:
            continue
        if any(key == name or key.startswith(f"{name}.") for key in modules):
            other = modules.pop(name, None)
            if other is not None:
                _add(modules, parameters, f"{name}.", other)
            _add(modules, parameters, f"{name}.", child)
        else:
            modules[name] = child
