"""Where a study is kept: opened, locked against others that use it, and waited for when it is away."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from understudy.core.files import write_text
from understudy.errors import ConfigError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_FOLDER = "sweeps"
PATIENCE = 180.0  # seconds; a database server that is started again is back sooner
_BUSY_SECONDS = 60.0  # that SQLite waits for another writer


class StorageLost(ConfigError):
    """The storage could not be reached for a while, although it was there before."""


def locate(storage: str | None, study_name: str) -> str:
    """One way of writing for a storage, with absolute paths and the driver that we bring.

    Raises:
        ConfigError: neither SQLite, PostgreSQL nor a journal, or the driver is not installed.
    """
    if storage is None:
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in study_name)
        return f"sqlite:///{(Path(DEFAULT_FOLDER) / f'{safe}.db').resolve()}"
    kind, _, rest = storage.partition(":")
    if kind == "journal":
        return f"journal:///{_path(rest)}"
    if kind.startswith("sqlite"):
        if not rest.strip("/") or ":memory:" in rest:
            raise ConfigError(f"hydra.sweeper.storage={storage}: a sweep needs a file; sqlite:///FILE")
        return f"sqlite:///{_path(rest)}"
    if kind in ("postgresql", "postgres", "postgresql+psycopg"):
        if importlib.util.find_spec("psycopg") is None:
            raise ConfigError(
                "hydra.sweeper.storage=postgresql:… needs a driver: pip install 'understudy[postgres]'"
            )
        return f"postgresql+psycopg:{rest}"
    raise ConfigError(
        f"hydra.sweeper.storage={redact(storage)} is none of sqlite:///FILE, postgresql://USER@HOST/DATABASE, "
        "journal:///FILE"
    )


def _path(rest: str) -> Path:
    """As in SQLAlchemy: three slashes before a relative path, four before an absolute one."""
    path = rest.removeprefix("//")
    return Path(path[1:] if path.startswith("/") else path).expanduser().resolve()


def redact(url: str) -> str:
    """``url`` without its password."""
    before, at, after = url.rpartition("@")
    scheme, slashes, login = before.partition("://")
    return f"{scheme}{slashes}{login.partition(':')[0]}{at}{after}" if at and ":" in login else url


def hide_password(url: str | None, file: Path) -> None:
    """Take the password of ``url`` out of a file that Hydra wrote; the file goes to the tracker."""
    if url is not None and redact(url) != url and file.exists():
        write_text(file, file.read_text(encoding="utf-8").replace(url, redact(url)))


@lru_cache(maxsize=8)
def open_storage(url: str) -> BaseStorage:
    """The storage behind a located ``url``, its folder and tables made where they are missing.

    Kept open: a process that runs one trial after another connects once.

    Raises:
        ConfigError: it cannot be reached or used.
    """
    with _explained(url), exclusive(url, "tables"):
        if url.startswith("journal:"):
            return _journal(_file(url))
        return _database(url)


def _journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def _database(url: str) -> BaseStorage:
    from optuna.storages import _CachedStorage

    engine: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        engine["creator"] = partial(_connect, _file(url))
    else:
        engine["connect_args"] = {"connect_timeout": 10}
    return _CachedStorage(_patient_storage()(url, engine_kwargs=engine))


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for other writers and does not wait for the disk at every write.

    With a write-ahead log a killed process loses nothing. A power failure may lose the last moments, and the file
    stays whole. Where the file system does not allow it, SQLite keeps its slower way by itself.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode == "wal":
        connection.execute("PRAGMA synchronous=NORMAL")
    return connection


@lru_cache(maxsize=1)
def _patient_storage() -> Any:
    """Optuna's storage for databases, each of its calls repeated while the database is away."""
    from optuna.storages import RDBStorage

    def patient(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return patiently(lambda: method(self, *args, **kwargs))

        return call

    reads_and_writes = ("get_", "set_", "create_", "_get_trials", "_create_new_trial")
    names = [n for n, v in vars(RDBStorage).items() if n.startswith(reads_and_writes) and callable(v)]
    return type("PatientStorage", (RDBStorage,), {n: patient(getattr(RDBStorage, n)) for n in names})


_waiting = threading.local()


def patiently(call: Callable[[], T], patience: float = PATIENCE) -> T:
    """``call()``, repeated while the database cannot be reached, is starting or is busy.

    Raises:
        StorageLost: it was away for longer than ``patience`` seconds.
    """
    if getattr(_waiting, "inside", False):
        return call()
    _waiting.inside = True
    try:
        return _repeated(call, time.monotonic() + patience)
    finally:
        _waiting.inside = False


def _repeated(call: Callable[[], T], deadline: float) -> T:
    pause = 0.05
    while True:
        try:
            return call()
        except Exception as error:
            if not _is_away(error):
                raise
            if time.monotonic() > deadline:
                raise StorageLost(
                    f"the storage of the sweep is away: {_reason(error)}; the same command goes on"
                ) from error
            log.info("the storage is away, waiting: %s", _reason(error))
            time.sleep(pause)
            pause = min(2 * pause, 2.0)


def _is_away(error: BaseException) -> bool:
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    found: BaseException | None = error
    while found is not None:
        if isinstance(getattr(found, "orig", None), sqlite3.Error):
            return "locked" in str(found) or "busy" in str(found)  # a file that cannot be written never will
        if isinstance(found, (OperationalError, InterfaceError)):
            return True
        if isinstance(found, DBAPIError) and found.connection_invalidated:
            return True
        found = found.__cause__
    return False


def _reason(error: BaseException) -> str:
    """The innermost cause in a line, without SQL."""
    while (inner := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else type(error).__name__


@contextmanager
def _explained(url: str) -> Iterator[None]:
    from optuna.exceptions import OptunaError, StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, OptunaError, OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"hydra.sweeper.storage: {redact(url)} cannot be used: {_reason(error)}") from error


def _file(url: str) -> Path:
    return Path(url.partition(":///")[2])


@contextmanager
def exclusive(url: str, what: str = "trials") -> Iterator[None]:
    """No other process that uses this storage is in such a block at the same time.

    A process that dies in it leaves it: the lock is the kernel's, or belongs to a database session.
    """
    if url.startswith("postgresql"):
        with _advisory_lock(url, what):
            yield
        return
    path = _file(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _advisory_lock(url: str, what: str) -> Iterator[None]:
    from sqlalchemy import text

    number = int.from_bytes(hashlib.sha256(f"understudy {what}".encode()).digest()[:7])
    engine = _lock_engine(url)

    def connect() -> Any:
        connection = engine.connect()
        try:
            connection.execute(text(f"SELECT pg_advisory_lock({number})"))
            connection.commit()
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection

    # The first time, a server that is not there is an error at once; later, one that is away is waited for.
    connection = connect() if what == "tables" else patiently(connect)
    try:
        yield
    finally:
        with suppress(Exception):  # a session that broke holds no lock any more
            connection.execute(text(f"SELECT pg_advisory_unlock({number})"))
        with suppress(Exception):
            connection.close()


@lru_cache(maxsize=8)
def _lock_engine(url: str) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
