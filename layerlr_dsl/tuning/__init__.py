"""Which rule file, and which values in it, do best on the data at hand: trials on Optuna, and what they show."""

from layerlr_dsl.tuning.outcome import Interval, Outcome, Scored, Standing, Trial
from layerlr_dsl.tuning.own_loop import Comparison, tune
from layerlr_dsl.tuning.ranges import Range
from layerlr_dsl.tuning.report import Report

__all__ = ["Comparison", "Interval", "Outcome", "Range", "Report", "Scored", "Standing", "Trial", "tune"]
