"""What the dock widget can do, without a window: verbs go in, one frozen `State` comes out.

The controller knows no Qt, no napari and no torch. It receives `launch`, which runs a generator of engine
events in the background and calls back on the thread that called; a test passes a plain loop.

A verb never raises `SegsizeError`: the sentence goes to ``state.error`` and to the signal `failed`, and the
verb returns None or False. The next verb that succeeds clears it.
"""

from __future__ import annotations

from napari_segsize.widgets.annotate_verbs import AnnotateVerbs
from napari_segsize.widgets.contour_desk import ContourDesk
from napari_segsize.widgets.contour_queue import LINGER_S
from napari_segsize.widgets.desk import Desk, Launch, RunningJob
from napari_segsize.widgets.file_watch import FileWatch
from napari_segsize.widgets.project_verbs import ProjectVerbs
from napari_segsize.widgets.refine_desk import RefineDesk
from napari_segsize.widgets.state import State
from napari_segsize.widgets.train_verbs import TrainVerbs

__all__ = ["Controller", "Launch", "RunningJob", "State"]


class Controller(ProjectVerbs, AnnotateVerbs, TrainVerbs):
    """The verbs of the dock widget, by page, on one `Session`.

    Parameters
    ----------
    launch : Launch
        Runs a generator of events in the background.
    threads : int
        How many torch may use; 0 leaves one core to the window.
    beside : Launch, optional
        Runs the queue of contours. None: `launch`.
    linger : float
        Seconds that the queue stays ready for the next object.

    Attributes
    ----------
    contours : ContourDesk
        The verbs of the page Contours.
    refining : RefineDesk
        The verbs of the page Refine.
    files : FileWatch
        Finds image files that have changed.

    See Also
    --------
    Session : the state, the open project and the signals.
    """

    def __init__(
        self, launch: Launch, *, threads: int = 0, beside: Launch | None = None, linger: float = LINGER_S
    ) -> None:
        super().__init__(threads=threads)
        self._desk = Desk(launch, self)
        self.files = FileWatch(beside or launch, self)
        self.contours = ContourDesk(beside or launch, self, linger=linger)
        self.refining = RefineDesk(beside or launch, self)
