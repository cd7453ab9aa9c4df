"""Whole statements as people write them who come from elsewhere, and what they say in this language.

A statement that cannot be read is held against the forms below, from its first sign to its end, before
anything else is said of it. What a form rewrites is offered as a fix; only what can mean nothing else is
applied by `--fix` without being asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from layerlr_dsl.language.diagnostics import Diagnostic, Edit, Fix, error
from layerlr_dsl.language.failure import Failure
from layerlr_dsl.language.faults import shortened
from layerlr_dsl.language.source import Span
from layerlr_dsl.tools.records import record

Match = re.Match[str]
_LONGEST = 200
"""Longer statements are nobody's phrase, and would take these patterns long."""
_STATEMENT = re.compile(r'(?:[^\n;#"]|"[^"\n]*")+')


@record
class Phrase:
    """How something is said elsewhere, what is wrong with it, and how it is said here.

    written: the whole statement, or with `part` that part of it. meant: what stands for it here, as a template
    of the match (`\\1`) or made from it; None where only a person can know. safe: it can mean nothing else.
    example: what is meant holds names that the reader must put others in the place of, so that it is no fix.
    """

    written: re.Pattern[str]
    message: str
    meant: str | Callable[[Match], str] | None = None
    help: str = "write `{}`"
    safe: bool = False
    example: bool = False


def _phrase(
    pattern: str,
    message: str,
    meant: str | Callable[[Match], str] | None = None,
    help: str = "write `{}`",
    safe: bool = False,
    example: bool = False,
) -> Phrase:
    return Phrase(re.compile(pattern), message, meant, help, safe, example)


_NAME = r"(?:[\w.*?\[\]]|-(?!>)|\{[\w,.]*\}|<\w+>)+"
_PLAIN = (
    r"(?!(?:freeze|unfreeze|expect|let|group|train|only|no|not|if|when|with|unless|exclude|select|set|for|in|is|at|from|until"
    r"|every|warmup|then|where|except|and|or|but|to|lr|learning_rate|weight_decay|epochs?|steps?|optimizer|schedule"
    r"|layers?|first|last|all)\b)[A-Za-z_*][\w.*]*"
)
_LAYER = (
    r"(?!(?:\w*epochs?|\w*steps?|steps_per_epoch|version|warm_?up|lr|learning_rate|weight_decay|wd|decay|momentum|eps|betas"
    r"|\w*layer\w*_decay|llrd\w*|seed|batch_size|floor|gamma|min_lr|model|optimizer|schedule|let|group|freeze|unfreeze"
    r"|expect|include|stage|no|not|for|if)\b)"
)
"""Ahead of a name: not a word of this or another language."""
_LIST = rf"{_NAME}(?:\s*,\s*{_NAME})*"
_ALL = r"(?:all|everything|every\s+(?:layer|parameter)s?|\*\*?)"
_BUT = r"(?:but|except(?:\s+for)?|besides|apart\s+from|other\s+than|without|excluding)"
_FREEZES = r"(?:freeze|lock|fix)"


def _joined(found: Match, separator: str = ", ") -> str:
    """What is listed with signs or words of other languages, and the rest of the statement."""
    names = re.split(r"\s*(?:\|{1,2}|&{1,2}|\+|/|\band\b|\bor\b|,)\s*|\s+", found["names"].strip())
    return f"{found['before'] or ''}{separator.join(name for name in names if name)}{found['after']}"


def _turns(found: Match) -> str:
    every = (found["every"] or "").strip() or "every 1 epoch"
    return f"{_turns_of(found)} {every}"


def _turns_of(found: Match) -> str:
    names = re.split(r"\s*(?:,|>|->|\bthen\b|\band\b)\s*|\s+", found["names"].strip())
    return f"unfreeze {' then '.join(name for name in names if name)}"


def _window(found: Match) -> str:
    begin, end = found["begin"], found["end"]
    start = "" if int(begin) == 0 else f" from epoch {begin}"
    return f"{found['head'].rstrip()}{start} until epoch {end}"


_FAMILIES = {
    **dict.fromkeys(("norm", "layernorm", "batchnorm", "bn"), "module is norm"),
    "bias": 'name == "bias"',
    "embedding": "module is embedding",
}
_OPTION = {"learning_rate": "lr", "wd": "weight_decay"}

