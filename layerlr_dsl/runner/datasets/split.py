"""Setting a validation and a test part aside, with every class in them."""

from __future__ import annotations

from collections.abc import Sequence

from layerlr_dsl.runner.data import Request
from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.seeds import mix

TEST_STREAM = 2

Split = tuple[list[int], list[int], "list[int] | None"]
"""Indices for training, for validation and for the test, None where there is no test part."""


def split(labels: Sequence[int], request: Request, *, test: bool = True) -> Split:
    """The parts that `request` asks for; `test` is False where the test part stands elsewhere.

    Where its targets are not class numbers, all samples count as one class. Raises RunnerError.
    """
    if not request.stratified:
        labels = [0] * len(labels)
    if not (test and request.test):
        return *stratified(labels, request.validation, request.seed), None
    rest, last = without_test(labels, request)
    share = request.validation / (1 - request.test)
    train, held_out = stratified([labels[i] for i in rest], share, request.seed)
    return [rest[i] for i in train], [rest[i] for i in held_out], last


def without_test(labels: Sequence[int], request: Request) -> tuple[list[int], list[int]]:
    """Indices of what is left when the test part that `request` asks for is set aside, and of that part."""
    if not request.stratified:
        labels = [0] * len(labels)
    seed = request.seed if request.test_seed is None else request.test_seed
    return stratified(labels, request.test, mix(seed, TEST_STREAM))


def stratified(labels: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices for training and for validation, the same share of each class in both, in their old order.

    A class of two or more samples is in both parts. Raises RunnerError for fewer than two samples.
    """
    import torch

    if len(labels) < 2:
        raise RunnerError(
            f"a data set of {len(labels)} samples cannot be split into a training and a validation part"
        )
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(int(label), []).append(index)
    held_out: list[int] = []
    for label, indices in sorted(members.items()):
        generator = torch.Generator().manual_seed(mix(seed, 1, label))
        shuffled = [indices[i] for i in torch.randperm(len(indices), generator=generator).tolist()]
        amount = min(len(indices) - 1, max(1, round(share * len(indices))))
        held_out += shuffled[:amount]
    chosen = set(held_out) or {len(labels) - 1}
    return [i for i in range(len(labels)) if i not in chosen], sorted(chosen)
