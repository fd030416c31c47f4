"""From an older project file to the present one: a copy first, then one transaction."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select, update

from napari_segsize.errors import SegsizeError
from napari_segsize.project import tables
from napari_segsize.project.writing import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["back_up", "check", "copy_database", "migrate", "version"]

logger = logging.getLogger(__name__)

# What leads from version n to n + 1. Written as SQL and never changed: `tables` is the present.
_STEPS: Mapping[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE image ADD COLUMN warnings VARCHAR NOT NULL DEFAULT '[]'",
        "ALTER TABLE image ADD COLUMN file_bytes INTEGER NOT NULL DEFAULT -1",
        "ALTER TABLE image ADD COLUMN file_time INTEGER NOT NULL DEFAULT -1",
        "ALTER TABLE change ADD COLUMN entered FLOAT",
        "ALTER TABLE change ADD COLUMN unit VARCHAR",
        # Version 1 knew only pixels. This fills new columns, so the trigger that guards the old steps aside.
        "DROP TRIGGER change_keeps_update",
        "UPDATE change SET entered = size, unit = 'px' WHERE kind = 'stamp'",
        (
            "CREATE TRIGGER change_keeps_update BEFORE UPDATE ON change "
            "BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END"
        ),
    ),
    2: (
        "CREATE TABLE outline (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, data BLOB NOT NULL)",
        (
            "CREATE TRIGGER outline_keeps_update BEFORE UPDATE ON outline "
            "BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END"
        ),
        (
            "CREATE TRIGGER outline_keeps_delete BEFORE DELETE ON outline "
            "BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END"
        ),
        "ALTER TABLE change ADD COLUMN points BLOB",
        "ALTER TABLE change ADD COLUMN outline_id INTEGER REFERENCES outline (id)",
        "ALTER TABLE change ADD COLUMN source VARCHAR",
    ),
    3: (),  # masks are written differently from here on, and read both ways: older programs could not
}


def version(connection: Connection) -> int:
    """Schema version of an open file; 0 for a database that is not a project."""
    if not inspect(connection).has_table("meta"):
        return 0
    found = connection.scalar(select(tables.meta.c.value).where(tables.meta.c.key == "schema_version"))
    return int(found) if found is not None and found.isdecimal() else 0


def check(file: Path, found: int) -> None:
    """Refuse a file that no step leads from."""
    if found == 0:
        raise SegsizeError(f"{file} is a database but not a project of napari-segsize: choose another file.")
    if found > tables.SCHEMA_VERSION:
        raise SegsizeError(
            f"{file} was written by a newer napari-segsize (file version {found}, this program knows "
            f"{tables.SCHEMA_VERSION}): update with `pip install --upgrade napari-segsize`."
        )


def back_up(file: Path, found: int) -> Path:
    """Copy the file, and what is in its write-ahead log, to ``<stem>.version-<n>.backup`` beside it."""
    copy = file.with_name(f"{file.stem}.version-{found}.backup")
    copy_database(file, copy)
    logger.info("%s: copied to %s before it is migrated", file, copy.name)
    return copy


def copy_database(file: Path, copy: Path) -> None:
    """Copy what is committed, others may write meanwhile; `copy` is the old one or the whole new one."""
    with (
        replacing(copy) as new,
        closing(sqlite3.connect(file)) as source,
        closing(sqlite3.connect(new)) as target,
    ):
        source.backup(target)


def migrate(connection: Connection, file: Path) -> None:
    """Bring the file to the present version, inside the caller's write transaction."""
    found = version(connection)  # under the write lock: another process may have been faster
    if found < tables.SCHEMA_VERSION:
        back_up(file, found)  # reads the committed state, which is still the old one
    for start in range(found, tables.SCHEMA_VERSION):
        for statement in _STEPS[start]:
            connection.exec_driver_sql(statement)
        connection.execute(
            update(tables.meta).where(tables.meta.c.key == "schema_version").values(value=str(start + 1))
        )
