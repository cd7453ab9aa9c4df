"""Optuna's storage: opened, held to one study, and its faults said in words."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping
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
    """See that Optuna is there, and have it speak of errors alone. Raises RunnerError."""
    try:
        import optuna
    except ImportError:
        raise RunnerError(
            "comparing rule files needs Optuna, which is not installed", "pip install 'layerlr-dsl[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)


def opened(url: str | None) -> BaseStorage:
    """The storage at `url`, in memory where there is none. Raises RunnerError."""
    import optuna

    if url is None:
        return optuna.storages.InMemoryStorage()
    with faults(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        settings = {"connect_args": {"timeout": LOCK_PATIENCE}} if url.startswith("sqlite:") else None
        return optuna.storages.RDBStorage(url, settings, heartbeat_interval=HEARTBEAT, grace_period=GRACE)


@contextmanager
def faults(url: str | None) -> Iterator[None]:
    """Says what the storage cannot do; the trials that are in it stay there. Raises RunnerError."""
    import optuna

    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, ImportError) as fault:
        cause = fault.__cause__ or fault
        text = first_line(getattr(cause, "orig", None) or cause)
        if "locked" in text:
            help = "another program holds it; when that has ended, go on with --resume"
        else:
            help = "it must be an address that Optuna knows, such as sqlite:///study.db"
        raise RunnerError(f"the storage {url} cannot be used: {text}", help) from fault
    except RuntimeError as fault:
        if "version" not in str(fault):
            raise
        raise RunnerError(f"the storage {url} is of another version of Optuna: {first_line(fault)}") from None


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
