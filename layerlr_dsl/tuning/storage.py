"""Optuna's storage: opened, held to one study, and its faults said in words."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.printable import first_line

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

HEARTBEAT, GRACE = 5, 20
"""Seconds between signs of life of a trial's process, and after which a silent one is given up."""
LOCK_PATIENCE = 30.0
"""Seconds to wait for a file that another process writes to."""
FACTS = "layerlr"


def engine() -> None:
    """See that Optuna is there. Raises RunnerError."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise RunnerError(
            "comparing rule files needs Optuna, which is not installed", "pip install 'layerlr-dsl[tune]'"
        ) from None


@contextmanager
def quietly() -> Iterator[None]:
    """Has Optuna say nothing meanwhile: what is to be said of trials is said in words of the search."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def opened(url: str | None) -> BaseStorage:
    """The storage at `url`, in memory where there is none. Raises RunnerError."""
    import optuna

    if url is None:
        return optuna.storages.InMemoryStorage()
    with faults(url), quietly():
        settings = {"connect_args": {"timeout": LOCK_PATIENCE}} if url.startswith("sqlite:") else None
        return optuna.storages.RDBStorage(url, settings, heartbeat_interval=HEARTBEAT, grace_period=GRACE)


@contextmanager
def faults(url: str | None, passing: Callable[[Exception], bool] = lambda fault: False) -> Iterator[None]:
    """Says what the storage cannot do; the trials that are in it stay there.

    A fault for which `passing` says so is none of the storage's. Raises RunnerError.
    """
    try:
        yield
    except RunnerError:
        raise
    except Exception as fault:
        cause = None if passing(fault) else _of_the_storage(fault)
        if cause is None:
            raise
        text = first_line(getattr(cause, "orig", None) or cause)
        if "locked" in text:
            help = "another program holds it; when that has ended, go on with --resume"
        else:
            help = "it must be an address that Optuna knows, such as sqlite:///study.db"
        raise RunnerError(f"the storage {url} cannot be used: {text}", help) from fault


def _of_the_storage(fault: BaseException | None) -> BaseException | None:
    """The fault of the database behind one that Optuna raises, whose own may say nothing of it."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    kinds = (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError)
    found = None
    while fault is not None:
        found = fault if isinstance(fault, kinds) else found
        fault = fault.__cause__ or fault.__context__
    return found


def claimed(
    storage: BaseStorage, name: str, facts: Mapping[str, str], *, resume: bool, where: str
) -> optuna.Study:
    """The study that says what all others under `name` are about, made or joined.

    Raises RunnerError where it is there already and is not to be resumed, or is about something else.
    """
    import optuna

    try:
        study = optuna.create_study(storage=storage, study_name=name)
    except optuna.exceptions.DuplicatedStudyError:
        if not resume:
            raise RunnerError(
                f"{where} holds a study called {name} already",
                "go on with it, or join it from another process, by --resume; --name begins another",
            ) from None
        study = optuna.load_study(storage=storage, study_name=name)
        _compare(_facts(study), facts, where, name)
        return study
    study.set_user_attr(FACTS, json.dumps(dict(facts)))
    return study


def _facts(study: optuna.Study) -> Mapping[str, str]:
    """What the study is about; the process that makes it says so a moment later."""
    for _ in range(50):
        if FACTS in study.user_attrs:
            found: Mapping[str, str] = json.loads(study.user_attrs[FACTS])
            return found
        time.sleep(0.1)
    return {}


def _compare(stored: Mapping[str, str], now: Mapping[str, str], where: str, name: str) -> None:
    if not stored:
        raise RunnerError(f"the study {name} in {where} is none of layerlr's", "give another --name")
    for key in {**stored, **now}:
        if stored.get(key) != now.get(key):
            raise RunnerError(
                f"the study {name} in {where} is another one: its {key} is {stored.get(key, 'not there')}, "
                f"not {now.get(key, 'left out')}",
                "give the same settings as before, or begin another by --name",
            )
