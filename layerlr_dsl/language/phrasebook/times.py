"""How times, turns and parts of a run are said elsewhere."""

from __future__ import annotations

import re

from layerlr_dsl.language.phrasebook.phrase import LIST, NAME, Match, Phrase, phrase

_HELD = rf"(?:freeze\s+{LIST}|(?![^\n]*\bschedule\b)[^\n]*->[^\n]*?)"
"""What may have a window: a freeze, or a rule."""
_RUN = r"(?:\s+(?:of\s+)?(?:the\s+)?(?:run|training|way|epochs|time))?"


def _each_at_its_time(found: Match) -> str:
    each = re.split(r"\s*(?:,|\band\b)\s*(?=[^,]*\bat\b)", found["each"])
    return "; ".join(f"unfreeze {one}" for one in each)


TIMES: tuple[Phrase, ...] = (
    phrase(
        rf"(?P<head>{_HELD})\s+(?:forever|always|permanently|for\s+(?:good|ever|the\s+(?:whole|entire)\s+\w+)|until\s+(?:the\s+)?end(?:\s+of\s+[\w ]+)?)",
        "what has no `until` holds to the end of the run",
        r"\g<head>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>{_HELD})\s+(?:for|until|during)\s+(?:the\s+)?(?:first\s+)?(?:half(?:[- ]?way)?|middle){_RUN}",
        "a part of the run is a percentage",
        r"\g<head> until 50%",
        safe=True,
    ),
    phrase(
        rf"{_HELD}\s+(?:during|after|until|before|from)\s+(?:the\s+)?warm[- ]?up",
        "a window does not know of the warm-up of a schedule",
        None,
        "say how long that is, as in `until 5%` or `from epoch 1`",
    ),
    phrase(
        r"(?P<head>(?:un-?freeze|thaw)\s.+?)\s+every\s+(?:other|second|2nd)\s+(?P<unit>epoch|step)s?",
        "`every` has a number",
        r"\g<head> every 2 \g<unit>s",
        safe=True,
    ),
    phrase(
        r"(?P<head>(?:un-?freeze|thaw)\s.+?)\s+every\s+(?:(?P<n>\d+)(?:rd|th)|(?P<third>third))\s+(?P<unit>epoch|step)s?",
        "`every` has a plain number",
        lambda found: f"{found['head']} every {found['n'] or 3} {found['unit']}s",
        safe=True,
    ),
    phrase(
        rf"{_HELD}\s+(?:every|each|on\s+(?:odd|even))\s.*",
        "a window opens once, and nothing repeats",
        None,
        "write `from TIME until TIME`; turns of several layers are `unfreeze A then B every N epochs`",
    ),
    phrase(
        rf"(?P<head>{_HELD})\s+for\s+(?:the\s+)?(?:first\s+)?(?P<n>\d+)\s+(?P<unit>epoch|step)s?",
        "`for` begins no time window",
        r"\g<head> until \g<unit> \g<n>",
        safe=True,
    ),
    phrase(
        rf"(?P<head>{_HELD})\s*(?:@|\s(?:at|after|starting(?:\s+(?:at|from|with))?|since|beginning(?:\s+at)?))\s*(?P<unit>epoch|step)\s+(?P<n>\d+)",
        "the beginning of a window is written with `from`",
        r"\g<head> from \g<unit> \g<n>",
    ),
    phrase(
        rf"(?P<head>{_HELD})\s+(?:when|if|while)\s+(?P<unit>epoch|step)\s*(?P<sign>>|<=)\s*(?P<n>\d+)",
        "a window is written with `from` and `until`",
        lambda found: (
            f"{found['head']} {'from' if found['sign'] == '>' else 'until'} {found['unit']} {int(found['n']) + 1}"
        ),
        safe=True,
    ),
    phrase(
        rf"(?P<head>{_HELD})\s*,\s*(?P<after>(?:from|until)\s+(?:epoch|step|\d).*)",
        "no comma stands before a window",
        r"\g<head> \g<after>",
        safe=True,
    ),
    phrase(
        rf"(?:un-?freeze|thaw)\s+(?P<each>{NAME}\s+at\s+(?:epoch|step)\s+\d+(?:\s*(?:,|\band\b)\s*{NAME}\s+at\s+(?:epoch|step)\s+\d+)+)",
        "each time has a statement of its own",
        _each_at_its_time,
        example=True,
    ),
    phrase(
        r"(?:gradually\s+)?(?:un-?freeze|thaw)\s+(?:layers?\s+)?from\s+(?:the\s+)?(?:top|bottom|back|end|last|first|front)\b.*",
        "turns are listed in their order",
        None,
        "write `unfreeze LAST then FIRST every 2 epochs`, or `unfreeze layers.<i> by i descending every 2 epochs`",
    ),
    phrase(
        r"stage\s+(?P<name>[A-Za-z_]\w*)\s*:?\s*(?:for\s+|from\s+)?epochs?\s+(?P<begin>\d+)\s*(?:-|to|\.\.|until)\s*(?P<end>\d+)",
        "a stage follows the one before it, and has a length",
        lambda found: f"stage {found['name']} for {int(found['end']) - int(found['begin'])} epochs",
    ),
    phrase(
        r"(?P<head>(?:freeze|[^\n]*->)\s.*?\suntil\s+\S+)\s+(?:(?:stops|no\s+longer)\s+(?P<how>improv|decreas|dropp|fall|shrink|increas|ris|grow)\w*|plateaus?|converges?|is\s+flat|stagnates?)(?P<rest>\s+for\s+\d+\s+epochs?)?",
        "a metric is waited for until it stops falling, or rising",
        lambda found: (
            f"{found['head']} stops {'rising' if found['how'] in ('increas', 'ris', 'grow') else 'falling'}"
            f"{found['rest'] or ' for 3 epochs'}"
        ),
    ),
    phrase(
        rf"(?P<word>freeze|unfreeze)\s+(?P<names>{LIST})\s+(?:when|once|if|as\s+soon\s+as|after)\s+(?P<metric>\S+\s+stops\s+(?:falling|rising))(?P<rest>\s+for\s+.*)?",
        "when something begins is said with `from`, and when it thaws with `at`",
        lambda found: (
            f"{found['word']} {found['names']} {'from' if found['word'] == 'freeze' else 'at'} "
            f"{found['metric']}{found['rest'] or ' for 3 epochs'}"
        ),
    ),
    phrase(
        r"(?:phase|period)\s+\w+\s*(?::.*)?",
        "a part of the run is a stage",
        None,
        "write `stage NAME for 5 epochs`; what follows holds in it, up to the next heading",
    ),
    phrase(
        rf"(?P<head>expect\s+{LIST}\s+(?:frozen|trains))\s+(?:until|from|after|before|in|during|for|between)\s.*",
        "an expectation is of one moment, or of all",
        None,
        "write `at epoch N` behind it, once for each moment; without a time it is asked at all of them",
    ),
)
