"""How freezing and thawing are said elsewhere."""

from __future__ import annotations

import re

from layerlr_dsl.language.phrasebook.phrase import (
    ALL,
    AS_NAMED,
    BUT,
    LAYER,
    LIST,
    NAME,
    NUMBERED,
    PLAIN,
    Match,
    Phrase,
    numbered,
    phrase,
)

_FREEZES = r"(?:freeze|lock|fix)"


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


def _bare(names: str) -> str:
    return re.sub(r"^(?:self|model|net)\.(?=.)", "", names.rstrip("."))


FREEZING: tuple[Phrase, ...] = (
    phrase(
        rf"{_FREEZES}\s+(?:{ALL}\s+)?{BUT}\s+(?P<rest>{LIST})",
        "everything is `**`, and `except` follows what it narrows",
        r"freeze ** except \g<rest>",
        safe=True,
    ),
    phrase(
        rf"{_FREEZES}\s+(?:not\s+|!\s*|~\s*)(?P<rest>{LIST})",
        "what is left out follows `except`",
        r"freeze ** except \g<rest>",
    ),
    phrase(
        rf"(?:train|tune|finetune|fine-tune|unfreeze|keep)\s+only\s+(?P<rest>{LIST})|only\s+(?:train|tune)\s+(?P<other>{LIST})",
        "what trains is what is not frozen",
        lambda found: f"freeze ** except {found['rest'] or found['other']}",
        safe=True,
    ),
    phrase(
        rf"(?:train|only|tune|fine-?tune)\s+(?P<rest>{LIST}(?:\s*(?:,|\band\b)\s*{NAME})*)",
        "what trains is what is not frozen",
        lambda found: f"freeze ** except {', '.join(re.split(r' *(?:,|and ) *', found['rest']))}",
    ),
    phrase(
        rf"(?:linear\s+prob(?:e|ing)|head\s+only|train\s+head)(?:\s+(?P<rest>{LIST}))?",
        "a linear probe freezes all but the head",
        lambda found: f"freeze ** except {found['rest'] or 'HEAD'}",
        "name the head as the model does, as in `{}`",
        example=True,
    ),
    phrase(
        rf"(?:gradually|progressively|slowly)\s+(?:un-?freeze|thaw)\s+(?P<names>{NAME}(?:\s*(?:,|>|->|then|and|\s)\s*{NAME})*?)(?P<every>\s+every\s+.*)?",
        "turns are joined with `then`, and `every` says how far they are apart",
        _turns,
    ),
    phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{NAME}(?:\s*>\s*{NAME})+)(?P<every>\s+every\s+.*)?",
        "turns are joined with `then`",
        _turns,
    ),
    phrase(
        rf"(?P<head>(?:freeze|[^\n]*->)\s+{LIST}[^\n]*?)\s+(?:(?:for|in|during|from|between)?\s*(?:the\s+)?epochs?|from|between)\s+(?P<begin>\d+)\s*(?:-|to|\.\.|and|through)\s*(?:epoch\s+)?(?P<end>\d+)",
        "a window is written with `from` and `until`, and the epoch behind `until` is the first that lies outside",
        _window,
    ),
    phrase(
        rf"(?P<head>freeze\s+{LIST})\s+(?:for|during)\s+(?:the\s+)?(?:first\s+)?(?P<n>\d+)\s+(?P<unit>epoch|step)s?",
        "`for` begins no time window",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>freeze\s+{LIST})\s+(?:before|till|up\s+to|to)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "the end of a window is written with `until`",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>freeze\s+{LIST})\s+(?:after|starting\s+at|since|at|beginning)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "the beginning of a window is written with `from`",
        r"\g<head> from \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>(?:freeze\s+{LIST}|[^\n]*->[^\n]*?)\s+(?:from|until)\s+(?P<unit>epoch|step)\s+\d+(?:\.\d+)?)\s+(?P=unit)s?(?P<rest>.*)",
        "the unit of a time stands once, in front of the number",
        r"\g<head>\g<rest>",
        safe=True,
    ),
    phrase(
        rf"if\s+epoch\s*(?:>=|==|>)\s*(?P<n>\d+)\s*:?\s*(?:then\s+)?(?:unfreeze|thaw)\s+(?P<names>{LIST})",
        "there is no `if`: a statement says when it holds",
        r"unfreeze \g<names> at epoch \g<n>",
    ),
    phrase(
        rf"if\s+epoch\s*<\s*(?P<n>\d+)\s*:?\s*(?:then\s+)?freeze\s+(?P<names>{LIST})",
        "there is no `if`: a statement says when it holds",
        r"freeze \g<names> until epoch \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LIST}?)\.?\s*(?:->|:|=)?\s*(?:requires_grad_?|trainable)\s*[=:(]?\s*(?P<flag>[Ff]alse|0|off|no)\)?",
        "what trains is set by freezing, which clears gradients and holds statistics too",
        lambda found: "freeze " + _bare(found["names"]),
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LIST}?)\.?\s*(?:->|:|=)?\s*(?:requires_grad_?|trainable)\s*[=:(]?\s*(?P<flag>[Tt]rue|1|on|yes)?\)?",
        "what trains is set by freezing and unfreezing: what no `freeze` names trains",
        None,
        "leave it out, or write `unfreeze SELECTOR at epoch N`",
    ),
    phrase(
        r"for\s+\w+\s+in\s+(?:self\.|model\.|net\.)?(?P<names>[\w.]+)\.parameters\(\)\s*:\s*\w+\.requires_grad(?:\s*=\s*False|_\(False\))",
        "there are no loops: a selector covers all that is below a module",
        r"freeze \g<names>",
        safe=True,
    ),
    phrase(
        rf"(?:jax\.|lax\.|tf\.|K\.)*(?:stop_gradients?|detach)[\s(]\s*(?P<names>{LIST}?)\s*\)?"
        rf"|(?P<other>{LIST}?)\s*->\s*(?:optax\.)?set_to_zero(?:\(\))?|(?P<third>{LIST}?)\.detach\(\)",
        "what gets no gradient is frozen",
        lambda found: f"freeze {found['names'] or found['other'] or found['third']}",
    ),
    phrase(
        rf"(?P<names>{LIST}?)(?:\.|\s*->\s*)eval(?:\(\))?",
        "what is frozen is in eval by itself; running statistics alone are held with `freeze statistics of`",
        r"freeze statistics of \g<names>",
        "write `{}`, or `freeze SELECTOR` to hold the weights too",
    ),
    phrase(
        r"(?:learn\.)?freeze_to\(?\s*-?\d+\)?|(?:optax\.)?(?:masked|multi_transform|partition)\(.*\)",
        "what is frozen is named as the model names it",
        None,
        "write `freeze ** except HEAD`, or `freeze SELECTOR` for its parts; `layerlr inspect` lists them",
    ),
    phrase(
        r"freeze\s+(?:the\s+)?(?P<end>first|last)\s+(?:layer|block|stage)",
        "a layer is named as the model names it",
        None,
        "write `freeze SELECTOR`; `layerlr inspect` lists the names",
    ),
    phrase(
        rf"(?:unlock|release|melt)\s+(?P<names>{LIST})\s+(?:at|after|from|on|in)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "what trains again is thawed with `unfreeze`",
        r"unfreeze \g<names> at \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        r"(?:phase|part|period)\s+(?P<name>[A-Za-z_]\w*)\s+(?P<after>(?:for|until)\s.+)",
        "a part of the run is a stage",
        r"stage \g<name> \g<after>",
        safe=True,
    ),
    phrase(
        rf"(?:lock|hold|fix|frozen)\s+(?P<names>{LIST}(?:\s+(?:from|until)\s.*)?)",
        "what does not train is frozen with `freeze`",
        r"freeze \g<names>",
    ),
    phrase(
        rf"freeze\s+(?P<names>{LIST})\s*(?:,|then|and)?\s*(?:un-?freeze|thaw)\s+(?:it\s+|them\s+)?(?:at|after|from|on|in)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "a freeze says when it ends with `until`",
        r"freeze \g<names> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        r"(?P<word>freeze|unfreeze)\s+(?P<stem>[A-Za-z_]+?)(?P<many>s?)\s+(?P<low>\d+)\s*(?:-|to|\.\.|through)\s*(?P<high>\d+)(?P<after>(?:\s+(?:from|until|at)\s.*)?)",
        NUMBERED,
        lambda found: numbered(found, f"{found['word']} "),
        AS_NAMED,
        example=True,
    ),
    phrase(
        r"freeze\s+(?:the\s+)?(?P<end>first|last)\s+(?P<n>\d+)\s+(?P<what>\w+)",
        "layers are counted by a capture and a condition",
        lambda found: (
            f"freeze {found['what']}.<i> where i "
            + (f"< {found['n']}" if found["end"] == "first" else f"> last(i) - {found['n']}")
        ),
        "name them as the model does, as in `{}`",
        example=True,
    ),
    phrase(
        r"freeze\s+.+?\s+(?:but|except)(?:\s+for)?\s+(?:the\s+)?(?P<end>first|last)\s+(?P<n>\d+)(?:\s+(?P<what>[A-Za-z]\w*))?",
        "layers are counted by a capture and a condition",
        lambda found: (
            f"freeze {found['what'] or 'layers'}.<i> where i "
            + (f">= {found['n']}" if found["end"] == "first" else f"<= last(i) - {found['n']}")
        ),
        AS_NAMED,
        example=True,
    ),
    phrase(
        rf"freeze\s+(?:(?:bn|batch_?norms?|norms?|running)\s+)*(?:stats|statistics)(?:\s+(?:of|in|for)\s+(?P<names>{LIST}))?",
        "running statistics are held with `freeze statistics of`",
        lambda found: f"freeze statistics of {found['names'] or '**'}",
        safe=True,
    ),
    phrase(
        r"unfreeze\s+(?:one|a|1)\s+(?P<what>\w+)\s+(?:per|every|each|an?)\s+(?P<unit>epoch|step)",
        "turns go by a capture",
        r"unfreeze \g<what>s.<i> by i descending every 1 \g<unit>",
        "name the layers as the model does, as in `{}`",
        example=True,
    ),
    phrase(
        rf"(?P<head>un-?freeze|thaw)\s+(?P<names>{LIST})\s+every\s+epoch",
        "`every` has a number, and turns are joined with `then`",
        lambda found: f"unfreeze {' then '.join(re.split(r', *', found['names']))} every 1 epoch",
    ),
    phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{NAME}(?:\s*(?:,|>|\bthen\b)\s*{NAME})+)\s+"
        r"(?:each|per|once\s+(?:an?|per|each|every))\s+(?P<unit>epoch|step)",
        "`every` says how far turns are apart",
        lambda found: f"{_turns_of(found)} every 1 {found['unit']}",
    ),
    phrase(
        r"(?P<head>(?:un)?freeze\s+)?(?P<stem>[A-Za-z_][\w.]*?)(?P<low>\d+)\s*(?:\bto\b|\bthrough\b|-(?!>)|:|\.\.)\s*"
        r"(?P=stem)?(?P<high>\d+)(?P<rest>\s*->.*|\s+(?:until|from|at)\s.*|)",
        "a range of numbers stands in braces",
        lambda found: (
            f"{found['head'] or ''}{found['stem']}{{{found['low']}..{found['high']}}}{found['rest']}"
        ),
    ),
    phrase(
        rf"(?:for|while|on|at|in|during)\s+epoch\s+(?P<n>\d+)\s*:?\s*(?P<what>(?:un)?freeze)\s+(?P<names>{LIST})",
        "the time comes last",
        lambda found: (
            f"freeze {found['names']} from epoch {found['n']} until epoch {int(found['n']) + 1}"
            if found["what"] == "freeze"
            else f"unfreeze {found['names']} at epoch {found['n']}"
        ),
    ),
    phrase(
        rf"(?P<head>(?:freeze\s+{LIST}|[^\n]*->[^\n]*?))\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*<\s*(?P<n>\d+)",
        "the end of a window is written with `until`",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>(?:freeze\s+{LIST}|[^\n]*->[^\n]*?))\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*>=\s*(?P<n>\d+)",
        "the beginning of a window is written with `from`",
        r"\g<head> from \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        r"freeze_?(?:backbone|encoder|base)\s*[:=]?\s*(?:[Tt]rue|1|yes)?|frozen_stages\s*[:=]?\s*\d+|freeze_at\s*[:=]?\s*\d+",
        "what is frozen is named as the model names it",
        None,
        "write `freeze ** except HEAD`, or `freeze SELECTOR` for its parts; `layerlr inspect` lists them",
    ),
    phrase(
        rf"(?P<names>{LAYER}{LIST})\s*::\s*(?P<after>\w+\s.+)",
        "a rule has `->` between its selector and its options, not `::`",
        r"\g<names> -> \g<after>",
        safe=True,
    ),
    phrase(
        rf"-\s+['\"]?(?P<names>{LAYER}{NAME}?)['\"]?\s*:\s*(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a rule is no item of a list: it has an arrow and an option",
        r"\g<names> -> lr \g<value>",
    ),
    phrase(
        rf"\d+\s*:(?:\s*\[.*\])?|(?:params|param_groups|parameters|lr_groups|layers)\s*:.*|(?P<names>{LAYER}{NAME}?)\s*:",
        "a rule stands on one line: a selector, an arrow and its options",
        None,
        "write `SELECTOR -> OPTION VALUE`; phases are written with `unfreeze A then B every N epochs` or as a `stage`",
    ),
    phrase(
        rf"freeze\s+(?P<names>{LIST})\s+every\s.*",
        "a freeze has one window, and `every` gives turns",
        None,
        "write `freeze SELECTOR until epoch N`, or `unfreeze A then B every N epochs`",
    ),
    phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<names>{LIST})\s+(?:after|in)\s+(?P<n>\d+)\s+(?P<unit>epoch|step)s?",
        "what thaws does so at a time",
        r"unfreeze \g<names> at \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LIST})\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*<\s*(?P<n>\d+)\s*->(?P<after>.+)",
        "a rule's window comes last",
        r"\g<names> ->\g<after> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?:un)?freeze\s+(?:(?:until|up\s+to|before|below|above|behind)\s+|(?:everything|all|(?:all\s+)?(?:the\s+)?layers?)\s+(?:before|below|after|above|behind|up\s+to|until)\s+)(?P<name>{PLAIN})"
        rf"|(?:(?:un)?freeze\s+)?(?:from\s+)?{PLAIN}\s*(?:\bto\b|\bthrough\b|:(?=\w)|\s-\s)\s*{PLAIN}",
        "which layers lie before or between others is not known to a selector",
        None,
        "list them with commas, as the model names them; `layerlr inspect` lists them in their order",
    ),
)
