"""Optuna's storage: opened, held to one study, and its faults said in words."""

from __future__ import annotations

import json
import re
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerlr_dsl.runner.errors import RunnerError
from layerlr_dsl.tools.printable import first_line
from layerlr_dsl.tools.words import install

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

HEARTBEAT, GRACE = 5, 20
"""Seconds between signs of life of a trial's process, and after which a silent one is given up."""
LOCK_PATIENCE = 30.0
"""Seconds to wait for a file that another process writes to."""
FACTS, FILES = "layerlr", "files"
HELP = {
    "locked": "another program holds it; when that has ended, go on with --resume",
    "readonly": "give one that may be written to",
    "unable to open": "see whether the file may be read and written",
    "not a database": "give another file; this one is no database of SQLite",
    "malformed": "the file is damaged: put a copy of it back, or begin another study in another file",
    "No module named": "install that, with which this kind of database is spoken to",
    "full": "make room; what was done before is kept, so go on with --resume",
    "I/O error": "see whether its disk is full or gone; what was done before is kept, so go on with --resume",
}


def engine() -> None:
    """See that Optuna is there. Raises RunnerError."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise RunnerError(
            "comparing rule files needs Optuna, which is not installed", install("tune")
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
    _check_folder(url)
    with faults(url), quietly():
        settings = {"connect_args": {"timeout": LOCK_PATIENCE}} if url.startswith("sqlite:") else None
        return optuna.storages.RDBStorage(url, settings, heartbeat_interval=HEARTBEAT, grace_period=GRACE)


def sign_of_life(storage: BaseStorage, trial: FrozenTrial) -> None:
    """Note that a trial's process lives, from which on its silence is noticed."""
    import optuna

    if isinstance(storage, optuna.storages.RDBStorage):
        storage.record_heartbeat(trial._trial_id)


def _check_folder(url: str) -> None:
    """SQLite makes its file and no folder, and says nothing of what is missing. Raises RunnerError."""
    found = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)", url)
    if found is None or found[1] == ":memory:":
        return
    path = Path(found[1])
    if path.is_dir():
        raise RunnerError(f"the storage {url} is a folder", f"give a file in it: {url.rstrip('/')}/study.db")
    if not path.parent.is_dir():
        raise RunnerError(
            f"the storage {url} cannot be used: there is no folder {path.parent}",
            f"mkdir -p {shlex.quote(str(path.parent))}",
        )


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
        raise RunnerError(f"the storage {url} cannot be used: {text}", _help(text)) from fault


def _help(text: str) -> str:
    """What to do about a fault of a database."""
    for said, help in HELP.items():
        if said in text:
            return help
    return "it must be an address that Optuna knows, such as sqlite:///study.db"


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


def agreed(storage: BaseStorage, name: str, find: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    """Numbers that all processes go by: as `find` gives them in the one that comes first."""
    import optuna

    found: Mapping[str, float] = {}
    stored: Mapping[str, float] = {}
    if name not in {study.study_name for study in storage.get_all_studies()}:
        found = find()
    try:
        study = optuna.create_study(storage=storage, study_name=name)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
        stored = _facts(study)
    if not stored:  # the first, or the first ended before it could say
        stored = found or find()
        study.set_user_attr(FACTS, json.dumps(dict(stored)))
    return stored


def _facts(study: optuna.Study) -> Mapping[str, Any]:
    """What the study is about; the process that makes it says so a moment later."""
    for _ in range(50):
        if FACTS in study.user_attrs:
            found: Mapping[str, Any] = json.loads(study.user_attrs[FACTS])
            return found
        time.sleep(0.1)
    return {}


def _compare(stored: Mapping[str, str], now: Mapping[str, str], where: str, name: str) -> None:
    if not stored:
        raise RunnerError(f"the study {name} in {where} is none of layerlr's", "give another --name")
    for key in {**stored, **now}:
        before, after = stored.get(key, "not there"), now.get(key, "left out")
        if before != after:
            said = _other_files(before, after) if key == FILES else f"its {key} is {before}, not {after}"
            raise RunnerError(
                f"the study {name} in {where} is another one: {said}",
                "give the same settings as before, or begin another by --name",
            )


def _other_files(before: str, after: str) -> str:
    """How files differ, each a name with what tells its text apart, which says nothing to anyone."""
    then, now = (dict(pair.rsplit(" ", 1) for pair in pairs.splitlines()) for pairs in (before, after))
    if then.keys() != now.keys():
        return f"it compares {', '.join(then)}, not {', '.join(now)}"
    changed = ", ".join(name for name in now if then[name] != now[name])
    return f"the text of {changed}, or what is searched in it, was not the same"
