"""Items of selectors that match nothing, and what they were meant to say: the nearest real segment."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from layerlr_dsl.language.checked import Item
from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix
from layerlr_dsl.language.faults import shortened
from layerlr_dsl.language.patterns import (
    DOUBLE_STAR,
    CompiledPattern,
    PatternFault,
    Segment,
    compile_pattern,
    segment_texts,
)
from layerlr_dsl.model.anatomy import Anatomy, anatomy
from layerlr_dsl.model.classes import Family
from layerlr_dsl.model.cover import cover
from layerlr_dsl.model.inventory import Inventory
from layerlr_dsl.tools.nearest import nearest
from layerlr_dsl.tools.records import record

EVERYTHING = frozenset({"all", "everything", "default", "rest", "others", "any"})
FAMILY_NAMES: Mapping[str, Family] = {
    **dict.fromkeys(("norm", "bn", "batchnorm", "layernorm", "groupnorm", "normalization", "batch_norm", "layer_norm"), "norm"),
    **dict.fromkeys(("conv", "convolution"), "conv"),
    **dict.fromkeys(("linear", "dense", "fully_connected"), "linear"),
    **dict.fromkeys(("embedding", "embed"), "embedding"),
    **dict.fromkeys(("attention", "attn"), "attention"),
}  # fmt: skip
"""What people call the families of modules."""
LEAVES: Mapping[str, str] = {
    "bias": "**.bias",
    "biases": "**.bias",
    "weight": "**.weight",
    "weights": "**.weight",
}
"""What people call parameters of one name, whatever the layer."""
PARTS: Mapping[str, str] = {
    **dict.fromkeys(("head", "heads", "fc", "classifier", "classification_head", "logits", "lm_head", "output"), "head"),
    **dict.fromkeys(("backbone", "body", "trunk", "base", "encoder", "features", "feature_extractor"), "body"),
    **dict.fromkeys(("stem", "patch_embed"), "stem"),
}  # fmt: skip
"""What people call the parts of a network, whatever the model calls them."""
_OPPOSITES = {"encoder": "decoder", "decoder": "encoder"}
_NAMESPACES = ("nn.", "torch.nn.")
_SHOWN = 6
_DIGITS = "0123456789"
_LONGEST = 100


@record
class NearMiss:
    """Help for a pattern that matches nothing, and the pattern that was probably meant."""

    help: str
    meant: str | None = None

    @staticmethod
    def of(meant: str, remark: str = "") -> NearMiss:
        return NearMiss(f"{remark}did you mean `{shortened(meant, _LONGEST)}`?", meant)


_NOT_NEAR = NearMiss("`layerlr inspect` lists the names of the model")
_NO_PATTERN = NearMiss(
    "it must match the whole dotted name of a parameter: begin or end it with `.*` to match a part"
)


def matches_nothing(make: Callable[..., Diagnostic], item: Item, miss: NearMiss = _NO_PATTERN) -> Diagnostic:
    """LR201, made by `error` or `warning`; without a near miss, for a regular expression."""
    written, fix = item.span.text, None
    if miss.meant is not None:
        meant = f'"{miss.meant}"' if written.startswith('"') else miss.meant
        fix = Fix(f"replace by `{shortened(meant, _LONGEST)}`", (Edit(item.span, meant),))
    return make(
        "LR201", f"`{shortened(written, _LONGEST)}` matches no parameter", item.span, miss.help, fix=fix
    )


def kinds_of(inventory: Inventory) -> Mapping[str, frozenset[str]]:
    """The classes of a model's modules, each with its families."""
    return {described.name: frozenset(described.families) for described in inventory.classes}


