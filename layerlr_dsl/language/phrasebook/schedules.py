"""How schedules, optimizers, lengths and names are said elsewhere."""

from __future__ import annotations

from layerlr_dsl.language.phrasebook.phrase import LIST, OPTION, Match, Phrase, phrase


def _unit(found: Match) -> str:
    unit = found["after"] or found["unit"] or "epochs"
    return unit if unit == "%" else f" {unit}"


SCHEDULES: tuple[Phrase, ...] = (
    phrase(
        r"schedule\s+(?P<name>\w+)\s+(?:with\s+)?(?:a\s+)?(?P<argument>[A-Za-z_]\w*)\s*[=:]?\s*(?P<value>[\d._]+\s*(?:%|epochs?|steps?)?)",
        "arguments stand in parentheses, by name",
        r"schedule \g<name>(\g<argument>=\g<value>)",
        safe=True,
    ),
    phrase(
        r"schedule\s+(?P<name>\w+)\s*(?:\[.*\]|[\d.]+(?:e-?\d+)?(?:[\s,]+[\d.]+(?:e-?\d+)?)*)",
        "arguments stand in parentheses, by name",
        r"schedule \g<name>(NAME=VALUE)",
        example=True,
    ),
    phrase(
        r"optimizer\s+(?P<name>\w+)\s*,?\s*(?:with\s+)?(?:(?P<option>lr|learning_rate|weight_decay|wd|momentum)\s*[=:]?\s*)?(?P<value>\d[\d.]*(?:e-?\d+)?)",
        "arguments stand in parentheses, by name",
        lambda found: (
            f"optimizer {found['name']}({OPTION.get(found['option'] or 'lr', found['option'] or 'lr')}={found['value']})"
        ),
    ),
    phrase(
        r"(?P<unit>epochs|steps)\s+(?P<n>\d+)\s+(?:epochs?|steps?)",
        "the length of the run is a plain number",
        r"\g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        r"(?:num|n|max|total|train|training|num_train|num_training)_?(?P<unit>epochs|steps|iters|iterations)\s*[:=]?\s*(?P<n>\d[\d_]*)(?:\.0)?",
        "the length of the run is `epochs` or `steps`",
        lambda found: f"{'epochs' if found['unit'] == 'epochs' else 'steps'} {found['n']}",
        safe=True,
    ),
    phrase(
        r"(?:lr_)?warm[-_]?up_(?:ratio|proportion|frac(?:tion)?)\s*[:=]?\s*0?\.(?P<n>\d{1,2})",
        "a warm-up is an argument of the schedule, a share of the run is a percentage",
        lambda found: f"schedule cosine(warmup={int(found['n'].ljust(2, '0'))}%)",
        "write it there, as in `{}`",
        example=True,
    ),
    phrase(
        r"schedule\s+(?P<name>\w+)\s+with\s+(?:an?\s+)?(?P<n>\d[\d.]*)\s*(?P<after>%|epochs?|steps?)(?P<unit>)\s+(?:of\s+)?warm[- ]?up",
        "a warm-up is an argument of the schedule",
        lambda found: f"schedule {found['name']}(warmup={found['n']}{_unit(found)})",
        safe=True,
    ),
    phrase(
        r"schedule\s+(?P<name>\w+)\s*,\s*(?P<given>\w+\s*=\s*[^,()]+(?:,\s*\w+\s*=\s*[^,()]+)*)",
        "arguments stand in parentheses, by name",
        r"schedule \g<name>(\g<given>)",
        safe=True,
    ),
    phrase(
        r"schedule\s+(?:linear\s+)?warm[-_]?up\s*\(?\s*(?P<n>[\d._]+)\s*(?P<after>%|epochs?|steps?)(?P<unit>)\s*\)?\s*(?:,?\s*\bthen\b|->|\+|,|\band\b)\s*(?P<name>\w+)(?:\(\))?",
        "a warm-up is an argument of the schedule",
        lambda found: f"schedule {found['name']}(warmup={found['n']}{_unit(found)})",
        safe=True,
    ),
    phrase(
        r"schedule\s+(?P<first>\w+(?:\([^()]*\))?)\s*(?:,\s*|\s)then\s+(?P<second>\w+(?:\([^()]*\))?)\s+(?:after|at|from)\s+(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "each schedule but the last says for how long",
        r"schedule \g<first> for \g<n> \g<unit>s then \g<second>",
        safe=True,
    ),
    phrase(
        r"[@!](?:import|include|use)\s+['\"]?(?P<path>[^'\"\s]+)['\"]?",
        "another file is taken in with `include`",
        r'include "\g<path>"',
        safe=True,
    ),
    phrase(
        r"(?:\$|@|--)(?P<name>[A-Za-z_]\w*)\s*[:=]\s*(?P<value>[\d.]+(?:e-?\d+)?%?)",
        "a value gets a name with `let`",
        r"let \g<name> = \g<value>",
        safe=True,
    ),
    phrase(
        rf"@(?P<name>[A-Za-z_]\w*)\s*[:=]\s*(?P<names>{LIST})",
        "a selection gets a name with `group`, and is used as `@NAME`",
        r"group \g<name> = \g<names>",
        safe=True,
    ),
    phrase(
        r"where\s+(?P<after>.+?->.+)",
        "what `where` narrows stands in front of it, and everything is `**`",
        r"** where \g<after>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>{LIST})\s+where\s+is\s+(?:an?\s+)?(?P<after>\w+\s*->.+)",
        "the class of the owner is asked for with `module is`",
        r"\g<head> where module is \g<after>",
        safe=True,
    ),
    phrase(
        r"(?:expect|assert)\s+(?:(?P<option>\w+)\((?P<names>[\w.*]+)\)|(?P<dotted>[\w.*]+)\.(?P<last>lr|learning_rate|weight_decay|momentum|betas|eps))\s*(?P<after>[=<>!].*)",
        "an expectation names layers first, then the option",
        lambda found: (
            f"expect {found['names'] or found['dotted']} "
            f"{OPTION.get(found['option'] or found['last'], found['option'] or found['last'])} {found['after']}"
        ),
    ),
    phrase(
        rf"(?P<head>expect\s+{LIST}\s+(?:lr|weight_decay|momentum|eps))\s+(?P<value>\d.*)",
        "an expectation compares with `==`",
        r"\g<head> == \g<value>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)len\((?:\w+\.)?shape\)(?P<after>.*)",
        "the number of dimensions is `ndim`",
        r"\g<head>ndim\g<after>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)\b(?:p|param|parameter|self|x)\.(?P<name>ndim|name|numel|shape|dtype)\b(?:\(\))?(?P<after>.*)",
        "what `where` sees of a parameter has plain names",
        r"\g<head>\g<name>\g<after>",
        safe=True,
    ),
    phrase(
        r"(?:lr_)?warm[-_]?up(?:_(?P<unit>epochs|steps))?\s*[=:]?\s*(?P<n>[\d._]+)\s*(?P<after>%|epochs?|steps?)?",
        "a warm-up is an argument of the schedule",
        lambda found: f"schedule constant(warmup={found['n']}{_unit(found)})",
        "write it there, as in `{}`",
        example=True,
    ),
    phrase(
        r"(?P<head>expect\s+[^=\n]+?)\s=\s(?P<value>.+)",
        "an expectation compares with `==`",
        r"\g<head> == \g<value>",
        safe=True,
    ),
    phrase(
        r"(?P<name>(?!(?:version|let|group|epochs?|steps?|steps_per_epoch|model|optimizer|schedule|lr|learning_rate|num_epochs|weight_decay)\b)[A-Za-z_]\w*)\s*:?=\s*(?P<value>[\d.]+(?:e-?\d+)?%?)",
        "a value gets a name with `let`",
        r"let \g<name> = \g<value>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)\bmodule\s+is\s+(?:torch\.)?nn\.(?:modules\.\w+\.)?(?P<name>\w+)(?P<after>.*)",
        "a class is named without its module, or in quotes with it",
        r"\g<head>module is \g<name>\g<after>",
        safe=True,
    ),
    phrase(
        r"(?P<head>[^\n]*\swhere\s[^\n]*?)isinstance\(\s*\w+\s*,\s*(?:torch\.)?(?:nn\.)?(?P<name>\w+)\s*\)(?P<after>.*)",
        "the class of the owner is asked for with `is`",
        r"\g<head>module is \g<name>\g<after>",
        safe=True,
    ),
    phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)(?P<what>name|path)\s+(?:contains|includes|like)\s+"%?(?P<text>\w+)%?"(?P<after>.*)',
        "a part of a name is asked for with `matches`, which takes a regular expression",
        r"\g<head>\g<what> matches /.*\g<text>.*/\g<after>",
    ),
    phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)"(?P<text>\w+)"\s+in\s+(?P<what>name|path)(?P<after>.*)',
        "a part of a name is asked for with `matches`, which takes a regular expression",
        r"\g<head>\g<what> matches /.*\g<text>.*/\g<after>",
    ),
    phrase(
        r'(?P<head>[^\n]*\swhere\s[^\n]*?)(?P<what>name|path|n)\.(?P<how>endswith|startswith)\("\.?(?P<text>[\w.]+)"\)(?P<after>.*)',
        "the end or the beginning of a name is asked for with `matches`, which takes a regular expression",
        lambda found: (
            f"{found['head']}{'path' if found['what'] == 'n' else found['what']} matches "
            + (f"/.*{found['text']}/" if found["how"] == "endswith" else f"/{found['text']}.*/")
            + found["after"]
        ),
    ),
    phrase(
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
    phrase(
        r"--\s*(?P<text>.*)|(?:/\*|<!--)\s*(?P<inside>.*?)\s*(?:\*/|-->)",
        "comments begin with `#`",
        lambda found: f"# {found['text'] or found['inside'] or ''}",
        safe=True,
    ),
    phrase(
        r"[{}]",
        "there are no braces around statements",
        None,
        "remove it: what stands behind a `stage` heading holds in that stage",
    ),
)
