"""The dock widget: six pages over one controller, a status line, and the clock that draws."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from napari.utils.notifications import notification_manager, show_error
from qtpy.QtCore import QElapsedTimer, QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QLabel, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.project.project import Project
from napari_segsize.widgets.activity import Activity
from napari_segsize.widgets.annotate_page import AnnotatePage
from napari_segsize.widgets.contour_page import ContourPage
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.inspect_page import InspectPage
from napari_segsize.widgets.job import launch, launch_quietly
from napari_segsize.widgets.layers import SegsizeLayers
from napari_segsize.widgets.loading import take_back
from napari_segsize.widgets.preferences import read_preferences
from napari_segsize.widgets.project_page import ProjectPage
from napari_segsize.widgets.reach import reachable
from napari_segsize.widgets.refine_page import RefinePage
from napari_segsize.widgets.state import PIXELS, TRAINING, State
from napari_segsize.widgets.train_page import TrainPage
from napari_segsize.widgets.train_words import duration

if TYPE_CHECKING:
    import napari

__all__ = ["SegsizeWidget"]

REDRAW_MS = 100  # drawing, not training, is what costs the window time
POLL_MS = 1000
TITLES = ("Project", "Annotate", "Contours", "Refine", "Train", "Inspect")


class SegsizeWidget(QWidget):
    """Learn to segment from object sizes: Project, Annotate, Contours, Refine, Train, Inspect.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Where the layers live. Each widget has its own controller; two viewers may open the same project.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = Controller(launch, beside=launch_quietly, threads=read_preferences().threads)
        self.layers = SegsizeLayers(napari_viewer, launch_quietly)
        self.project_page = ProjectPage(self.controller, self.layers)
        self.annotate_page = AnnotatePage(self.controller, self.layers)
        self.contour_page = ContourPage(self.controller, self.layers)
        self.refine_page = RefinePage(self.controller, self.layers)
        self.train_page = TrainPage(self.controller, self.layers)
        self.inspect_page = InspectPage(self.controller, self.layers)
        self.pages = (
            self.project_page, self.annotate_page, self.contour_page, self.refine_page, self.train_page,
            self.inspect_page,
        )  # fmt: skip
        self._drawn, self._expecting = State(), False
        self._activity = Activity()
        self.tabs, self.status = QTabWidget(), QLabel()
        self._build()
        self._clock, self._since = QTimer(self), QElapsedTimer()
        self._clock.setSingleShot(True)
        self._clock.timeout.connect(self._draw)
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self.controller.poll)
        self._poll.start()
        controller = self.controller
        controller.state_changed.connect(self._on_state_changed)
        self.layers.opened.connect(self._on_opened)
        self.layers.failed.connect(self._on_not_shown)
        controller.failed.connect(show_error)
        controller.crashed.connect(_show_crash)
        self.destroyed.connect(_Farewell(controller, self.layers, self._activity))
        controller.warm_up()
        self._draw()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        for name, page in zip(TITLES, self.pages, strict=True):
            self.tabs.addTab(_Scroll(page), name)
            reachable(page)
        self.tabs.currentChanged.connect(self._on_tab_changed)
        layout.addWidget(self.tabs, 1)
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.status.setObjectName("segsize-status")
        self.status.setMinimumHeight(2 * self.status.fontMetrics().height())
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.status)

    # --- drawing, at most ten times a second

    def _on_state_changed(self, state: State) -> None:
        if state.folder != self._drawn.folder:
            self.layers.wait_no_longer()
        self._expect_preview(state)
        if not self._clock.isActive():
            waited = self._since.elapsed() if self._since.isValid() else REDRAW_MS
            self._clock.start(max(0, REDRAW_MS - waited))

    def _expect_preview(self, state: State) -> None:
        """Make the layer of previews while nothing else goes on: no other pause of a training is as long."""
        training = state.busy and state.stage in PIXELS
        if training and not self._expecting and self.train_page.wants_preview:
            self.layers.expect_preview()
        elif self._expecting and not training and state.preview is None:
            self.layers.remove_preview()
        self._expecting = training

    def _on_opened(self) -> None:
        self._on_state_changed(self.controller.state)

    def _on_tab_changed(self, _index: int) -> None:
        self._on_state_changed(self.controller.state)

    def _draw(self) -> None:
        self._since.restart()
        state, before = self.controller.state, self._drawn
        self._drawn = state
        self._draw_layers(state, before)
        for page in self.pages:
            page.render(state)
        state = self.controller.state  # drawing may have failed, and said so
        self.status.setText(_status(state, self.layers.opening))
        self._activity.show(state)  # last: napari handles events meanwhile

    def _draw_layers(self, state: State, before: State) -> None:
        project = self.controller.project
        moved = state.folder != before.folder
        if moved:
            self.layers.clear()
        if project is not None and state.plane is not None:
            if moved or state.plane != before.plane or state.redraw != before.redraw:
                self._show_plane(project, state.plane)
        elif before.plane is not None:
            self.layers.clear()
        self.layers.show_contours(state.board, state.annotation)
        if state.preview is before.preview:
            return
        if state.preview is None or state.preview.plane != state.plane:
            self.layers.remove_preview()
        elif not (state.busy and state.stage in TRAINING) or self.train_page.wants_preview:
            self.layers.show_preview(state.preview.plane, state.preview.probabilities)

    def _show_plane(self, project: Project, plane: PlaneRef) -> None:
        try:
            self.layers.show_plane(project, plane)
        except SegsizeError as error:  # a file that vanished, changed, or cannot be read
            self._on_not_shown(str(error))

    def _on_not_shown(self, sentence: str) -> None:
        self.controller.fail(sentence)
        self.controller.files.look()  # its file may have changed while the project was open