class NearMisses:
    """Looks along the module tree for where a pattern leaves it."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory

    @cached_property
    def _children(self) -> dict[int, list[tuple[str, int]]]:
        """By module: its children's segments with their rows, parameters as -1."""
        children: dict[int, list[tuple[str, int]]] = defaultdict(list)
        inventory = self.inventory
        for row, (parent, segment) in enumerate(
            zip(inventory.module_parents, inventory.module_segments, strict=True)
        ):
            if parent >= 0:
                children[parent].append((segment, row))
        for owner, leaf in zip(inventory.owners, inventory.leaves, strict=True):
            children[owner].append((leaf, -1))
        return children

    @cached_property
    def _segments(self) -> list[str]:
        inventory = self.inventory
        return list(dict.fromkeys([*inventory.module_segments[1:], *inventory.leaves]))

    @cached_property
    def _kinds(self) -> Mapping[str, frozenset[str]]:
        return kinds_of(self.inventory)

    @cached_property
    def _has_parameters(self) -> list[bool]:
        inventory = self.inventory
        holds = [False] * len(inventory.module_parents)
        for owner in set(inventory.owners):
            holds[owner] = True
        for row in range(len(holds) - 1, 0, -1):
            if holds[row]:
                holds[inventory.module_parents[row]] = True
        return holds

    @cached_property
    def _anatomy(self) -> Anatomy:
        return anatomy(self.inventory)

    def nearest_to(self, text: str, pattern: CompiledPattern) -> NearMiss:
        """What the pattern was meant to say; else what there is where it leaves the model."""
        top = tuple(name for name, row in self._children[0] if row < 0 or self._has_parameters[row])
        if text in EVERYTHING:
            return NearMiss.of("**")
        if text.startswith("-"):
            return NearMiss(
                f"what is left out follows `except`, as in `** except {shortened(text[1:], _LONGEST)}`"
            )
        if (last := LEAVES.get(text.lower())) is not None and self._covers_any(last):
            return NearMiss.of(last)
        if (kind := self._kind(text)) is not None:
            return NearMiss(f"a selector names layers; those of a kind are `** where module is {kind}`")
        counted = _counted(text)
        if counted is not None:
            written = f"`{shortened(counted[0], _LONGEST)} where {counted[1]}`"
            if self._covers_any(counted[0]):
                return NearMiss(f"write {written}")
            there = self._off_the_tree(counted[0], compile_pattern(counted[0]))
            return NearMiss(f"counted from the end it is written as in {written}; {there.help}")
        for meant in _rewritten(text, top):
            if self._covers_any(meant):
                return NearMiss.of(meant)
        return self._part(text) or self._off_the_tree(text, pattern)

    def _part(self, text: str) -> NearMiss | None:
        """What a model has of a part that people name, and it calls otherwise."""
        word = text.removeprefix("**.").lower()
        part = PARTS.get(word)
        if part is None or word in self._segments:
            return None
        if part == "body":
            head = cover(self.inventory, self._anatomy.head)
            help = f"all but the head are `** except {', '.join(head)}`"
            return NearMiss(f"this model has no `{word}`: {help}") if head else None
        names = cover(self.inventory, self._anatomy.head if part == "head" else self._anatomy.stem)
        if len(names) == 1:
            return NearMiss.of(names[0], f"the {part} of this model is called otherwise; ")
        listed = ", ".join(names)
        return NearMiss(f"the {part} of this model is `{shortened(listed, _LONGEST)}`") if names else None

    def _off_the_tree(self, text: str, pattern: CompiledPattern) -> NearMiss:
        """What there is where a pattern leaves the model."""
        reached = [0]
        path: list[str] = []
        written = segment_texts(text)
        for place, segment in enumerate(pattern.segments):
            if segment is DOUBLE_STAR:
                return self._anywhere(pattern.segments[place + 1 :], written)
            below = [(name, row) for module in reached for name, row in self._children.get(module, ())]
            found = [(name, row) for name, row in below if segment.match(name)]
            if not found and _dotted(written[place]) != written[place]:
                return self._indexed(text)
            if not found:
                useful = [name for name, row in below if row < 0 or self._has_parameters[row]]
                return self._missing(written, place, useful, path)
            reached = list(dict.fromkeys(row for _, row in found if row >= 0))
            path.append(written[place] if place < len(written) else "")
        if reached and not any(self._has_parameters[row] for row in reached):
            return NearMiss(f"`{text}` is there but holds no parameters")
        return _NOT_NEAR

    def _indexed(self, text: str) -> NearMiss:
        """An index as Python has it, which a pattern takes for letters: what there is at the place that is meant."""
        meant = _dotted(text)
        miss = self._off_the_tree(meant, compile_pattern(meant))
        return NearMiss(
            f"an index is a segment, as in `{shortened(meant, _LONGEST)}`; {miss.help}", miss.meant
        )

    def _kind(self, text: str) -> str | None:
        """The class or family of modules that a pattern names instead of a layer, if the model has any such."""
        word = text.rpartition(".")[2] if text.startswith(_NAMESPACES) else text
        if word in self._kinds:
            return word
        if word in self._segments:
            return None
        family = FAMILY_NAMES.get(word.lower().rstrip("s"))
        holds = any(family in families for families in self._kinds.values())
        return family if holds and family is not None else None

    def _covers_any(self, text: str) -> bool:
        """Whether a pattern, if it is one, matches the names of the model; captures are not compared."""
        try:
            segments = compile_pattern(text).segments
        except PatternFault:
            return False
        reached = {0}
        for place, segment in enumerate(segments):
            if segment is DOUBLE_STAR:
                reached = self._below(reached)
                continue
            found = [
                row
                for module in reached
                for name, row in self._children.get(module, ())
                if segment.match(name)
            ]
            if place + 1 == len(segments) and -1 in found:
                return True
            reached = {row for row in found if row >= 0}
        return any(self._has_parameters[row] for row in reached)

    def _below(self, modules: set[int]) -> set[int]:
        """Modules, and all that lie within them; a module may be reached by more than one path."""
        found, waiting = set(modules), list(modules)
        while waiting:
            for _, row in self._children.get(waiting.pop(), ()):
                if row >= 0 and row not in found:
                    found.add(row)
                    waiting.append(row)
        return found

    def _missing(self, written: list[str], place: int, names: Iterable[str], path: list[str]) -> NearMiss:
        word = written[place] if place < len(written) else ""
        names = list(dict.fromkeys(names))
        where = f"below `{shortened('.'.join(path), _LONGEST)}`" if path else "at the top"
        numbers = _numbers("", names) if word.isdigit() else []
        if len(numbers) > 1:
            said = f"the numbers there are {numbers[0]} to {numbers[-1]}"
            return NearMiss(f"there is no `{shortened(word, _LONGEST)}` {where}: {said}")
        likely = [name for name in names if name != _OPPOSITES.get(word)]
        near = None if word.isdigit() else _nearest(word, likely)
        meant = None if near is None else self._mended([*written[:place], near, *written[place + 1 :]])
        if meant is not None:
            return NearMiss.of(meant)
        if not names:
            return NearMiss(f"there is nothing {where}")
        # A name from deeper down was often written without its path.
        deeper = f"**.{'.'.join(written[place:])}"
        if not word.isdigit() and word in self._segments and self._covers_any(deeper):
            return NearMiss.of(deeper, f"there is no `{word}` {where}; ")
        names.sort(key=lambda name: (len(name), name))
        shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return NearMiss(f"there is no `{shortened(word, _LONGEST)}` {where}: there are {shown}{more}")

    def _mended(self, segments: list[str]) -> str | None:
        """Segments one of which was put right, and any behind it that must be; None where that leads nowhere."""
        text = ".".join(segments)
        if self._covers_any(text):
            return text
        try:
            return self._off_the_tree(text, compile_pattern(text)).meant
        except PatternFault:
            return None

    def _anywhere(self, rest: tuple[Segment, ...], written: list[str]) -> NearMiss:
        for segment in rest:
            if segment.literal is not None and segment.literal not in self._segments:
                near = nearest(segment.literal, self._segments)
                if near is not None:
                    meant = self._mended([near if word == segment.literal else word for word in written])
                    return _NOT_NEAR if meant is None else NearMiss.of(meant)
                return NearMiss(f"no part of any name is called `{segment.literal}`")
        return _NOT_NEAR