PHRASES: tuple[Phrase, ...] = (
    # ------------------------------------------------------------ freezing
    _phrase(
        rf"{_FREEZES}\s+(?:{_ALL}\s+)?{_BUT}\s+(?P<rest>{_LIST})",
        "everything is `**`, and `except` follows what it narrows",
        r"freeze ** except \g<rest>",
        safe=True,
    ),
    _phrase(
        rf"{_FREEZES}\s+(?:not\s+|!\s*|~\s*)(?P<rest>{_LIST})",
        "what is left out follows `except`",
        r"freeze ** except \g<rest>",
    ),
    _phrase(
        rf"(?:train|tune|finetune|fine-tune|unfreeze|keep)\s+only\s+(?P<rest>{_LIST})|only\s+(?:train|tune)\s+(?P<other>{_LIST})",
        "what trains is what is not frozen",
        lambda found: f"freeze ** except {found['rest'] or found['other']}",
        safe=True,
    ),
    _phrase(
        rf"(?:linear\s+prob(?:e|ing)|head\s+only|train\s+head)(?:\s+(?P<rest>{_LIST}))?",
        "a linear probe freezes all but the head",
        lambda found: f"freeze ** except {found['rest'] or 'HEAD'}",
        "name the head as the model does, as in `{}`",
        example=True,
    ),
    _phrase(
        rf"(?:gradually|progressively|slowly)\s+(?:un-?freeze|thaw)\s+(?P<names>{_NAME}(?:\s*(?:,|>|->|then|and|\s)\s*{_NAME})*?)(?P<every>\s+every\s+.*)?",
        "turns are joined with `then`, and `every` says how far they are apart",
        _turns,
    ),
    _phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{_NAME}(?:\s*>\s*{_NAME})+)(?P<every>\s+every\s+.*)?",
        "turns are joined with `then`",
        _turns,
    ),
    _phrase(
        rf"(?P<head>(?:freeze|[^\n]*->)\s+{_LIST}[^\n]*?)\s+(?:(?:for|in|during|from|between)?\s*(?:the\s+)?epochs?|from|between)\s+(?P<begin>\d+)\s*(?:-|to|\.\.|and|through)\s*(?:epoch\s+)?(?P<end>\d+)",
        "a window is written with `from` and `until`, and the epoch behind `until` is the first that lies outside",
        _window,
    ),
    _phrase(
        rf"(?P<head>freeze\s+{_LIST})\s+(?:for|during)\s+(?:the\s+)?(?:first\s+)?(?P<n>\d+)\s+(?P<unit>epoch|step)s?",
        "`for` begins no time window",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<head>freeze\s+{_LIST})\s+(?:before|till|up\s+to|to)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "the end of a window is written with `until`",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<head>freeze\s+{_LIST})\s+(?:after|starting\s+at|since|at|beginning)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "the beginning of a window is written with `from`",
        r"\g<head> from \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<head>(?:freeze\s+{_LIST}|[^\n]*->[^\n]*?)\s+(?:from|until)\s+epoch\s+\d+(?:\.\d+)?)\s+epochs?(?P<rest>.*)",
        "the unit of a time stands once, in front of the number",
        r"\g<head>\g<rest>",
        safe=True,
    ),
    _phrase(
        rf"if\s+epoch\s*(?:>=|==|>)\s*(?P<n>\d+)\s*:?\s*(?:then\s+)?(?:unfreeze|thaw)\s+(?P<names>{_LIST})",
        "there is no `if`: a statement says when it holds",
        r"unfreeze \g<names> at epoch \g<n>",
    ),
    _phrase(
        rf"if\s+epoch\s*<\s*(?P<n>\d+)\s*:?\s*(?:then\s+)?freeze\s+(?P<names>{_LIST})",
        "there is no `if`: a statement says when it holds",
        r"freeze \g<names> until epoch \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LIST}?)\.?\s*(?:->|:|=)?\s*(?:requires_grad_?|trainable)\s*[=:(]?\s*(?P<flag>[Ff]alse|0|off|no)\)?",
        "what trains is set by freezing, which clears gradients and holds statistics too",
        lambda found: "freeze " + _bare(found["names"]),
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LIST}?)\.?\s*(?:->|:|=)?\s*(?:requires_grad_?|trainable)\s*[=:(]?\s*(?P<flag>[Tt]rue|1|on|yes)?\)?",
        "what trains is set by freezing and unfreezing: what no `freeze` names trains",
        None,
        "leave it out, or write `unfreeze SELECTOR at epoch N`",
    ),
    _phrase(
        r"for\s+\w+\s+in\s+(?:self\.|model\.|net\.)?(?P<names>[\w.]+)\.parameters\(\)\s*:\s*\w+\.requires_grad(?:\s*=\s*False|_\(False\))",
        "there are no loops: a selector covers all that is below a module",
        r"freeze \g<names>",
        safe=True,
    ),
    _phrase(
        rf"(?:jax\.|lax\.|tf\.|K\.)*(?:stop_gradients?|detach)[\s(]\s*(?P<names>{_LIST}?)\s*\)?"
        rf"|(?P<other>{_LIST}?)\s*->\s*(?:optax\.)?set_to_zero(?:\(\))?|(?P<third>{_LIST}?)\.detach\(\)",
        "what gets no gradient is frozen",
        lambda found: f"freeze {found['names'] or found['other'] or found['third']}",
    ),
    _phrase(
        rf"(?P<names>{_LIST}?)(?:\.|\s*->\s*)eval(?:\(\))?",
        "what is frozen is in eval by itself; running statistics alone are held with `freeze statistics of`",
        r"freeze statistics of \g<names>",
        "write `{}`, or `freeze SELECTOR` to hold the weights too",
    ),
    _phrase(
        r"(?:learn\.)?freeze_to\(?\s*-?\d+\)?|(?:optax\.)?(?:masked|multi_transform|partition)\(.*\)",
        "what is frozen is named as the model names it",
        None,
        "write `freeze ** except HEAD`, or `freeze SELECTOR` for its parts; `layerlr inspect` lists them",
    ),
    _phrase(
        r"freeze\s+(?:the\s+)?(?P<end>first|last)\s+(?:layer|block|stage)",
        "a layer is named as the model names it",
        None,
        "write `freeze SELECTOR`; `layerlr inspect` lists the names",
    ),
    _phrase(
        rf"(?:unlock|release|melt)\s+(?P<names>{_LIST})\s+(?:at|after|from|on|in)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "what trains again is thawed with `unfreeze`",
        r"unfreeze \g<names> at \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        r"(?:phase|part|period)\s+(?P<name>[A-Za-z_]\w*)\s+(?P<after>(?:for|until)\s.+)",
        "a part of the run is a stage",
        r"stage \g<name> \g<after>",
        safe=True,
    ),
    _phrase(
        rf"(?:lock|hold|fix|frozen)\s+(?P<names>{_LIST}(?:\s+(?:from|until)\s.*)?)",
        "what does not train is frozen with `freeze`",
        r"freeze \g<names>",
    ),
    _phrase(
        rf"freeze\s+(?P<names>{_LIST})\s*(?:,|then|and)?\s*(?:un-?freeze|thaw)\s+(?:it\s+|them\s+)?(?:at|after|from|on|in)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "a freeze says when it ends with `until`",
        r"freeze \g<names> until \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        r"(?P<word>freeze|unfreeze)\s+(?P<stem>[A-Za-z_]+?)s?\s+(?P<low>\d+)\s*(?:-|to|\.\.|through)\s*(?P<high>\d+)(?P<after>(?:\s+(?:from|until|at)\s.*)?)",
        "numbered layers are written with a range in braces, after the name that the model gives them",
        r"\g<word> \g<stem>{\g<low>..\g<high>}\g<after>",
    ),
    _phrase(
        r"freeze\s+(?:the\s+)?(?P<end>first|last)\s+(?P<n>\d+)\s+(?P<what>\w+)",
        "layers are counted by a capture and a condition",
        lambda found: (
            f"freeze {found['what']}.<i> where i "
            + (f"< {found['n']}" if found["end"] == "first" else f"> last(i) - {found['n']}")
        ),
        "name them as the model does, as in `{}`",
        example=True,
    ),
    _phrase(
        r"unfreeze\s+(?:one|a|1)\s+(?P<what>\w+)\s+(?:per|every|each|an?)\s+(?P<unit>epoch|step)",
        "turns go by a capture",
        r"unfreeze \g<what>s.<i> by i descending every 1 \g<unit>",
        "name the layers as the model does, as in `{}`",
        example=True,
    ),
    _phrase(
        rf"(?P<head>un-?freeze|thaw)\s+(?P<names>{_LIST})\s+every\s+epoch",
        "`every` has a number, and turns are joined with `then`",
        lambda found: f"unfreeze {' then '.join(re.split(r', *', found['names']))} every 1 epoch",
    ),
    _phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{_NAME}(?:\s*(?:,|>|\bthen\b)\s*{_NAME})+)\s+"
        r"(?:each|per|once\s+(?:an?|per|each|every))\s+(?P<unit>epoch|step)",
        "`every` says how far turns are apart",
        lambda found: f"{_turns_of(found)} every 1 {found['unit']}",
    ),
    _phrase(
        r"(?P<head>(?:un)?freeze\s+)?(?P<stem>[A-Za-z_][\w.]*?)(?P<low>\d+)\s*(?:\bto\b|\bthrough\b|-(?!>)|:|\.\.)\s*"
        r"(?P=stem)?(?P<high>\d+)(?P<rest>\s*->.*|\s+(?:until|from|at)\s.*|)",
        "a range of numbers stands in braces",
        lambda found: (
            f"{found['head'] or ''}{found['stem']}{{{found['low']}..{found['high']}}}{found['rest']}"
        ),
    ),
    _phrase(
        rf"(?:for|while|on|at|in|during)\s+epoch\s+(?P<n>\d+)\s*:?\s*(?P<what>(?:un)?freeze)\s+(?P<names>{_LIST})",
        "the time comes last",
        lambda found: (
            f"freeze {found['names']} from epoch {found['n']} until epoch {int(found['n']) + 1}"
            if found["what"] == "freeze"
            else f"unfreeze {found['names']} at epoch {found['n']}"
        ),
    ),
    _phrase(
        rf"(?P<head>(?:freeze\s+{_LIST}|[^\n]*->[^\n]*?))\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*<\s*(?P<n>\d+)",
        "the end of a window is written with `until`",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<head>(?:freeze\s+{_LIST}|[^\n]*->[^\n]*?))\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*>=\s*(?P<n>\d+)",
        "the beginning of a window is written with `from`",
        r"\g<head> from \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        r"freeze_?(?:backbone|encoder|base)\s*[:=]?\s*(?:[Tt]rue|1|yes)?|frozen_stages\s*[:=]?\s*\d+|freeze_at\s*[:=]?\s*\d+",
        "what is frozen is named as the model names it",
        None,
        "write `freeze ** except HEAD`, or `freeze SELECTOR` for its parts; `layerlr inspect` lists them",
    ),
    _phrase(
        rf"(?P<names>{_LAYER}{_LIST})\s*::\s*(?P<after>\w+\s.+)",
        "a rule has `->` between its selector and its options, not `::`",
        r"\g<names> -> \g<after>",
        safe=True,
    ),
    _phrase(
        rf"-\s+['\"]?(?P<names>{_LAYER}{_NAME}?)['\"]?\s*:\s*(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a rule is no item of a list: it has an arrow and an option",
        r"\g<names> -> lr \g<value>",
    ),
    _phrase(
        rf"\d+\s*:(?:\s*\[.*\])?|(?:params|param_groups|parameters|lr_groups|layers)\s*:.*|(?P<names>{_LAYER}{_NAME}?)\s*:",
        "a rule stands on one line: a selector, an arrow and its options",
        None,
        "write `SELECTOR -> OPTION VALUE`; phases are written with `unfreeze A then B every N epochs` or as a `stage`",
    ),
    _phrase(
        rf"freeze\s+(?P<names>{_LIST})\s+every\s.*",
        "a freeze has one window, and `every` gives turns",
        None,
        "write `freeze SELECTOR until epoch N`, or `unfreeze A then B every N epochs`",
    ),
    _phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{_LIST})\s+(?:after|in)\s+(?P<n>\d+)\s+(?P<unit>epoch|step)s?",
        "what thaws does so at a time",
        r"unfreeze \g<names> at \g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LIST})\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*<\s*(?P<n>\d+)\s*->(?P<after>.+)",
        "a rule's window comes last",
        r"\g<names> ->\g<after> until \g<unit> \g<n>",
        safe=True,
    ),
    # ------------------------------------------------------------ selectors
    _phrase(
        rf"(?:not\s+|[!~]\s*|(?:{_ALL}\s*(?:-|minus\b|{_BUT})\s*))(?P<rest>{_LIST})\s*->(?P<after>.+)",
        "what is left out follows `except`",
        r"** except \g<rest> ->\g<after>",
    ),
    _phrase(
        r"(?:all|every)\s+(?:the\s+)?(?P<what>norm|bias|embedding|batchnorm|layernorm|bn)(?:e?s)?\s*->(?P<after>.+)",
        "what is of a kind is asked for with `where`",
        lambda found: f"** where {_FAMILIES[found['what']]} ->{found['after']}",
        safe=True,
    ),
    _phrase(
        r"(?P<stem>[A-Za-z_]+?)s?\s+(?P<low>\d+)\s*(?:-|to|\.\.|through)\s*(?P<high>\d+)(?P<after>\s*->.+)",
        "numbered layers are written with a range in braces, after the name that the model gives them",
        r"\g<stem>{\g<low>..\g<high>}\g<after>",
    ),
    _phrase(
        r"(?:the\s+)?(?P<end>first|last)\s+(?P<n>\d+)\s+(?P<what>\w+)\s*->(?P<after>.+)",
        "layers are counted by a capture and a condition",
        lambda found: (
            f"{found['what']}.<i> where i "
            + (f"< {found['n']}" if found["end"] == "first" else f"> last(i) - {found['n']}")
            + f" ->{found['after']}"
        ),
        "name them as the model does, as in `{}`",
        example=True,
    ),
    _phrase(
        rf"(?P<before>)(?P<names>{_NAME}(?:\s*(?:\|{{1,2}}|&{{1,2}}|\+|\band\b|\bor\b|,)\s*{_NAME})+)(?P<after>\s*->.+)",
        "what is selected together is listed with commas",
        _joined,
        safe=True,
    ),
    _phrase(
        rf"(?P<before>(?:freeze|unfreeze)\s+)(?P<names>{_NAME}(?:\s*(?:\|{{1,2}}|&{{1,2}}|\+|\band\b|\bor\b|,)\s*{_NAME})+)(?P<after>(?:\s+(?:from|until|at|warmup)\b.*)?)",
        "what is selected together is listed with commas",
        _joined,
        safe=True,
    ),
    _phrase(
        rf"(?P<before>)(?P<names>{_PLAIN}(?:\s+{_PLAIN})+)(?P<after>\s*->.+)",
        "what is selected together is listed with commas",
        _joined,
    ),
    _phrase(
        rf"(?P<head>{_LIST})\s*>\s*(?P<tail>{_NAME})(?P<after>\s*->.+)",
        "the segments of a name are joined by dots",
        r"\g<head>.\g<tail>\g<after>",
    ),
    _phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)\^?(?P<name>\w+(?:\\\.\w+)*)(?:\\?\.\*|\\\.\.\*|\$)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "this reads as a regular expression, and a selector is a dotted name that covers all below it",
        lambda found: f"{found['head']}{found['name'].replace(chr(92), '')}{found['after']}",
    ),
    _phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)\^(?P<name>[\w.*]+)\$?(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "a selector begins at the top of the model, without a sign",
        r"\g<head>\g<name>\g<after>",
    ),
    _phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)(?P<stem>[\w.]*)\((?P<names>\w+(?:\|\w+)+)\)(?P<tail>[\w.]*)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "one of several is written in braces",
        lambda found: (
            f"{found['head']}{found['stem']}{{{found['names'].replace('|', ',')}}}{found['tail']}{found['after']}"
        ),
        safe=True,
    ),
    _phrase(
        r"(?P<head>(?:freeze\s+|unfreeze\s+)?)(?:(?:self|model|net)\.)?(?P<name>[\w.]+)\.(?:named_)?parameters\(\)(?P<after>\s*(?:->.+|from\s.*|until\s.*|at\s.*)?)",
        "a selector is the dotted name of a module, and covers its parameters",
        r"\g<head>\g<name>\g<after>",
        safe=True,
    ),
    _phrase(
        rf"(?:exclude|skip|remove|drop)\s+(?P<names>{_LIST})\s+from\s+(?:weight[_ ]?decay|wd)|no\s+(?:weight[_ ]?decay|wd|decay)\s+(?:on|for|in)\s+(?P<other>{_LIST})",
        "what gets no weight decay is given a decay of 0",
        lambda found: _no_decay(found["names"] or found["other"]),
    ),
    _phrase(
        rf"(?P<names>{_LIST})\s*->\s*no[ _](?:weight[_ ]?decay|wd|decay)|(?P<other>{_LIST})\s*->\s*no_decay",
        "what gets no weight decay is given a decay of 0",
        lambda found: f"{found['names'] or found['other']} -> weight_decay 0",
        safe=True,
    ),
    # ------------------------------------------------------------ options
    _phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*)(?P<a>weight|learning)\s+(?P<b>decay|rate)\s+(?P<after>.+)",
        "the name of an option is one word",
        lambda found: (
            found["head"] + ("weight_decay" if found["a"] == "weight" else "lr") + f" {found['after']}"
        ),
        safe=True,
    ),
    _phrase(
        rf"(?P<head>[^\n]*->\s*[^\n]*?)\s*,\s*(?P<second>{_NAME}\s*->.+)",
        "a rule has one arrow; the next rule stands on a line of its own, or behind `;`",
        r"\g<head>; \g<second>",
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LIST})\s*(?:->|:)?\s*\{{\s*(?P<option>\w+)\s*[:=]?\s*(?P<value>[^{{}},]+?)\s*\}}",
        "a rule has no braces",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LIST})\s*->\s*[({{]\s*(?P<options>\w+\s*[:=]\s*[^\s,(){{}}]+(?:\s*,\s*\w+\s*[:=]\s*[^\s,(){{}}]+)*)\s*[)}}]",
        "the options of a rule stand without brackets",
        lambda found: f"{found['names']} -> " + re.sub(r"\s*[:=]\s*", " ", found["options"]),
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*->\s*(?:lr|weight_decay))\s+(?:from\s+)?(?P<a>\d[\d.]*(?:e-?\d+)?)\s*(?:->|to\b)\s*(?P<b>\d[\d.]*(?:e-?\d+)?)",
        "a value that moves along is a ramp",
        r"\g<head> ramp((0%, \g<a>), (100%, \g<b>))",
    ),
    _phrase(
        r"(?:paramwise_cfg\s*=\s*dict\(\s*)?(?P<what>norm|bias)_(?P<option>lr|decay)_mult\s*[:=]?\s*(?P<n>\d*\.?\d*)\s*\)?,?",
        "a factor on what is of a kind is a rule",
        lambda found: (
            f"** where {_FAMILIES[found['what']]} -> "
            f"{'lr' if found['option'] == 'lr' else 'weight_decay'} *= {found['n'].rstrip('.')}"
        ),
    ),
    _phrase(
        r"(?P<word>batch_?size|(?:random_?)?seed|(?:num_?)?workers|(?:grad(?:ient)?_?)?(?:clip\w*|accum\w*)|ema(?:_\w+)?|dropout|drop_path\w*"
        r"|label_?smoothing|dtype|precision|amp|fp16|bf16|device|data(?:set|_?root)?|augment\w*|image_?size|patience|output_?dir|loss)\s*[:=]?\s*\S+",
        "a rule file is about rates, decay, freezing and their times",
        None,
        "leave this to the program that trains; `layerlr train --help` lists what it takes",
    ),
    _phrase(
        r"(?P<name>(?:base|head|backbone|body|encoder|decoder|init(?:ial)?|start|peak|max)_(?:lr|learning_rate))(?:\s*:\s*|\s+)(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a value gets a name with `let`",
        r"let \g<name> = \g<value>",
    ),
    _phrase(
        r"(?P<name>(?:min|warmup)_lr|eta_min)\s*[:=]?\s*(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "this is an argument of the schedule",
        lambda found: (
            f"schedule cosine({'warmup=5%, warmup_lr' if found['name'] == 'warmup_lr' else 'min_lr'}={found['value']})"
        ),
        "write it there, as in `{}`",
        example=True,
    ),
    _phrase(
        r"(?:lr\s*=\s*)?slice\(.*\)|discriminative_lr\(.*\)",
        "rates that grow from layer to layer are a rule over the numbers of the layers",
        r"layers.<i> -> lr 1e-5 * 100 ^ (i / last(i))",
        "write it with the names of the model, as in `{}`",
        example=True,
    ),
    _phrase(
        r"(?:learn\.)?fit_one_cycle\(.*\)",
        "the schedule is a statement",
        r"schedule one_cycle",
    ),
    _phrase(
        r"(?P<head>[^\n]*->\s*lr)\s+(?P<n>[\d.]+)[xX]",
        "a rate is multiplied with `*=`",
        r"\g<head> *= \g<n>",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*->\s*\w+\s*\*=\s*)(?:(?P<n>[\d.]+)[xX]|[xX](?P<m>[\d.]+))",
        "a factor is a plain number",
        lambda found: f"{found['head']}{found['n'] or found['m']}",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*)betas\s*[=:]?\s*\[?\(?\s*(?P<a>[\d.]+)\s*,\s*(?P<b>[\d.]+)\s*\]?\)?(?P<after>.*)",
        "several values stand in parentheses",
        r"\g<head>betas (\g<a>, \g<b>)\g<after>",
        safe=True,
    ),
    _phrase(
        rf"(?P<names>{_LAYER}{_NAME}?)(?:\.lr\s*[:=]?\s*|\s*:\s*|\s+)(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a value is given to an option, behind an arrow",
        r"\g<names> -> lr \g<value>",
    ),
    _phrase(
        rf"(?:set|use|give|let)?\s*(?P<option>lr|learning_rate|weight_decay|wd)(?:\s+of)?\s+(?P<names>(?!for\b|on\b|to\b){_NAME})\s+(?:to\s+|=\s*)?(?P<value>\d[\d.]*(?:e-?\d+)?)"
        rf"|(?:set|use|give)?\s*(?P<option2>lr|learning_rate|weight_decay|wd)\s+(?:of\s+|=\s*)?(?P<value2>\d[\d.]*(?:e-?\d+)?)\s+(?:for|on|to|in)\s+(?P<names2>{_LIST})"
        rf"|(?:set|use|give)\s+(?P<names3>{_NAME})\s+(?P<option3>lr|learning_rate|weight_decay|wd)\s*=?\s*(?P<value3>\d[\d.]*(?:e-?\d+)?)"
        rf"|(?P<option4>lr)\s*[(\[]\s*\"?(?P<names4>{_NAME})\"?\s*[)\]]\s*=\s*(?P<value4>\d[\d.]*(?:e-?\d+)?)"
        rf"|param_?groups?\s*:?\s*(?P<names5>{_NAME})\s+(?P<option5>lr|weight_decay)\s*[:=]?\s*(?P<value5>\d[\d.]*(?:e-?\d+)?)",
        "a rule is a selector, an arrow and its options",
        lambda found: next(
            f"{found['names' + n]} -> {_OPTION.get(found['option' + n], found['option' + n])} {found['value' + n]}"
            for n in ("", "2", "3", "4", "5")
            if found["names" + n]
        ),
    ),
    _phrase(
        r"(?:use|with|set)\s+(?P<name>adamw?|sgd|lion|muon|adafactor|rmsprop|lamb|lars)(?:\s+optimizer)?",
        "the optimizer is a statement",
        r"optimizer \g<name>",
        safe=True,
    ),
    _phrase(
        r"(?:--)?(?:param_groups_)?(?:layer[-_]?(?:wise[-_])?(?:lr[-_])?decay|llrd)(?:_rate)?\s*[:=(]?\s*(?P<n>0?\.\d+)\)?",
        "layer-wise decay is a rule over the numbers of the layers",
        r"layers.<i> -> lr *= \g<n> ^ (last(i) - i)",
        "write it with the names of the model, as in `{}`; `layerlr init --style decay` writes it for a model",
        example=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*->\s*\w+\s+[\w.+-]+)\s+(?:and|/|&|\+|plus)\s+(?P<after>(?:lr|weight_decay|momentum|betas|eps)\s.+)",
        "the options of a rule are listed with commas",
        r"\g<head>, \g<after>",
        safe=True,
    ),
    _phrase(
        r"\{\s*['\"]params['\"]\s*:\s*(?:model\.)?(?P<names>[\w.]+)\.parameters\(\)\s*,\s*['\"](?P<option>\w+)['\"]\s*:\s*(?P<value>[\w.-]+)\s*\},?",
        "a parameter group is a rule",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    _phrase(
        r"['\"](?P<names>[\w.*]+)['\"]\s*:\s*(?:\{\s*|dict\()['\"]?lr_mult['\"]?\s*[:=]\s*(?P<value>[\w.-]+)\s*[})],?"
        r"|custom_keys\s*=\s*\{\s*['\"](?P<names2>[\w.*]+)['\"]\s*:\s*dict\(lr_mult=(?P<value2>[\w.-]+)\)\s*\},?",
        "a factor on the rate is a rule",
        lambda found: f"**.{found['names'] or found['names2']} -> lr *= {found['value'] or found['value2']}",
    ),
    _phrase(
        r"['\"](?P<names>[\w.*]+)['\"]\s*:\s*\{\s*['\"](?P<option>\w+)['\"]\s*:\s*(?P<value>[\w.-]+)\s*\},?",
        "a rule has an arrow, and no braces",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    _phrase(
        r"for\s+\w+\s*(?:,\s*\w+\s*)?in\s+.*parameters\(\)\s*:?",
        "there are no loops: a selector covers all that it matches",
        None,
        "write `SELECTOR -> OPTION VALUE` or `freeze SELECTOR`",
    ),
    _phrase(
        r"(?:SELECT|select|UPDATE|update|match|when|case)\s+.+\s(?:FROM|from|WHERE|where|SET|set)\s.+",
        "a rule is a selector, an arrow and its options",
        None,
        "write `SELECTOR where ... -> OPTION VALUE`",
    ),
    # ------------------------------------------------------------ schedules, lengths, names
    _phrase(
        r"schedule\s+(?P<name>\w+)\s+(?:with\s+)?(?:a\s+)?(?P<argument>[A-Za-z_]\w*)\s*[=:]?\s*(?P<value>[\d._]+\s*(?:%|epochs?|steps?)?)",
        "arguments stand in parentheses, by name",
        r"schedule \g<name>(\g<argument>=\g<value>)",
        safe=True,
    ),
    _phrase(
        r"schedule\s+(?P<name>\w+)\s*(?:\[.*\]|[\d.]+(?:e-?\d+)?(?:[\s,]+[\d.]+(?:e-?\d+)?)*)",
        "arguments stand in parentheses, by name",
        r"schedule \g<name>(NAME=VALUE)",
        example=True,
    ),
    _phrase(
        r"optimizer\s+(?P<name>\w+)\s*,?\s*(?:with\s+)?(?:(?P<option>lr|learning_rate|weight_decay|wd|momentum)\s*[=:]?\s*)?(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "arguments stand in parentheses, by name",
        lambda found: (
            f"optimizer {found['name']}({_OPTION.get(found['option'] or 'lr', found['option'] or 'lr')}={found['value']})"
        ),
    ),
    _phrase(
        r"(?P<unit>epochs|steps)\s+(?P<n>\d+)\s+(?:epochs?|steps?)",
        "the length of the run is a plain number",
        r"\g<unit> \g<n>",
        safe=True,
    ),
    _phrase(
        r"num_train_epochs\s*[:=]?\s*(?P<n>\d+)(?:\.0)?",
        "the length of the run is `epochs`",
        r"epochs \g<n>",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)len\((?:\w+\.)?shape\)(?P<after>.*)",
        "the number of dimensions is `ndim`",
        r"\g<head>ndim\g<after>",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)\b(?:p|param|parameter|self|x)\.(?P<name>ndim|name|numel|shape|dtype)\b(?:\(\))?(?P<after>.*)",
        "what `where` sees of a parameter has plain names",
        r"\g<head>\g<name>\g<after>",
        safe=True,
    ),
    _phrase(
        r"(?:lr_)?warm[-_]?up(?:_(?P<unit>epochs|steps))?\s*[=:]?\s*(?P<n>[\d._]+)\s*(?P<after>%|epochs?|steps?)?",
        "a warm-up is an argument of the schedule",
        lambda found: f"schedule constant(warmup={found['n']}{_unit(found)})",
        "write it there, as in `{}`",
        example=True,
    ),
    _phrase(
        r"(?P<head>expect\s+[^=\n]+?)\s=\s(?P<value>.+)",
        "an expectation compares with `==`",
        r"\g<head> == \g<value>",
        safe=True,
    ),
    _phrase(
        r"(?P<name>(?!(?:version|let|group|epochs?|steps?|steps_per_epoch|model|optimizer|schedule|lr|learning_rate|num_epochs|weight_decay)\b)[A-Za-z_]\w*)\s*:?=\s*(?P<value>[\d.]+(?:e-?\d+)?%?)",
        "a value gets a name with `let`",
        r"let \g<name> = \g<value>",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)\bmodule\s+is\s+(?:torch\.)?nn\.(?:modules\.\w+\.)?(?P<name>\w+)(?P<after>.*)",
        "a class is named without its module, or in quotes with it",
        r"\g<head>module is \g<name>\g<after>",
        safe=True,
    ),
    _phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)isinstance\(\s*\w+\s*,\s*(?:torch\.)?(?:nn\.)?(?P<name>\w+)\s*\)(?P<after>.*)",
        "the class of the owner is asked for with `is`",
        r"\g<head>module is \g<name>\g<after>",
        safe=True,
    ),
    _phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)(?P<what>name|path)\s+(?:contains|includes|like)\s+"%?(?P<text>\w+)%?"(?P<after>.*)',
        "a part of a name is asked for with `matches`, which takes a regular expression",
        r"\g<head>\g<what> matches /.*\g<text>.*/\g<after>",
    ),
    _phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)"(?P<text>\w+)"\s+in\s+(?P<what>name|path)(?P<after>.*)',
        "a part of a name is asked for with `matches`, which takes a regular expression",
        r"\g<head>\g<what> matches /.*\g<text>.*/\g<after>",
    ),
    _phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)(?P<what>name|path|n)\.(?P<how>endswith|startswith)\("\.?(?P<text>[\w.]+)"\)(?P<after>.*)',
        "the end or the beginning of a name is asked for with `matches`, which takes a regular expression",
        lambda found: (
            f"{found['head']}{'path' if found['what'] == 'n' else found['what']} matches "
            + (f"/.*{found['text']}/" if found["how"] == "endswith" else f"/{found['text']}.*/")
            + found["after"]
        ),
    ),
    _phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)name\s+in\s+[(\[]\s*(?P<names>"\w+"(?:\s*,\s*"\w+")*)\s*[)\]](?P<after>.*)',
        "one of several texts is asked for with `or`",
        lambda found: (
            found["head"]
            + "("
            + " or ".join(f"name == {name.strip()}" for name in found["names"].split(","))
            + ")"
            + found["after"]
        ),
        safe=True,
    ),
    _phrase(
        r"--\s*(?P<text>.*)|/\*\s*(?P<inside>.*?)\s*\*/",
        "comments begin with `#`",
        lambda found: f"# {found['text'] or found['inside'] or ''}",
        safe=True,
    ),
    _phrase(
        r"[{}]",
        "there are no braces around statements",
        None,
        "remove it: what stands behind a `stage` heading holds in that stage",
    ),
)


