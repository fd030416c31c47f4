"""The session of a dock widget: the open project, the state of it that is shown, and telling the user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_segsize.errors import SegsizeError
from napari_segsize.project.project import Project
from napari_segsize.widgets import runs
from napari_segsize.widgets.overview import overview
from napari_segsize.widgets.state import State

if TYPE_CHECKING:
    from napari_segsize.project.annotation import PlaneRef
    from napari_segsize.widgets.contour_desk import ContourDesk
    from napari_segsize.widgets.desk import Desk
    from napari_segsize.widgets.file_watch import FileWatch
    from napari_segsize.widgets.refine_desk import RefineDesk

__all__ = ["Session"]


class Session:
    """One open project at a time, and one frozen `State` of it; the verbs of `Controller` build on this.

    Parameters
    ----------
    threads : int
        How many torch may use; 0 leaves one core to the window.

    Attributes
    ----------
    state : State
        What there is to see now.
    project : Project or None
        The open project, for reading pixels; annotate through the verbs.
    state_changed : Signal(State)
        After every change, on the GUI thread only.
    failed : Signal(str)
        A sentence for the user, each time a verb or a job could not do what was asked.
    crashed : Signal(object)
        The exception, when it was none the user can put right.
    """

    state_changed = Signal(State)
    failed = Signal(str)
    crashed = Signal(object)

    _desk: Desk  # the desks know all verbs, so `Controller` makes them
    files: FileWatch
    contours: ContourDesk
    refining: RefineDesk

    def __init__(self, *, threads: int = 0) -> None:
        self.state = State()
        self.project: Project | None = None
        self.threads = threads
        self._watch = runs.Watch()
        self._away = False  # whether the project could not be read when it was last looked at

    # --- coming and going

    def create_project(self, folder: Path | str, *, name: str = "") -> bool:
        """Create a project in `folder` and open it."""
        with self.reporting():
            self._enter(Project.create(Path(folder), name=name))
            return True
        return False

    def open_project(self, path: Path | str) -> bool:
        """Open a project folder or file. A training of the project that is left is stopped, and resumable."""
        with self.reporting():
            self._enter(Project.open(Path(path)))
            return True
        return False

    def close_project(self) -> None:
        """Leave the project; a running job is stopped, and its later events are dropped."""
        self._leave()
        self.update(message="")

    def poll(self) -> None:
        """Look whether another viewer or process has annotated; cheap, called about once a second."""
        if self.project is None:
            return
        try:
            if self._away or self.project.revision() != self.state.revision:
                self.reload(**({"message": "The project can be read again."} if self._away else {}))
                self._away = False
                self._desk.survey(self.project.folder)
        except (SegsizeError, OSError) as error:
            if not self._away:  # an unplugged drive is told once, not every second
                self._away = True
                self.fail(_sentence(error))

    def dispose(self) -> None:
        """Stop the job and let go of the project: the window is closing."""
        self.refining.clear(tell=False)
        self._desk.dispose()
        self._leave()

    def _enter(self, project: Project) -> None:
        self._leave()
        self.project = project
        self._watch.plane = project.next_plane(None)
        self.reload(folder=project.folder, name=project.name, message=f"Opened {project.name}.")
        self._desk.survey(project.folder)
        self._desk.look(project.folder)
        self.files.look()
        self.contours.enter(project.folder)

    def _leave(self) -> None:
        self._desk.detach()
        self.files.stop()
        self.contours.leave()
        project, self.project, self._watch, self._away = self.project, None, runs.Watch(), False
        old = self.state
        self.state = State(
            engine=old.engine, device=old.device, job=old.job, error=old.error, message=old.message
        )
        if project is not None:
            project.close()
        self.state_changed.emit(self.state)

    # --- what is shown

    def update(self, **changes: Any) -> None:
        """Make the next state and tell everybody."""
        self.state = self.contours.follow(replace(self.state, **changes))
        self.state_changed.emit(self.state)
        self.contours.pump()

    def fail(self, sentence: str, **changes: Any) -> None:
        """Tell the user what went wrong."""
        self.update(**{"error": sentence, "message": "", **changes})
        self.failed.emit(sentence)

    def reload(self, **changes: Any) -> None:
        """Read again what the pages show of the project."""
        if self.project is None:
            return
        found = overview(self.project, self.state, self._watch.plane)
        self._watch.plane = found["plane"]
        redraw = self.state.redraw + (found["annotation"] != self.state.annotation)
        self.update(**{"error": "", **found, "redraw": redraw, **changes})

    # --- what a verb begins with

    def reporting(self) -> _Reporting:
        """Turn what a user can put right into a sentence, for a ``with``."""
        return _Reporting(self)

    def opened(self) -> Project:
        """Return the open project.

        Raises
        ------
        SegsizeError
            Without one.
        """
        if self.project is None:
            raise SegsizeError("No project is open: make or open one on the Project page first.")
        return self.project

    def _plane(self) -> PlaneRef:
        self.opened()
        if self.state.plane is None:
            raise SegsizeError("No image is shown: add images on the Project page first.")
        return self.state.plane


class _Reporting:
    """Turns what went wrong into a sentence in the status line; only a programming error goes on."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, (SegsizeError, OSError)):
            return False
        self._session.fail(_sentence(error))
        return True


def _sentence(error: SegsizeError | OSError) -> str:
    if isinstance(error, SegsizeError):
        return str(error)
    return f"{error.filename or 'A file'} could not be used: {error.strerror or error}."
