"""What the dock widget can do, without a window: verbs go in, one frozen `State` comes out.

The controller knows no Qt, no napari and no torch. It receives `launch`, which runs a generator of engine
events in the background and calls back on the thread that called; a test passes a plain loop.

A verb never raises `SegsizeError`: the sentence goes to ``state.error`` and to the signal `failed`, and the
verb returns None or False. The next verb that succeeds clears it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.engine.config import EvaluateConfig, FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import Change, PlaneAnnotation, PlaneRef, SizeStamp, Split
from napari_segsize.project.project import Project
from napari_segsize.widgets import contour_runs, refine_runs, runs
from napari_segsize.widgets.contour_desk import ContourDesk
from napari_segsize.widgets.contour_queue import LINGER_S
from napari_segsize.widgets.desk import Desk, Launch, RunningJob
from napari_segsize.widgets.overview import after_annotation, overview
from napari_segsize.widgets.refine_desk import RefineDesk
from napari_segsize.widgets.state import State

__all__ = ["Controller", "Launch", "RunningJob", "State"]


class Controller:
    """The verbs of the dock widget.

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
    state : State
        What there is to see now.
    project : Project or None
        The open project, for reading pixels; annotate through the verbs.
    contours : ContourDesk
        The verbs of the page Contours.
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

    def __init__(
        self, launch: Launch, *, threads: int = 0, beside: Launch | None = None, linger: float = LINGER_S
    ) -> None:
        self.state = State()
        self.project: Project | None = None
        self.threads = threads
        self._watch = runs.Watch()
        self._away = False  # whether the project could not be read when it was last looked at
        self._desk = Desk(launch, self)
        self.contours = ContourDesk(beside or launch, self, linger=linger)
        self.refining = RefineDesk(beside or launch, self)

    # --- the project

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

    def add_files(
        self, paths: Iterable[Path | str], *, group: runs.Group = None, split: Split | None = None
    ) -> None:
        """Add images, stacks, volumes or whole folders; in the background.

        Without a `split` an image goes where the others of its group are, else to training.
        """
        self._add([Path(path) for path in paths], group=group, split=split)

    def add_layers(self, layers: Sequence[runs.LayerImage], *, split: Split | None = None) -> None:
        """Add the pixels of layers; in the background."""
        if not layers:
            self.fail("No image layer is selected: select one or more in the layer list, then try again.")
            return
        self._add(layers, group=None, split=split)

    def remove_images(self, ids: Iterable[int]) -> bool:
        """Take images out of the project; their files and annotations stay, and come back with them."""
        with self.reporting():
            project, count = self.opened(), 0
            for image_id in ids:
                project.remove_image(image_id)
                count += 1
            self.reload(message=f"Took {count} image{'' if count == 1 else 's'} out of the project.")
            return True
        return False

    def relink(self, image_id: int, path: Path | str, *, force: bool = False) -> bool:
        """Say where an image has gone. The content must be the same, unless `force`."""
        with self.reporting():
            self.opened().relink(image_id, Path(path), force=force)
            self.reload(message=f"Found again: {Path(path).name}.")
            return True
        return False

    def set_splits(self, ids: Iterable[int], split: Split) -> bool:
        """Put images into the part to train on, to validate on, or to test on."""
        with self.reporting():
            project, before = self.opened(), {image.id: image.split for image in self.state.images}
            for image_id in ids:
                project.set_split(image_id, split)  # its group goes with it
            moved = sum(before.get(image.id) != image.split for image in project.images())
            what = f"{moved} image{'' if moved == 1 else 's'}"
            self.reload(message=f"Moved {what} to {split}; groups stay together.")
            return True
        return False

    def assign_splits(
        self,
        *,
        validation: float = 0.2,
        test: float = 0.0,
        by: Literal["group", "image"] = "group",
        seed: int = 0,
    ) -> bool:
        """Deal the images (or their groups, never torn apart) out at random."""
        with self.reporting():
            self.opened().assign_splits(validation=validation, test=test, by=by, seed=seed)
            self.reload(message=f"Dealt the images out by {by}.")
            return True
        return False

    def relink_folder(self, folder: Path | str) -> bool:
        """Look for all missing images in a folder, by name and content."""
        with self.reporting():
            found = len(self.opened().relink_folder(Path(folder)))
            self.reload(message=f"Found {found} of the missing images again.")
            return True
        return False

    def set_group(self, ids: Iterable[int], group: str) -> bool:
        """Say which subject (patient, eye, …) images belong to."""
        with self.reporting():
            for image_id in ids:
                self.opened().set_group(image_id, group)
            self.reload(message=f"Group: {group}.")
            return True
        return False

    def import_sizes(self, file: Path | str) -> bool:
        """Read a table of sizes (columns image, slice, object, y, x, size, unit)."""
        from napari_segsize.project.exchange import read_sizes_csv

        with self.reporting():
            read_sizes_csv(self.opened(), Path(file))
            self.reload(message=f"Read the sizes in {Path(file).name}.")
            return True
        return False

    def export_sizes(self, file: Path | str) -> bool:
        """Write every size to a table."""
        from napari_segsize.project.exchange import write_sizes_csv

        with self.reporting():
            write_sizes_csv(self.opened(), Path(file))
            self.update(message=f"Wrote the sizes to {file}.", error="")
            return True
        return False

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

    # --- annotation: each one is on disk when the verb returns

    def show(self, plane: PlaneRef) -> None:
        """Put a plane on screen."""
        with self.reporting():
            project = self.opened()
            image = project.image(plane.image)
            if not 0 <= plane.slice < image.planes:
                raise SegsizeError(f"{image.name} has {image.planes} slices, so no slice {plane.slice}.")
            self._watch.plane = plane
            self.update(
                plane=plane,
                annotation=project.annotation(plane),
                preview=None,
                redraw=self.state.redraw + 1,
                error="",
            )

    def put_stamp(
        self,
        size: float | str,
        *,
        centre: tuple[float, float] | None = None,
        object: str | None = None,
        unit: str = "px",
        plane: PlaneRef | None = None,
    ) -> SizeStamp | None:
        """Store the size of an object on the current plane; size 0 without a centre means there is none.

        `object` replaces the stamp of that identity (moved, resized). `size` may be text: "12", "3.5 mm".
        """
        with self.reporting():
            target = plane or self._plane()
            stamp = self.opened().put_stamp(target, size, centre=centre, object=object, unit=unit)
            self.annotated(target, f"Saved: size {stamp.size:g} px.")
            return stamp
        return None

    def sync_stamps(
        self, plane: PlaneRef, stamps: Sequence[SizeStamp], *, base: Sequence[SizeStamp] | None = None
    ) -> bool:
        """Make the plane's stamps equal to these, in one transaction: what the Points layer shows.

        `base`: the stamps from which these were made, by default those of the plane on screen. What somebody
        else has said since stays.
        """
        with self.reporting():
            if base is None and plane == self.state.plane:
                base = self._stamps(plane)
            self.opened().sync_stamps(plane, stamps, base=base)
            count = len(stamps)
            self.annotated(
                plane, f"Saved: {count} size{'' if count == 1 else 's'} on this image.", shown=tuple(stamps)
            )
            return True
        return False

    def put_mask(self, plane: PlaneRef, labels: NDArray[np.integer[Any]]) -> bool:
        """Store the painted mask; one without any foreground takes the plane's mask away."""
        with self.reporting():
            project = self.opened()
            project.put_mask(plane, labels)
            message = "Saved: the mask." if labels.any() else "Saved: no mask on this image."
            self.annotated(plane, message, shown=self._stamps(plane))
            return True
        return False

    def put_no_object(self) -> bool:
        """Say that the current plane holds no object."""
        with self.reporting():
            plane = self._plane()
            self.opened().put_no_object(plane)
            self.annotated(plane, "Saved: no object here.")
            return True
        return False

    def skip(self) -> bool:
        """Leave the current plane out, and go to the next one without a label."""
        with self.reporting():
            plane = self._plane()
            self.opened().put_skip(plane)
            self.annotated(plane, "Saved: skipped.")
            self.next_unlabelled()
            return True
        return False

    def delete(self, what: str) -> bool:
        """Take back a stamp (its `object`), or "mask", "no_object", "skip" of the current plane."""
        with self.reporting():
            plane = self._plane()
            self.opened().delete(plane, what)
            self.annotated(plane, "Saved: deleted.")
            return True
        return False

    def next(self) -> None:
        """Go to the next plane."""
        self._go(1, unlabelled=False)

    def previous(self) -> None:
        """Go to the previous plane."""
        self._go(-1, unlabelled=False)

    def next_unlabelled(self) -> None:
        """Go to the next plane about which nothing has been said."""
        self._go(1, unlabelled=True)

    def undo(self) -> Change | None:
        """Take the last change back, and go to its plane."""
        with self.reporting():
            return self._turned(self.opened().undo(), "There is nothing to undo.")
        return None

    def redo(self) -> Change | None:
        """Make the change again that was taken back last, and go to its plane."""
        with self.reporting():
            return self._turned(self.opened().redo(), "There is nothing to redo.")
        return None

    # --- the engine

    def warm_up(self) -> None:
        """Import torch and MONAI in the background, so that the first training starts at once."""
        if self.state.engine in ("cold", "failed"):
            self._desk.warm_up()

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

    def predict_plane(self) -> None:
        """Segment the current plane with the current model; the result is ``state.preview``."""
        with self.reporting():
            self._desk.begin("predict", runs.segmenting_plane(self.opened().folder, self._plane()))

    def predict(self, config: PredictConfig | None = None) -> None:
        """Segment many images, in the background; that of the current plane becomes ``state.preview``."""
        with self.reporting():
            events = runs.segmenting(self.opened().folder, config or PredictConfig(), self._watch)
            self._desk.begin("predict", events)

    def evaluate(self, config: EvaluateConfig | None = None) -> None:
        """Compare models on held-out images; the result is ``state.comparison``."""
        with self.reporting():
            self._desk.begin("evaluate", runs.comparing(self.opened().folder, config or EvaluateConfig()))

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

    def train_edges(self, config: EdgeConfig | None = None, *, resume: bool = False) -> None:
        """Teach the edge network the masks and contours of the project."""
        with self.reporting():
            events = refine_runs.training_edges(
                self.opened().folder, config or EdgeConfig(), resume=resume, threads=self.threads
            )
            self._desk.begin("edges", events, keep_history=resume)

    def stop(self) -> None:
        """Stop the job after the step it is in; that step is kept."""
        self._desk.stop()

    def dispose(self) -> None:
        """Stop the job and let go of the project: the window is closing."""
        self.refining.clear(tell=False)
        self._desk.dispose()
        self._leave()

    # --- for the desk and for the pages

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

    def _stamps(self, plane: PlaneRef) -> tuple[SizeStamp, ...]:
        said = self.state.annotation
        return said.stamps if said is not None and said.plane == plane else ()

    def _plane(self) -> PlaneRef:
        self.opened()
        if self.state.plane is None:
            raise SegsizeError("No image is shown: add images on the Project page first.")
        return self.state.plane

    def _enter(self, project: Project) -> None:
        self._leave()
        self.project = project
        self._watch.plane = project.next_plane(None)
        self.reload(folder=project.folder, name=project.name, message=f"Opened {project.name}.")
        self._desk.survey(project.folder)
        self._desk.look(project.folder)
        self.contours.enter(project.folder)

    def _leave(self) -> None:
        self._desk.detach()
        self.contours.leave()
        project, self.project, self._watch, self._away = self.project, None, runs.Watch(), False
        old = self.state
        self.state = State(
            engine=old.engine, device=old.device, job=old.job, error=old.error, message=old.message
        )
        if project is not None:
            project.close()
        self.state_changed.emit(self.state)

    def _add(
        self, sources: Sequence[Path | runs.LayerImage], *, group: runs.Group, split: Split | None
    ) -> None:
        with self.reporting():
            self._desk.begin("add", runs.adding(self.opened().folder, sources, group=group, split=split))

    def annotated(
        self,
        plane: PlaneRef,
        message: str,
        *,
        shown: tuple[SizeStamp, ...] | None = None,
        said: PlaneAnnotation | None = None,
    ) -> None:
        """Tell what was stored.

        `shown`: the stamps the layers show, when they need no new drawing. `said`: what is said about the
        plane now, if nobody else has said anything meanwhile.
        """
        project = self.opened()
        alone = project.revision() <= self.state.revision + 1  # nobody else has said anything meanwhile
        if not alone or plane != self.state.plane:
            self.reload(message=message)
            self._desk.survey(project.folder)
            return
        changes = after_annotation(project, self.state, said)
        echo = shown is not None and _as_drawn(shown) == _as_drawn(changes["annotation"].stamps)
        redraw = self.state.redraw + (not echo)
        self.update(error="", message=message, **changes, redraw=redraw)

    def _go(self, step: int, *, unlabelled: bool) -> None:
        with self.reporting():
            project = self.opened()
            plane = project.next_plane(self.state.plane, unlabelled=unlabelled, step=step)
            if plane is not None:
                self.show(plane)
                self.update(error="", message="")
            elif unlabelled:
                self.update(error="", message="Every image from here on has a label: nothing is left to do.")
            else:
                self.update(error="", message=f"This is the {'last' if step > 0 else 'first'} image.")

    def _turned(self, change: Change | None, nothing: str) -> Change | None:
        if change is not None and change.plane is not None:
            self._watch.plane = change.plane
        text = nothing if change is None else f"{change.description}."
        self.reload(message=text)
        if self.project is not None:
            self._desk.survey(self.project.folder)
        return change


def _as_drawn(stamps: Iterable[SizeStamp]) -> dict[str, tuple[float, tuple[float, float] | None]]:
    return {stamp.object: (stamp.size, stamp.centre) for stamp in stamps}


class _Reporting:
    """Turns what went wrong into a sentence in the status line; only a programming error goes on."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, (SegsizeError, OSError)):
            return False
        self._controller.fail(_sentence(error))
        return True


def _sentence(error: SegsizeError | OSError) -> str:
    if isinstance(error, SegsizeError):
        return str(error)
    return f"{error.filename or 'A file'} could not be used: {error.strerror or error}."