class _Scroll(QScrollArea):
    """Scrolls a page up and down only: it is never narrower than the page."""

    def __init__(self, page: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys that its page leaves over scroll it all the same
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)
        self._reached: QWidget | None = None  # by Tab, and not scrolled away from since
        page.installEventFilter(self)
        if (bar := self.verticalScrollBar()) is not None:
            bar.actionTriggered.connect(self._on_scrolled)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  Qt's name
        """Follow the page's least width, which changes with what it shows."""
        kinds = (QEvent.Type.LayoutRequest, QEvent.Type.Resize, QEvent.Type.Show)
        bar, page = self.verticalScrollBar(), self.widget()
        if event is not None and event.type() in kinds and bar is not None and page is not None:
            self.setMinimumWidth(page.minimumSizeHint().width() + bar.sizeHint().width())
            if self._reached is not None and self._reached is QApplication.focusWidget():
                self.ensureWidgetVisible(self._reached)  # Tab came before the page was laid out anew
        return super().eventFilter(watched, event)

    def focusNextPrevChild(self, next: bool) -> bool:  # noqa: N802  Qt's name
        """Note what Tab reaches: it stays in view while the page changes."""
        moved = super().focusNextPrevChild(next)
        self._reached = QApplication.focusWidget()
        return moved

    def _on_scrolled(self, _action: int) -> None:
        self._reached = None


class _Farewell:
    """What is done when the widget goes, whoever deletes it; it must not hold the widget."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, activity: Activity) -> None:
        self._controller, self._layers, self._activity = controller, layers, activity

    def __call__(self, _widget: object = None) -> None:
        self._controller.state_changed.disconnect()
        try:
            self._layers.close()  # it saves the last stroke, for which the project has to be open
        finally:
            self._controller.dispose()
            self._activity.close()
            take_back()


def _show_crash(error: BaseException) -> None:
    """Let napari show what nobody foresaw, with its traceback."""
    notification_manager.receive_error(type(error), error, error.__traceback__)


def _status(state: State, opening: str = "") -> str:
    """Write the status line: what went wrong in red, else what was done last; and what is going on.

    `opening`: the image that is being read before it is shown.
    """
    if state.error:
        return f'<span style="color: #e05050;">{html.escape(state.error)}</span>'
    parts = [html.escape(part) for part in (opening, state.message) if part]
    if state.busy and state.steps:
        left = duration(state.seconds_left)
        parts.append(f"step {state.step}/{state.steps}" + (f", {left} left" if left else ""))
    elif state.busy and state.checking:
        parts.append(state.checking)
    if state.engine == "loading":
        parts.append("Loading torch and MONAI in the background; you can already annotate.")
    return " · ".join(parts) or "Ready."