def _nearest(word: str, names: list[str]) -> str | None:
    """The name that was probably meant: of those that differ in their number only, the one with the nearest."""
    if captured := _CAPTURED.fullmatch(word):
        stems = dict.fromkeys(name.rstrip(_DIGITS) for name in names if name[-1:].isdigit())
        near = nearest(captured[1], stems)
        return nearest(word, names) if near is None else near + captured[2]
    stem = word.rstrip(_DIGITS)
    numbers = _numbers(stem, names) if stem != word else []
    if not numbers:
        return nearest(word, names) or _one_letter_off(word, names)
    wanted = int(word.removeprefix(stem))
    return f"{stem}{min(numbers, key=lambda number: abs(number - wanted))}"


_CAPTURED = re.compile(r"(\w+)(<\w+>)")


def _one_letter_off(word: str, names: list[str]) -> str | None:
    """The one name of two letters that begins as a word of two does: too short to be measured."""
    found = [name for name in names if len(word) == len(name) == 2 and name[0] == word[0]]
    return found[0] if len(found) == 1 else None


def _numbers(stem: str, names: Iterable[str]) -> list[int]:
    """The numbers, ascending, of the names that are a stem and a number."""
    behind = (name.removeprefix(stem) for name in names if name.startswith(stem))
    return sorted(
        int(rest) for rest in behind if rest.isascii() and rest.isdigit() and str(int(rest)) == rest
    )


