"""Whole statements as people write them who come from elsewhere. The first that fits is what is said."""

from __future__ import annotations

from layerlr_dsl.language.phrasebook.freezing import FREEZING
from layerlr_dsl.language.phrasebook.numbers import NUMBERS
from layerlr_dsl.language.phrasebook.options import OPTIONS
from layerlr_dsl.language.phrasebook.phrase import Match, Phrase
from layerlr_dsl.language.phrasebook.schedules import SCHEDULES
from layerlr_dsl.language.phrasebook.selectors import SELECTORS
from layerlr_dsl.language.phrasebook.times import TIMES

PHRASES: tuple[Phrase, ...] = (*FREEZING, *TIMES, *SELECTORS, *OPTIONS, *SCHEDULES, *NUMBERS)

__all__ = ["PHRASES", "Match", "Phrase"]
