"""The network behind the method "learned": which one is in use, and a button that teaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_segsize.engine.edge_config import AlignmentConfig
from napari_segsize.widgets.form import Form
from napari_segsize.widgets.sentence import Sentence

if TYPE_CHECKING:
    from napari_segsize.widgets.controller import Controller
    from napari_segsize.widgets.layers import SegsizeLayers
    from napari_segsize.widgets.state import State

__all__ = ["AlignmentBox"]

_INTRO = (
    "The method “learned” asks a network. Teach it your masks and contours, and it knows your images: it "
    "displaces the outlines at random and learns to bring them back. Rough ones will do."
)
_TEACH = "Teach it my outlines"
_STAGE = "alignment"


class AlignmentBox(QGroupBox):
    """Shown while the method is "learned", or while its network is being taught."""

    def __init__(self, controller: Controller, layers: SegsizeLayers, parent: QWidget | None = None) -> None:
        super().__init__("Network of the method “learned”", parent)
        self._controller, self._layers = controller, layers
        self._wanted = False
        self.form = Form(AlignmentConfig, main=("steps", "farthest"))
        self.teach, self.resume = QPushButton(_TEACH), QPushButton("Resume")
        self.shipped = QPushButton("Use the one that ships")
        self.shipped.setToolTip("Go back to the network that came with the plugin; the taught one is kept.")
        self.used, self.progress = Sentence("aligner"), Sentence("aligner-progress")
        self.teach.setToolTip(
            "Takes minutes, in the background. The network is used only if it brings held-out outlines back "
            "better than the one in use."
        )
        self.resume.setToolTip("Go on with the training that was stopped, with its own settings.")
        self.teach.clicked.connect(self._on_teach)
        self.resume.clicked.connect(self._on_resume)
        self.shipped.clicked.connect(controller.use_shipped_alignment)
        rows, buttons = QVBoxLayout(self), QHBoxLayout()
        for widget in (Sentence("aligner-intro", _INTRO), self.used, self.form):
            rows.addWidget(widget)
        for button in (self.teach, self.resume, self.shipped):
            buttons.addWidget(button)
        rows.addLayout(buttons)
        rows.addWidget(self.progress)

    def follow(self, method: str) -> None:
        """Show the box for a method of alignment."""
        self._wanted = method == "learned"
        self.show_state(self._controller.state)

    def show_state(self, state: State) -> None:
        """Show what the state allows now."""
        learning = state.busy and state.stage == _STAGE
        self.setVisible(self._wanted or learning)
        self.used.setText(f"In use: {state.aligner or 'the network that ships'}.")
        self.teach.setText("Stop" if learning else _TEACH)
        self.teach.setEnabled(state.folder is not None and (learning or not state.busy))
        self.resume.setVisible(not state.busy and state.resumable_alignment is not None)
        self.shipped.setVisible(bool(state.aligner) and not state.busy)
        said = _progress(state) if learning else ""
        self.progress.setText(said)
        self.progress.setVisible(bool(said))

    def _on_teach(self) -> None:
        state = self._controller.state
        if state.busy and state.stage == _STAGE:
            self._controller.stop()
        else:
            self._layers.flush()  # the last stroke of the mask
            self._controller.train_alignment(self.form.config())

    def _on_resume(self) -> None:
        self._layers.flush()
        self._controller.train_alignment(resume=True)


def _progress(state: State) -> str:
    """Steps, and how much is brought back now and was before."""
    if not state.steps:
        return state.checking
    parts = [f"Step {state.step} of {state.steps}"]
    back = {said.step: said.metrics["back"] for said in state.metrics if said.stage == _STAGE}
    if back:
        before = f" ({100 * back[0]:.0f} % at first)" if 0 in back else ""
        parts.append(
            f"of what displacement does to held-out outlines, {100 * max(back.values()):.0f} % is brought "
            f"back{before}"
        )
    return "; ".join(parts) + "."
