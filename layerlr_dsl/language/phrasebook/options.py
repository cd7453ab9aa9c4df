"""How rates, decay and what else rules give are said elsewhere."""

from __future__ import annotations

import re

from layerlr_dsl.language.check_expressions import FAMILIES
from layerlr_dsl.language.phrasebook.phrase import LAYER, LIST, NAME, OPTION, Match, Phrase, phrase
from layerlr_dsl.tools.nearest import nearest

_COUNTED = ("version", "epochs", "steps", "steps_per_epoch")
"""Statements of a whole number."""


def _states(found: Match) -> bool:
    """Whether this is rather a statement with a slip in its word: `verison 1`, `Epochs 10`."""
    return found["value"].isdigit() and nearest(found["names"], _COUNTED) is not None


OPTIONS: tuple[Phrase, ...] = (
    phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*\w+)\s*/=\s*(?P<after>.+)",
        "an option is divided by a factor below 1",
        r"\g<head> *= 1 / \g<after>",
        safe=True,
    ),
    phrase(
        rf"(?P<option>lr|learning_rate|weight_decay|wd)\s*[:=]?\s*(?P<value>\d[\d.]*(?:e-?\d+)?)\s+(?:except|but\s+not)(?:\s+(?:for|on))?\s+(?P<names>{LIST})",
        "a rule has a selector, and what it leaves out follows `except`",
        lambda found: (
            f"** except {found['names']} -> {OPTION.get(found['option'], found['option'])} {found['value']}"
        ),
    ),
    phrase(
        r"[^\n]*->\s*\w+\s+[\d.]+(?:e-?\d+)?\s*(?:%|x|times)?\s*(?:of|the)\s.+",
        "a value cannot ask what another layer has",
        None,
        "give the number a name, `let base = 1e-3`, and write `0.1 * base`",
    ),
    phrase(
        r"(?P<head>[^\n]*->)\s*(?:lr|learning_rate)\s+schedule\s+(?P<after>.+)",
        "a schedule is given as an option of its own",
        r"\g<head> schedule \g<after>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->)(?:(?P<more>[^\n]*?)(?:\s*,\s*|\s+))?\s*(?P<word>schedule|optimizer)(?:\s*[=:]\s*|\s+)(?P<after>[A-Za-z].*)",
        "the options of a rule are listed with commas, each as `NAME VALUE`",
        lambda found: (
            f"{found['head']}{found['more']}, {found['word']} {found['after']}"
            if (found["more"] or "").strip()
            else f"{found['head']} {found['word']} {found['after']}"
        ),
        safe=True,
    ),
    phrase(
        r"[^\n]*->[^\n]*\swith\s+(?:an?\s+)?(?:\w+\s+)*warm[- ]?up.*",
        "a warm-up is an argument of the schedule",
        None,
        "write `schedule cosine(warmup=5%)`, or behind the rule `, schedule cosine(warmup=5%)`",
    ),
    phrase(
        r"\.?(?P<names>[\w.*, ]+?)\s*\{\s*(?P<option>[A-Za-z_]\w*)\s*[:=]\s*(?P<value>[^{},;]+?)\s*",
        "a rule has an arrow, and no braces",
        r"\g<names> -> \g<option> \g<value>",
        example=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*)(?P<a>weight|learning)\s+(?P<b>decay|rate)\s+(?P<after>.+)",
        "the name of an option is one word",
        lambda found: (
            found["head"] + ("weight_decay" if found["a"] == "weight" else "lr") + f" {found['after']}"
        ),
        safe=True,
    ),
    phrase(
        rf"(?P<head>[^\n]*->\s*[^\n]*?)\s*,\s*(?P<second>{NAME}\s*->.+)",
        "a rule has one arrow; the next rule stands on a line of its own, or behind `;`",
        r"\g<head>; \g<second>",
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LIST})\s*(?:->|:)?\s*\{{\s*(?P<option>\w+)\s*[:=]?\s*(?P<value>[^{{}},]+?)\s*\}}",
        "a rule has no braces",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LIST})\s*->\s*[({{]\s*(?P<options>\w+\s*[:=]\s*[^\s,(){{}}]+(?:\s*,\s*\w+\s*[:=]\s*[^\s,(){{}}]+)*)\s*[)}}]",
        "the options of a rule stand without brackets",
        lambda found: f"{found['names']} -> " + re.sub(r"\s*[:=]\s*", " ", found["options"]),
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->\s*(?:lr|weight_decay))\s+(?:from\s+)?(?P<a>\d[\d.]*(?:e-?\d+)?)\s*(?:->|to\b)\s*(?P<b>\d[\d.]*(?:e-?\d+)?)",
        "a value that moves along is a ramp",
        r"\g<head> ramp((0%, \g<a>), (100%, \g<b>))",
    ),
    phrase(
        r"(?:paramwise_cfg\s*=\s*dict\(\s*)?(?P<what>norm|bias)_(?P<option>lr|decay)_mult\s*[:=]?\s*(?P<n>\d*\.?\d*)\s*\)?,?",
        "a factor on what is of a kind is a rule",
        lambda found: (
            f"** where {FAMILIES[found['what']]} -> "
            f"{'lr' if found['option'] == 'lr' else 'weight_decay'} *= {found['n'].rstrip('.')}"
        ),
    ),
    phrase(
        r"(?P<word>batch(?:_?size)?|bs|(?:random_?)?seed|(?:num_?)?workers|(?:grad(?:ient)?_?)?(?:clip\w*|accum\w*)|ema(?:_\w+)?|dropout|drop_path\w*"
        r"|label_?smoothing|dtype|precision|amp|fp16|bf16|device|data(?:set|_?root)?|augment\w*|image_?size|patience|output_?dir|loss)\s*[:=]?\s*\S+",
        "a rule file is about rates, decay, freezing and their times",
        None,
        "leave this to the program that trains; `layerlr train --help` lists what it takes",
    ),
    phrase(
        r"(?P<name>(?:base|head|backbone|body|encoder|decoder|init(?:ial)?|start|peak|max)_(?:lr|learning_rate))(?:\s*:\s*|\s+)(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a value gets a name with `let`",
        r"let \g<name> = \g<value>",
    ),
    phrase(
        r"(?P<name>(?:min|warmup)_lr|eta_min)\s*[:=]?\s*(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "this is an argument of the schedule",
        lambda found: (
            f"schedule cosine({'warmup=5%, warmup_lr' if found['name'] == 'warmup_lr' else 'min_lr'}={found['value']})"
        ),
        "write it there, as in `{}`",
        example=True,
    ),
    phrase(
        r"(?:lr\s*=\s*)?slice\(.*\)|discriminative_lr\(.*\)",
        "rates that grow from layer to layer are a rule over the numbers of the layers",
        r"layers.<i> -> lr 1e-5 * 100 ^ (i / last(i))",
        "write it with the names of the model, as in `{}`",
        example=True,
    ),
    phrase(
        r"(?:learn\.)?fit_one_cycle\(.*\)",
        "the schedule is a statement",
        r"schedule one_cycle",
    ),
    phrase(
        r"(?P<head>[^\n]*->\s*lr)\s+(?P<n>[\d.]+)[xX]",
        "a rate is multiplied with `*=`",
        r"\g<head> *= \g<n>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->\s*\w+\s*\*=\s*)(?:(?P<n>[\d.]+)[xX]|[xX](?P<m>[\d.]+))",
        "a factor is a plain number",
        lambda found: f"{found['head']}{found['n'] or found['m']}",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->(?:[^\n]*,)?\s*)betas\s*[=:]?\s*\[?\(?\s*(?P<a>[\d.]+)\s*,\s*(?P<b>[\d.]+)\s*\]?\)?(?P<after>.*)",
        "several values stand in parentheses",
        r"\g<head>betas (\g<a>, \g<b>)\g<after>",
        safe=True,
    ),
    phrase(
        rf"(?P<names>{LAYER}{NAME}?)(?:\.lr\s*[:=]?\s*|\s*:\s*|\s+)(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "a value is given to an option, behind an arrow",
        lambda found: found[0] if _states(found) else f"{found['names']} -> lr {found['value']}",
    ),
    phrase(
        rf"(?:set|use|give|let)?\s*(?P<option>lr|learning_rate|weight_decay|wd)(?:\s+of)?\s+(?P<names>(?!for\b|on\b|to\b){NAME})\s+(?:to\s+|=\s*)?(?P<value>\d[\d.]*(?:e-?\d+)?)"
        rf"|(?:set|use|give)?\s*(?P<option2>lr|learning_rate|weight_decay|wd)\s+(?:of\s+|=\s*)?(?P<value2>\d[\d.]*(?:e-?\d+)?)\s+(?:for|on|to|in)\s+(?P<names2>{LIST})"
        rf"|(?:set|use|give)\s+(?P<names3>{NAME})\s+(?P<option3>lr|learning_rate|weight_decay|wd)\s*=?\s*(?P<value3>\d[\d.]*(?:e-?\d+)?)"
        rf"|(?P<option4>lr)\s*[(\[]\s*\"?(?P<names4>{NAME})\"?\s*[)\]]\s*=\s*(?P<value4>\d[\d.]*(?:e-?\d+)?)"
        rf"|param_?groups?\s*:?\s*(?P<names5>{NAME})\s+(?P<option5>lr|weight_decay)\s*[:=]?\s*(?P<value5>\d[\d.]*(?:e-?\d+)?)",
        "a rule is a selector, an arrow and its options",
        lambda found: next(
            f"{found['names' + n]} -> {OPTION.get(found['option' + n], found['option' + n])} {found['value' + n]}"
            for n in ("", "2", "3", "4", "5")
            if found["names" + n]
        ),
    ),
    phrase(
        r"(?:use|with|set)\s+(?P<name>adamw?|sgd|lion|muon|adafactor|rmsprop|lamb|lars)(?:\s+optimizer)?",
        "the optimizer is a statement",
        r"optimizer \g<name>",
        safe=True,
    ),
    phrase(
        r"(?:--)?(?:param_groups_)?(?:layer[-_]?(?:wise[-_])?(?:lr[-_])?decay|llrd)(?:_rate)?\s*[:=(]?\s*(?P<n>0?\.\d+)\)?",
        "layer-wise decay is a rule over the numbers of the layers",
        r"layers.<i> -> lr *= \g<n> ^ (last(i) - i)",
        "write it with the names of the model, as in `{}`; `layerlr init --style decay` writes it for a model",
        example=True,
    ),
    phrase(
        r"(?P<head>[^\n]*->\s*\w+\s+[\w.+-]+)\s+(?:and|/|&|\+|plus)\s+(?P<after>(?:lr|weight_decay|momentum|betas|eps)\s.+)",
        "the options of a rule are listed with commas",
        r"\g<head>, \g<after>",
        safe=True,
    ),
    phrase(
        r"\{\s*['\"]params['\"]\s*:\s*(?:model\.)?(?P<names>[\w.]+)\.parameters\(\)\s*,\s*['\"](?P<option>\w+)['\"]\s*:\s*(?P<value>[\w.-]+)\s*\},?",
        "a parameter group is a rule",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    phrase(
        r"['\"](?P<names>[\w.*]+)['\"]\s*:\s*(?:\{\s*|dict\()['\"]?lr_mult['\"]?\s*[:=]\s*(?P<value>[\w.-]+)\s*[})],?"
        r"|custom_keys\s*=\s*\{\s*['\"](?P<names2>[\w.*]+)['\"]\s*:\s*dict\(lr_mult=(?P<value2>[\w.-]+)\)\s*\},?",
        "a factor on the rate is a rule",
        lambda found: f"**.{found['names'] or found['names2']} -> lr *= {found['value'] or found['value2']}",
    ),
    phrase(
        r"['\"](?P<names>[\w.*]+)['\"]\s*:\s*\{\s*['\"](?P<option>\w+)['\"]\s*:\s*(?P<value>[\w.-]+)\s*\},?",
        "a rule has an arrow, and no braces",
        r"\g<names> -> \g<option> \g<value>",
        safe=True,
    ),
    phrase(
        r"for\s+\w+\s*(?:,\s*\w+\s*)?in\s+.*parameters\(\)\s*:?",
        "there are no loops: a selector covers all that it matches",
        None,
        "write `SELECTOR -> OPTION VALUE` or `freeze SELECTOR`",
    ),
    phrase(
        r"(?:SELECT|select|UPDATE|update|match|when|case)\s+.+\s(?:FROM|from|WHERE|where|SET|set)\s.+",
        "a rule is a selector, an arrow and its options",
        None,
        "write `SELECTOR where ... -> OPTION VALUE`",
    ),
)