def _bare(names: str) -> str:
    return re.sub(r"^(?:self|model|net)\.(?=.)", "", names.rstrip("."))


def _no_decay(names: str) -> str:
    """`norm, bias` in the words of selectors: families by what owns them, biases by their name."""
    words = [re.sub("(?<=bias)es$|(?<=norm|ding)s$", "", name.strip().lower()) for name in names.split(",")]
    if all(word in _FAMILIES for word in words):
        asked = dict.fromkeys(_FAMILIES[word] for word in words)
        return f"** where {' or '.join(asked)} -> weight_decay 0"
    return f"{names} -> weight_decay 0"


def _unit(found: Match) -> str:
    unit = found["after"] or found["unit"] or "epochs"
    return unit if unit == "%" else f" {unit}"


def foreign_phrase(f: Failure) -> Diagnostic | None:
    """A whole statement of another language: said and rewritten as one."""
    written = _STATEMENT.match(f.source.text, f.start)
    if written is None or f.at > written.end():
        return None
    text = written[0].rstrip()
    if len(text) > _LONGEST:
        return None
    for phrase in PHRASES:
        found = phrase.written.fullmatch(text)
        if found is not None and (said := _said(phrase, found, f)) is not None:
            return said
    return None


def _said(phrase: Phrase, found: Match, f: Failure) -> Diagnostic | None:
    if phrase.meant is None:
        return error("LR001", phrase.message, f.span, phrase.help)
    meant = phrase.meant(found) if callable(phrase.meant) else found.expand(phrase.meant)
    if meant == found[0]:
        return None
    begin, end, replacement = _difference(found[0], meant)
    place = Span(f.source, f.start + begin, f.start + end)
    at = place if begin < end else f.span
    help = phrase.help.format(shortened(meant, 100))
    if phrase.example:
        return error("LR001", phrase.message, at, help)
    fix = Fix(f"write `{shortened(meant)}`", (Edit(place, replacement),), safe=phrase.safe)
    return error("LR001", phrase.message, at, help, fix=fix)


_WORD = re.compile(r"\w+|\s+|.")


def _difference(before: str, after: str) -> tuple[int, int, str]:
    """The part of a text that another has in its place, in whole words: from, to, and what stands there."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    same = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    rest = min(len(old), len(new)) - same
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    begin = sum(map(len, old[:same]))
    end = len(before) - sum(map(len, old[len(old) - tail :]))
    return begin, end, "".join(new[same : len(new) - tail])
