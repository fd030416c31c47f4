"""Writing files so that none is half written; in a sentence, what the disk or the database refuses."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import exc

from napari_segsize.errors import SegsizeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUSY_MS", "replacing", "told", "told_of_database", "way_out"]

BUSY_MS = 15_000
"""How long a write waits for another process before it gives up."""


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Turn what the database or the file system refuses into a sentence; the transaction was not written."""
    try:
        with told_of_database(file):
            yield
    except OSError as error:
        raise SegsizeError(_os_sentence(file, error)) from error


@contextmanager
def told_of_database(file: Path) -> Iterator[None]:
    """Turn what the database refuses into a sentence."""
    try:
        yield
    except exc.DBAPIError as error:
        raise SegsizeError(_sentence(file, error.orig)) from error
    except sqlite3.Error as error:
        raise SegsizeError(_sentence(file, error)) from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path in the same folder to write to; on success it is flushed to disk and takes the name `file`."""
    new = file.with_name(f".{file.stem}.{os.getpid()}-{threading.get_ident()}{file.suffix}")
    try:
        yield new
        with new.open("rb+") as stream:
            os.fsync(stream.fileno())
        new.replace(file)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def way_out(file: Path) -> str:
    """What to do about a damaged project file."""
    copies = sorted(file.parent.glob(f"{file.stem}.*.backup"), key=lambda copy: copy.stat().st_mtime)
    log = file.with_name(file.name + "-wal")
    first = f"delete {log.name} and " if log.exists() else ""  # it belongs to the damaged file
    if copies:
        return f"{first}copy {copies[-1].name} over it to go back to that state."
    return "put a copy of it from a backup in its place."


def _sentence(file: Path, error: BaseException | None) -> str:
    text = str(error).lower()
    if "locked" in text or "busy" in text:
        return (
            f"{file} has been in use by another program for {BUSY_MS // 1000} s, so nothing was written: "
            "try again when it is done."
        )
    if "full" in text:
        return (
            f"The disk of {file} is full, so the last annotation was not written: free some space and repeat "
            "it."
        )
    if "readonly" in text or "read-only" in text:
        return _os_sentence(file, PermissionError())
    if "malformed" in text or "not a database" in text or "file is encrypted" in text:
        return f"{file} is damaged and was not touched: {way_out(file)}"
    if "unable to open" in text:
        writable = os.access(file.parent, os.W_OK)
        return _os_sentence(
            file, FileNotFoundError() if writable and not file.exists() else PermissionError()
        )
    if "disk i/o" in text:
        return (
            f"{file} could not be read or written (disk error, full disk or unplugged drive); the last "
            "annotation was not written: check the drive and repeat it."
        )
    return f"{file} could not be used ({error}): close other programs that use it and open the project again."


def _os_sentence(file: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        gone = file if file.parent.exists() else file.parent
        return f"{gone} does not exist: check the path, or make it first."
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return (
            f"{file.parent} cannot be written to, and a project must be: allow it, or copy the project to "
            "a folder of yours."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {file} is full, so nothing was written: free some space and try again."
    return f"{file} could not be used: {error.strerror or error}."