# ---------------------------------------------------------------- patterns written as Python, regular expressions, another wrapping or a shell would have them


_INDEX = re.compile(r"\[(\d+)\]")
_SUBSCRIPT = re.compile(r"(?<=[^.])\[(?:(\d+(?:,\d+)*)|(\d*):(\d*)|(\d+)-(\d+))\]")
_FROM_THE_END = re.compile(r"(?<=[^.])\[(?:-(?P<one>\d+)|-(?P<last>\d+):|:-(?P<but>\d+)|(?P<on>\d+):)\]")
_BRACED = re.compile(r"\{(\d+)(?:-|:|,?\.\.\.,?)(\d+)\}")
_DASHED = re.compile(r"(?<![\w{\[-])(\w*?)(\d+)[-:](\w*?)(\d+)(?![\w}\]-])")
_WRAPPER = re.compile(
    r"(?:module|model|backbone|base_model|_orig_mod|net|encoder|_fsdp_wrapped_module)\.(?=.)"
)


def _dotted(text: str) -> str:
    """`layers[11]`, as Python has it, with its index or slice as a segment: `layers.11`."""
    return _SUBSCRIPT.sub(_subscript, text)


def _subscript(found: re.Match[str]) -> str:
    numbers, begin, end, low, high = found.groups()
    if numbers is not None:
        return f".{{{numbers}}}" if "," in numbers else f".{numbers}"
    if low is not None:
        return f".{{{low}..{high}}}"
    if end:  # a slice ends before its end
        first, last = int(begin or 0), int(end) - 1
        return f".{first}" if first == last else f".{{{first}..{last}}}"
    return found[0] if begin else ".*"


def _counted(text: str) -> tuple[str, str] | None:
    """`layers[-1]`: the pattern with a capture in its place, and what holds of that."""
    found = _FROM_THE_END.search(text)
    if found is None:
        return None
    one, last, but, on = found.groups()
    place = f"last(i) - {int(one) - 1}" if one and int(one) > 1 else "last(i)"
    condition = (
        f"i == {place}"
        if one
        else f"i > last(i) - {last}"
        if last
        else f"i <= last(i) - {but}"
        if but
        else f"i >= {on}"
    )
    return f"{text[: found.start()]}.<i>{text[found.end() :]}", condition


def _rewritten(text: str, top: tuple[str, ...]) -> Iterator[str]:
    """What a pattern that matches nothing may have been meant as, the likeliest first.

    top: the modules at the top of the model, any of which may have been left out.
    """
    for meant in (
        _dotted(text),
        _INDEX.sub(r"_\1", text),
        _INDEX.sub(r"\1", text),
        _BRACED.sub(r"{\1..\2}", text),
        _DASHED.sub(_range, text),
        text.replace("/", "."),
        text.removesuffix(".*"),
        f"**.{text[2:]}" if text.startswith("*.") else text,
        text.replace("[]", "<i>"),
    ):
        if meant != text:
            yield meant
    yield from _rewrapped(text, top)


def _range(found: re.Match[str]) -> str:
    stem, low, other, high = found.groups()
    return f"{stem}{{{low}..{high}}}" if other in ("", stem) else found[0]


def _rewrapped(text: str, top: tuple[str, ...]) -> Iterator[str]:
    """Without the wrapper's name at its front, and with that of the model at hand."""
    bare = text
    while wrapper := _WRAPPER.match(bare):
        bare = bare[wrapper.end() :]
        yield bare
    if len(top) == 1:
        yield f"{top[0]}.{bare}"
