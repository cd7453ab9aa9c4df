"""Rule files that nobody writes, of any size: each is all work of one kind, for the bounds of that work."""

from __future__ import annotations

from collections.abc import Callable

HEAD = "version 1\nepochs 100\nsteps_per_epoch 50\noptimizer sgd(lr=0.1, momentum=0.9)\n"

SHORT = HEAD.replace("100", "8")


def _repeated(line: str, head: str = HEAD, tail: str = "") -> Callable[[int], str]:
    """As many lines as fit into a number of characters; `{n}` in one is its number, `{m}` the one after."""

    def made(size: int) -> str:
        lines, length, number = [head], len(head) + len(tail), 0
        while length < size:
            lines.append(line.replace("{n}", str(number)).replace("{m}", str(number + 1)))
            length += len(lines[-1])
            number += 1
        return "".join(lines) + tail

    return made


def _joined(start: str, part: str, end: str = "\n") -> Callable[[int], str]:
    return _repeated(part, HEAD + start, end)


WORST: dict[str, Callable[[int], str]] = {
    "turns": _joined("unfreeze layer1", " then conv1", " every 1 step\n"),
    "turns over the same": _joined("unfreeze fc", " then *", " every 1 epoch\n"),
    "turns by capture": _repeated("unfreeze layer<i> by i every 1 epoch\n"),
    "lets misspelled": lambda size: (
        _repeated("let some_value_{n} = 0.1\n")(size // 2)
        + _repeated("fc -> lr some_valeu_{n}\n", "")(size // 2)
    ),
    "groups misspelled": lambda size: (
        _repeated("group some_group_{n} = fc\n")(size // 2)
        + _repeated("freeze @some_gruop_{n}\n", "")(size // 2)
    ),
    "options misspelled": _repeated("fc -> lrr{n} 1\n"),
    "layers misspelled": _repeated("freeze layre{n}.conv1\n"),
    "moving factors": _repeated("** -> lr *= 1 - progress / 2\n", SHORT),
    "moving factors that differ": _repeated("fc -> lr *= 1 - progress / 1{n}\n", SHORT),
    "constant factors": _repeated("** -> lr *= 0.99\n"),
    "factors in windows": _repeated("** -> lr *= 0.99 until step 1{n}\n"),
    "windows": _repeated("fc -> lr 0.1 from step {n} until step 9{n}\n"),
    "windows of all": _repeated("** -> lr 0.1 from step {n} until step 9{n}\n"),
    "windows one by one": _repeated("** -> lr 0.1 from step {n} until step {m}\n"),
    "freezes": _repeated("freeze layer1 until step 1{n}\n"),
    "freezes one by one": _repeated("freeze layer1 from step {n} until step {m}\n"),
    "freezes with a warm-up": _repeated("freeze layer1 from step {n} until step {m} warmup 9 steps\n"),
    "unfreezes": _repeated("unfreeze layer1 at step 1{n}\n", HEAD + "freeze layer1\n"),
    "statistics": _repeated("freeze statistics of layer1 until step {n}\n"),
    "conditions": _repeated("freeze layer1 until loss stops falling for {m} epochs\n"),
    "stages": _repeated("stage s{n} for 1 step\nfc -> lr 0.1\n"),
    "stages that freeze": _repeated("stage s{n} for 1 step\nfreeze layer1\n"),
    "stages with schedules": _repeated("stage s{n} for 1 step\nschedule linear\n"),
    "empty stages": _repeated("stage s{n} for 1 step\n"),
    "stages behind a metric": _repeated("stage s{n} until x stops falling for 1 epoch\nfc -> lr .1\n"),
    "regular expressions": _repeated("/(a|b|.)*[0-9]{1,60}{n}x?.*/ -> lr 0.1\n"),
    "regular expressions in a condition": _joined(
        "** where ndim == 9", " or path matches /a{1,50}{n}b/", " -> lr 0.1\n"
    ),
    "stars": _repeated("*a*a*a*a*a*a*a*a*a*w*{n}?,** -> lr 0.1\n"),
    "double stars": _repeated("**.**.**.**.**.**.w*{n},** -> lr 0.1\n"),
    "one pattern of stars": _joined("freeze ", "*e**.", "*\n"),
    "patterns of stars": _repeated("freeze " + "*a" * 400 + "*{n}\n"),
    "braces": _repeated("freeze layer{1,{n},2,3,4}.{0..{n}}.*\n"),
    "captures": _repeated("layer<i>.<j>.** -> lr 0.1 * i + 0.{n}\n"),
    "ranks": _repeated("layer<i>.<j>.** -> lr rank(i, j) + count(i, j) + 0.{n}\n"),
    "moving values per parameter": _repeated("** -> lr progress * index + {n}\n", SHORT),
    "values per parameter": _repeated("** -> lr index + numel + {n}\n"),
    "conditions on parameters": _repeated("** where index > {n} and numel > 1{n} -> lr 0.1\n"),
    "points of a ramp": _joined("** -> lr ramp((0 steps, 0)", ", ({m} steps, 1)", ")\n"),
    "parts of a schedule": _joined("** -> lr 0.1\nschedule ", "linear for 1 step then ", "constant\n"),
    "marks of a schedule": _joined("** -> lr 0.1\nschedule multistep(at=(0 steps", ", {m} steps", "))\n"),
    "counts over groups": _repeated(
        "let n{n} = count(@g) + {n}\n** -> lr n{n}\n", HEAD + "group g = layer<i>\n"
    ),
    "groups in groups": _repeated("group g{m} = @g{n}, fc\n", HEAD + "group g0 = fc\n", "freeze @g9\n"),
    "lets in lets": _repeated("let n{m} = n{n} + n{n}\n", HEAD + "let n0 = 0\n", "fc -> lr n9\n"),
    "moving lets": _repeated("let n{m} = n{n} * 1\n", HEAD + "let n0 = progress\n", "fc -> lr n100\n"),
    "moving lets, all used": _repeated("let n{m} = n{n} * 1\n** -> lr n{m}\n", HEAD + "let n0 = progress\n"),
    "expectations": _repeated("expect ** lr == 0.1\n", HEAD + "** -> lr 0.1\n"),
    "expectations of what moves": _repeated("expect ** lr < 1\n", HEAD + "** -> lr 0.1 * (1 - progress)\n"),
    "expectations at times": _repeated("expect ** lr < 1 at step {n}\n", HEAD + "** -> lr 0.1 * progress\n"),
    "expectations of groups": _repeated("expect groups == 1\n"),
    "expectations of freezing": _repeated("expect layer1 frozen\n", HEAD + "freeze layer1\n"),
    "rules": _repeated("fc -> lr 0.1\n"),
    "rules of all": _repeated("** -> lr 0.{n}1\n"),
    "optimizers": _repeated("fc -> optimizer adamw(lr=0.{n}1)\n"),
    "named optimizers": _repeated("optimizer o{n} = adamw(lr=0.{n}1)\nfc -> optimizer o{n}\n"),
    "schedules": _repeated("fc -> schedule step(every=1{n} steps)\n"),
    "schedules that are lets": _repeated("let s{n} = cosine(warmup={n} steps) * 0.5\nfc -> schedule s{n}\n"),
    "restarts": lambda size: HEAD + "** -> lr 0.1\nschedule cosine_restarts(every=1 step)\n",
    "excepts": _joined("freeze ** except fc", ", layer1.{n}", "\n"),
    "items": _joined("freeze fc", ", layer{n}", "\n"),
    "unknown words": _repeated("this line is nothing {n}\n"),
    "quoted options": _repeated('fc -> "o{n}" 1\n'),
    "fractions of steps": _repeated("fc -> lr 0.1 from epoch 0.{n}1234567 until epoch 1.{n}\n"),
    "sums": _joined("fc -> lr 0", " + progress"),
    "powers": _repeated("fc -> lr 9^9^9^{n}\n"),
    "choices": _joined("fc -> lr 0", " + choose(progress > 0.{n}, 1, 2)"),
    "tuples": _joined("let t = (0", ", {n}", ")\n** -> lr t[index]\n"),
}
"""Each kind of file by name, made from a size in characters."""
