"""One training of a stage at a time, in whichever process; a dead one holds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from napari_segsize.engine.turn import turn
from napari_segsize.errors import SegsizeError

HOLD = """
import sys
from pathlib import Path
from napari_segsize.engine.turn import turn
with turn(Path(sys.argv[1]), "pretrain"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def notes(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def write(folder: Path, **changes: object) -> Path:
    note = {
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "host": "elsewhere",
        "since": 0.0,
    }
    file = folder / "pretrain.1-0.running"
    file.write_text(json.dumps({**note, **changes}))
    return file


def test_the_second_of_a_stage_is_refused_and_told_the_way_out(tmp_path: Path) -> None:
    with turn(tmp_path, "pretrain"):
        with (
            pytest.raises(SegsizeError, match=r"already running.*another window.*Stop in its window"),
            turn(tmp_path, "pretrain"),
        ):
            raise AssertionError("it was let in")
        with turn(tmp_path, "finetune"):  # writes other files
            pass
        assert len(notes(tmp_path)) == 1
    with turn(tmp_path, "pretrain"):
        pass
    assert notes(tmp_path) == []


def test_another_process_holds_it_until_it_dies(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(SegsizeError, match=f"process {other.pid} on this computer"),
            turn(tmp_path, "pretrain"),
        ):
            raise AssertionError("it was let in")
        other.kill()
        other.wait()
    assert len(notes(tmp_path)) == 1  # killed, it could not clean up
    with turn(tmp_path, "pretrain"):
        assert len(notes(tmp_path)) == 1
    assert notes(tmp_path) == []


def test_a_process_that_got_the_number_of_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    import socket

    parent = psutil.Process(os.getppid())
    stale = write(tmp_path, host=socket.gethostname(), process=parent.pid, started=parent.create_time() - 5)
    with turn(tmp_path, "pretrain"):
        assert not stale.exists()
    stale = write(tmp_path, host=socket.gethostname(), process=parent.pid, started=parent.create_time())
    with pytest.raises(SegsizeError, match="already running"), turn(tmp_path, "pretrain"):
        pass


def test_one_on_another_computer_is_named_with_its_file(tmp_path: Path) -> None:
    file = write(tmp_path)
    with pytest.raises(SegsizeError, match="on elsewhere, since") as told, turn(tmp_path, "pretrain"):
        pass
    assert f"delete {file}" in str(told.value)
    assert notes(tmp_path) == [file]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_unreadable_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pretrain.1-0.running"
    file.write_text(text)
    with pytest.raises(SegsizeError, match="Delete it if none does"), turn(tmp_path, "pretrain"):
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(SegsizeError, match="cannot be written"), turn(tmp_path / "models", "pretrain"):
        pass


def test_of_several_processes_of_one_run_the_first_holds_it(tmp_path: Path, monkeypatch) -> None:
    with turn(tmp_path, "pretrain"):
        monkeypatch.setenv("RANK", "1")
        with turn(tmp_path, "pretrain"):
            assert len(notes(tmp_path)) == 1
