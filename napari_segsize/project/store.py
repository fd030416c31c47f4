"""The project file: an SQLite database, written in short transactions; its errors in sentences."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, select

from napari_segsize.errors import SegsizeError
from napari_segsize.project import migrations, tables
from napari_segsize.project.writing import BUSY_MS, replacing, told, told_of_database, way_out

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Store"]

logger = logging.getLogger(__name__)

_MAGIC = b"SQLite format 3\0"
_COPY_BYTES = 64 << 20  # larger files are not copied at every close

_connections: Counter[tuple[int, int]] = Counter()
"""Open connections of this process to each file, by device and number."""
_connecting = threading.Lock()


class Store:
    """One open project file.

    `reading` and `writing` give a connection inside a transaction. A write takes the file's write lock at
    once (BEGIN IMMEDIATE), so what it reads is still true when it commits, whoever else has the project open.
    Nested `writing` blocks of one thread are one transaction; reads of that thread see what it wrote.

    With WAL and ``synchronous=FULL`` a commit returns when the log has been flushed to the disk: it survives
    kill -9 and a power cut. ``NORMAL`` flushes only at checkpoints and survives just the first
    (`benchmarks/annotation.py` measures what the difference costs).
    """

    synchronous = "FULL"

    def __init__(self, file: Path) -> None:
        self.file = file
        self._engine = _engine(file, self.synchronous)
        self._lock = threading.RLock()
        self._local = threading.local()

    @classmethod
    def create(cls, file: Path, name: str) -> Store:
        """Write a new, empty project file; it appears under its name only when it is complete."""
        with told(file), replacing(file) as new:
            store = cls(new)
            try:
                with store.writing() as connection:
                    tables.metadata.create_all(connection)
                    rows = {"name": name, "schema_version": str(tables.SCHEMA_VERSION)}
                    connection.execute(insert(tables.meta), [{"key": k, "value": v} for k, v in rows.items()])
            finally:
                store.close()
        return cls.open(file)

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open a project file; one of an older version is migrated, after a copy of it was made."""
        with told(file):
            _check_header(file)
        store = cls(file)
        try:
            with told(file):
                with store.reading() as connection:
                    migrations.check(file, migrations.version(connection))
                store._use_log()
                with (
                    store.writing() as connection
                ):  # an unwritable folder is told now, not at the first annotation
                    migrations.migrate(connection, file)
        except BaseException:
            store.close()
            raise
        return store

    def keep_copy(self) -> None:
        """Copy the file to ``<stem>.latest.backup`` beside it, in case another program damages it."""
        with told(self.file):
            if self.file.stat().st_size <= _COPY_BYTES:
                migrations.copy_database(self.file, self.file.with_name(f"{self.file.stem}.latest.backup"))

    def close(self) -> None:
        """Give the file back; the last one to do so also folds the write-ahead log into it."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read one consistent state."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with told_of_database(self.file), _begin(self._engine, write=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write one transaction; everything in it happens, or nothing."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        with self._lock, told_of_database(self.file), _begin(self._engine, write=True) as connection:
            self._local.connection = connection
            try:
                yield connection
            finally:
                self._local.connection = None

    def _use_log(self) -> None:
        """Switch to write-ahead logging: two processes read while one writes, and a commit is one flush."""
        with closing(self._engine.raw_connection()) as connection:
            mode = connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":  # some network drives
            logger.info("%s: no write-ahead log here (%s); slower, as safe", self.file, mode)

    def value(self, key: str) -> str | None:
        """A word about the whole project."""
        with self.reading() as connection:
            found: str | None = connection.scalar(select(tables.meta.c.value).where(tables.meta.c.key == key))
        return found


def _engine(file: Path, synchronous: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: Any) -> None:
        with _connecting:  # before it takes any lock: see `_check_header`
            record.info["file"] = _identity(file)
            _connections[record.info["file"]] += 1
        connection.isolation_level = None  # the driver must not begin or commit by itself
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    @event.listens_for(engine, "close")
    def _on_close(_connection: Any, record: Any) -> None:
        with _connecting:
            _connections[record.info.pop("file", (0, 0))] -= 1

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("segsize_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def _begin(engine: Engine, *, write: bool) -> Iterator[Connection]:
    with engine.connect().execution_options(segsize_write=write) as connection, connection.begin():
        yield connection


def _identity(file: Path) -> tuple[int, int]:
    """What stays the same whatever a file is called."""
    found = file.stat()
    return found.st_dev, found.st_ino


def _check_header(file: Path) -> None:
    """Refuse what is not a whole database before SQLite touches it, or the write-ahead log beside it.

    Not while this process has it open: closing a file gives back all the locks that the process holds on it
    (POSIX), SQLite's included; another process would then take the log away under our feet. Who has it open
    has looked at it before.
    """
    with _connecting:
        if _connections[_identity(file)] > 0:
            return
        with file.open("rb") as stream:
            header = stream.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        what = (
            "is empty"
            if not header
            else "is cut off"
            if header.startswith(_MAGIC[:4])
            else "is not a project file"
        )
        raise SegsizeError(f"{file} {what}: {way_out(file)}")
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    counted = header[24:28] == header[92:96]  # otherwise the number of pages was not written by this SQLite
    present = file.stat().st_size
    log = file.with_name(file.name + "-wal")
    if counted and present < pages * page and not (log.exists() and log.stat().st_size > 0):
        raise SegsizeError(
            f"{file} is cut off: it should be {pages * page} bytes and is {present}. It was not touched; "
            f"{way_out(file)}"
        )
