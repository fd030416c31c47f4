"""The verbs that use the engine: learning, segmenting and comparing, in the background."""

from __future__ import annotations

from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.edge_config import AlignmentConfig, EdgeConfig
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.widgets import contour_runs, refine_runs, runs
from napari_segsize.widgets.session import Session

__all__ = ["TrainVerbs"]


class TrainVerbs(Session):
    """What the page Train can ask for, and the pages Contours and Refine of their networks."""

    def warm_up(self) -> None:
        """Import torch and MONAI in the background, so that the first training starts at once."""
        if self.state.engine in ("cold", "failed"):
            self._desk.warm_up()

    def stop(self) -> None:
        """Stop the job after the step it is in; that step is kept."""
        self._desk.stop()

    # --- the network that segments pixels

    def train(
        self,
        pretrain: PretrainConfig | None = None,
        finetune: FineTuneConfig | None = None,
        *,
        what: runs.What = "both",
        resume: bool = False,
    ) -> None:
        """Learn from the masks, then from the sizes, then compare both on the held-out images."""
        with self.reporting():
            events = runs.training(
                self.opened().folder,
                pretrain or PretrainConfig(),
                finetune or FineTuneConfig(),
                self._watch,
                what=what,
                resume=resume,
                threads=self.threads,
            )
            self._desk.begin("finetune" if what == "finetune" else "pretrain", events, keep_history=resume)

    def predict_plane(self, *, mirrored: bool = False) -> None:
        """Segment the current plane with the current model; the result is ``state.preview``."""
        with self.reporting():
            events = runs.segmenting_plane(self.opened().folder, self._plane(), mirrored=mirrored)
            self._desk.begin("predict", events)

    def predict(self, config: PredictConfig | None = None) -> None:
        """Segment many images, in the background; that of the current plane becomes ``state.preview``."""
        with self.reporting():
            events = runs.segmenting(self.opened().folder, config or PredictConfig(), self._watch)
            self._desk.begin("predict", events)

    def evaluate(self, config: EvaluateConfig | None = None) -> None:
        """Compare models on held-out images; the result is ``state.comparison``."""
        with self.reporting():
            self._desk.begin("evaluate", runs.comparing(self.opened().folder, config or EvaluateConfig()))

    # --- the networks of outlines

    def finetune_contours(
        self, config: ContourConfig | LevelSetConfig | None = None, *, resume: bool = False
    ) -> None:
        """Adapt the contour network, or that of level sets, to what the project knows of its objects."""
        config = config or ContourConfig()
        with self.reporting():
            events = contour_runs.finetuning(
                self.opened().folder, config, resume=resume, threads=self.threads
            )
            stage = "levelset" if isinstance(config, LevelSetConfig) else "contour"
            self._desk.begin(stage, events, keep_history=resume)

    def train_alignment(self, config: AlignmentConfig | None = None, *, resume: bool = False) -> None:
        """Teach the network for rough outlines the masks and contours of the project."""
        with self.reporting():
            events = refine_runs.training_alignment(
                self.opened().folder, config or AlignmentConfig(), resume=resume, threads=self.threads
            )
            self._desk.begin("alignment", events, keep_history=resume)

    def use_shipped_alignment(self) -> None:
        """Move rough outlines with the network that ships again."""
        with self.reporting():
            self.opened().retire_models("alignment")
            self.reload(message="Rough outlines are moved by the network that ships.")

    def train_edges(self, config: EdgeConfig | None = None, *, resume: bool = False) -> None:
        """Teach the edge network the masks and contours of the project."""
        with self.reporting():
            events = refine_runs.training_edges(
                self.opened().folder, config or EdgeConfig(), resume=resume, threads=self.threads
            )
            self._desk.begin("edges", events, keep_history=resume)
