"""One training of a stage at a time: two on one project would overwrite each other's resume file.

Each training leaves a file of its own beside the models that says which process it is, then looks for those
of others. So nothing has to be taken over, whatever the file system: the file of a process that is gone is
deleted by whoever finds it, and of two that begin at the same moment at least one sees the other.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from ..errors import SegsizeError

__all__ = ["turn"]

_NAMES = {
    "pretrain": "Pre-training",
    "finetune": "Fine-tuning",
    "contour": "Training of contours",
    "levelset": "Training of level sets",
    "edges": "Training of edges",
    "alignment": "Training of alignment",
}
_held: set[Path] = set()  # of this process: the files of trainings that are not over


@contextmanager
def turn(folder: Path, stage: str) -> Iterator[None]:
    """Hold the stage of a project while a training runs.

    Parameters
    ----------
    folder : Path
        Of the project's models.
    stage : str

    Raises
    ------
    SegsizeError
        While another training of the stage holds it, in whichever process; when the folder is not writable.
    """
    if os.environ.get("RANK", "0") != "0":  # under torchrun the first process holds it for all
        yield
        return
    mine = folder / f"{stage}.{os.getpid()}-{uuid.uuid4().hex[:8]}.running"
    try:
        _write(mine)
        for other in sorted(folder.glob(f"{stage}.*.running")):
            if other != mine:
                _refuse_or_clear(other, stage)
        yield
    finally:
        _held.discard(mine)
        _remove(mine)


def _write(file: Path) -> None:
    process = psutil.Process()
    note = {
        "process": process.pid, "started": process.create_time(), "host": socket.gethostname(),
        "since": time.time(),
    }  # fmt: skip
    new = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(note), encoding="utf-8")
        _held.add(file)
        new.replace(file)  # it appears whole
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise SegsizeError(
            f"{file.parent}: cannot be written ({error.strerror or error}), and the model would go there. "
            "Free some space, or make the folder writable."
        ) from error


def _remove(file: Path) -> None:
    for _ in range(10):
        try:
            file.unlink(missing_ok=True)
        except PermissionError:  # Windows deletes no file that somebody is reading
            time.sleep(0.02)
        except OSError:  # an unplugged drive
            return
        else:
            return


def _refuse_or_clear(file: Path, stage: str) -> None:
    """Say who holds the stage; a file that nobody holds any more goes."""
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
        running = _is_running(file, note)
    except FileNotFoundError:
        return  # it has just ended
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SegsizeError(
            f"{file} cannot be read, so it is not known whether another training runs. "
            "Delete it if none does, then start again."
        ) from error
    if running:
        raise SegsizeError(_sentence(file, note, stage))
    with suppress(OSError):
        file.unlink(missing_ok=True)


def _is_running(file: Path, note: dict[str, Any]) -> bool:
    """Whether the process is still there; one on another computer cannot be seen from here."""
    if note["host"] != socket.gethostname():
        return True
    if note["process"] == os.getpid():
        return file in _held
    try:
        started: float = psutil.Process(note["process"]).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return abs(started - float(note["started"])) <= 1.0  # else another process with the same number


def _sentence(file: Path, note: dict[str, Any], stage: str) -> str:
    since = time.strftime("%d %b %H:%M", time.localtime(note["since"]))
    here = note["host"] == socket.gethostname()
    where = "this computer" if here else note["host"]
    who = f"process {note['process']} on {where}"
    if here and note["process"] == os.getpid():
        who = "another window of this program"
    gone = "" if here else f" If it has died there, delete {file}."
    return (
        f"{_NAMES.get(stage, stage)} is already running in this project: {who}, since {since}. Wait for its "
        f"end, or stop it there (Stop in its window, Ctrl-C on its command line).{gone}"
    )
