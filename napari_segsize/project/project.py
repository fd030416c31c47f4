"""A project: its verbs for the folder, images, splits and models; those that annotate are in `ledger`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from napari_segsize.errors import SegsizeError
from napari_segsize.project.adding import candidates_of
from napari_segsize.project.annotation import (
    SPLITS,
    ImageRecord,
    ModelRecord,
    PlaneRef,
    Split,
)
from napari_segsize.project.gallery import Gallery
from napari_segsize.project.history import History
from napari_segsize.project.images import ImageSource
from napari_segsize.project.ledger import Ledger
from napari_segsize.project.linking import Links
from napari_segsize.project.splits import divided, mixed_groups
from napari_segsize.project.store import Store
from napari_segsize.project.trained import ModelKind, Trained
from napari_segsize.project.writing import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FILE_NAME", "Project"]

FILE_NAME = "project.segsize"

logger = logging.getLogger(__name__)


class Project(Ledger):
    """What users have said about a set of images, in a folder.

    Make one with `create`, or `open` one; both can be used in a ``with``. Each verb that says something is
    one transaction: when it returns, it is on the disk. Several windows, processes and threads may have the
    same project open; objects of this class may be used from any thread.

    The images stay where they are; the project keeps their paths, content hashes, shapes and spacings.
    """

    def __init__(self, file: Path, store: Store) -> None:
        self.file = file
        self.folder = file.parent
        super().__init__(store, Gallery(store, self.folder), History(store))
        self._links = Links(self._gallery, self._history)
        self._trained = Trained(store, self._history, self.folder)

    # -- the file

    @classmethod
    def create(cls, folder: str | Path, *, name: str = "") -> Self:
        """Make a new, empty project in a folder, which may exist and hold other things, but no project.

        Parameters
        ----------
        folder : path
            Made when it is not there.
        name : str
            For people; the folder's name when empty.
        """
        folder = _absolute(folder)
        file = folder / FILE_NAME
        if file.exists():
            raise SegsizeError(f"{folder} already holds a project: open it, or choose another folder.")
        if folder.exists() and not folder.is_dir():
            raise SegsizeError(f"{folder} is a file, expected a folder: choose another name.")
        with told(file):
            (folder / "models").mkdir(parents=True, exist_ok=True)
            (folder / "images").mkdir(exist_ok=True)
        return cls(file, Store.create(file, name or folder.name))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a project: its folder, or the ``.segsize`` file in it."""
        path = _absolute(path)
        file = path / FILE_NAME if path.is_dir() else path
        if not file.exists():
            raise SegsizeError(f"{path} is not a project: expected a folder with a file {FILE_NAME} in it.")
        return cls(file, Store.open(file))

    def close(self) -> None:
        """Leave the project; nothing has to be saved. A job that still uses it opens it again."""
        try:
            if self._history.end():
                self._store.keep_copy()
        except SegsizeError as error:  # an unplugged drive: no reason to keep a window open
            logger.warning("%s: left without saying so: %s", self.file, error)
        finally:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """For people."""
        return self._store.value("name") or self.folder.name

    @property
    def models_folder(self) -> Path:
        """Where the files of trained networks go."""
        return self.folder / "models"

    @property
    def images_folder(self) -> Path:
        """Where pixels go that had no file."""
        return self.folder / "images"

    # -- images

    def images(self) -> tuple[ImageRecord, ...]:
        """Every image, in the order they were added."""
        return self._gallery.all()

    def image(self, image_id: int) -> ImageRecord:
        """One image."""
        return self._gallery.get(image_id)

    def add_files(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        group: str | Callable[[Path], str] | None = None,
        split: Split | None = None,
        leaving_out: Callable[[Path, str], None] | None = None,
    ) -> tuple[ImageRecord, ...]:
        """Add image files, and the files of folders. All are added, or none if one cannot be read.

        A part is not added unasked: nobody would notice the subject that is missing.

        Parameters
        ----------
        paths : path or paths
            Files, zarr folders, or folders of such (not searched deeper). What is in the project already is
            returned as it is; what was taken out comes back with its annotations.
        group : str or function of a path, optional
            What a split must not tear apart. None: each file is its own group.
        split : {"train", "validation", "test"}, optional
            None: where the group's other images are, or "train".
        leaving_out : function of a path and a sentence, optional
            Called for each file that cannot be read, with the reason; then the others are added, if there
            are any.

        Returns
        -------
        tuple of ImageRecord
            With `warnings` where a user should know something about the pixels.

        Raises
        ------
        SegsizeError
            Names the first files that cannot be read.
        """
        paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
        candidates, unreadable = candidates_of(map(_absolute, paths), some=leaving_out is not None)
        with self._history.step("Added images", kind="project") as step:
            step.touch()
            ids = [
                self._gallery.add(
                    step.connection, candidate, group=group(candidate.path) if callable(group) else group,
                    split=None if split is None else _split(split),
                )
                for candidate in candidates
            ]  # fmt: skip
        if leaving_out is not None:
            for path, reason in unreadable.items():
                leaving_out(path, reason)
        return tuple(self.image(image_id) for image_id in dict.fromkeys(ids))

    def add_array(
        self,
        name: str,
        array: NDArray[Any],
        *,
        kind: Literal["image", "stack", "channels", "channel stack"] = "image",
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        unit: str = "pixel",
        group: str | None = None,
        rgb: bool = False,
        split: Split | None = None,
    ) -> ImageRecord:
        """Add pixels that have no file: they are written, as TIFF, to the project's ``images`` folder.

        Parameters
        ----------
        name : str
            For people; made unique.
        array : array
            image: (H, W); stack: (planes, H, W); channels: (C, H, W); channel stack: (planes, C, H, W). With
            `rgb` three colours are added at the end of the first two.
        spacing : (z, y, x) or (y, x) floats
            Size of a pixel in `unit`.
        """
        from napari_segsize.project.arrays import write_tiff

        file = write_tiff(self.images_folder, name, array, kind=kind, spacing=spacing, unit=unit, rgb=rgb)
        return self.add_files(file, group=group or name, split=split)[0]

    def remove_image(self, image_id: int) -> None:
        """Take an image out of the project. Its file is not touched, its annotations wait for its return."""
        record = self.image(image_id)
        self._update_image(record.id, {"removed": True}, f"Took out {record.name}")

    def relink(self, image_id: int, path: str | Path, *, force: bool = False) -> ImageRecord:
        """Say where the file of an image is now.

        Parameters
        ----------
        force : bool
            Accept another content (an image that was processed anew), as long as it has the same shape.
        """
        self._links.relink(self.image(image_id), _absolute(path), force=force)
        return self.image(image_id)

    def accept_changed(self, image_id: int) -> ImageRecord:
        """Use the file of an image, which has changed since it was added, as it now is.

        Sizes, masks and contours stay as they are; the history tells of both contents. A file that has not
        changed is left alone.

        Raises
        ------
        SegsizeError
            When the file is gone or cannot be read, or when its shape is another.
        """
        self._links.accept(self.image(image_id))
        return self.image(image_id)

    def relink_folder(self, folder: str | Path) -> tuple[ImageRecord, ...]:
        """Find missing images by name and content in a folder (and the folders in it), and re-link them."""
        return tuple(record for record in self.relinking(folder) if record is not None)

    def relinking(self, folder: str | Path) -> Iterator[ImageRecord | None]:
        """The same, one missing image after the other: re-linked when it comes, None if it is not there."""
        for record in self._links.search(_absolute(folder)):
            yield None if record is None else self.image(record.id)

    def missing(self) -> tuple[ImageRecord, ...]:
        """Images whose file is gone."""
        return self._links.missing()

    def changed(self) -> tuple[ImageRecord, ...]:
        """Images whose file is another one than was added; reads the files whose size or time is new."""
        return self._links.changed()

    def file_of(self, image_id: int) -> Path:
        """Where the file of an image is, or was."""
        return self._gallery.file(self.image(image_id))

    def pixels(self, plane: PlaneRef) -> NDArray[Any]:
        """Pixels of a plane as they are in the file: (C, H, W), the file's dtype; a copy.

        Raises
        ------
        SegsizeError
            When the file is gone, has changed since it was added, or cannot be read.
        """
        record = self._record_of(plane)
        pixels: NDArray[Any] = self._gallery.planes(record, plane.slice, plane.slice + 1)[0]
        return pixels

    def volume(self, image_id: int) -> NDArray[Any]:
        """All planes of an image: (planes, C, H, W)."""
        record = self.image(image_id)
        return self._gallery.planes(record, 0, record.planes)

    def source(self, image_id: int) -> ImageSource:
        """The file of an image, from which planes can be read without the project."""
        return self._gallery.source(self.image(image_id))

    def blocks(self, image_id: int) -> Iterator[NDArray[Any]]:
        """The planes of an image in order, in blocks (planes, C, H, W): a large one is never held whole."""
        return self._gallery.blocks(self.image(image_id))

    # -- splits

    def assign_splits(
        self,
        *,
        validation: float = 0.2,
        test: float = 0.0,
        by: Literal["group", "image"] = "group",
        seed: int = 0,
    ) -> None:
        """Draw which images are held out.

        Parameters
        ----------
        validation, test : float
            Parts of the groups (or images); at least one each where not 0, while one is left to learn from.
        by : {"group", "image"}
            "image" tears groups apart: what is learnt from one slice of a subject flatters its neighbours.
        seed : int
            The same seed and images give the same split.
        """
        splits = divided(self.images(), validation=validation, test=test, by=by, seed=seed)
        with self._history.step(f"Split by {by}", kind="project") as step:
            step.touch()
            for split in SPLITS:
                ids = (image_id for image_id, drawn in splits.items() if drawn == split)
                self._gallery.update(step.connection, ids, {"split": split})

    def set_split(self, image_id: int, split: Split, *, whole_group: bool = True) -> None:
        """Put an image, and by default the rest of its group, into a split."""
        record = self.image(image_id)
        together = [each for each in self.images() if whole_group and each.group == record.group] or [record]
        with self._history.step(f"{record.name}: {_split(split)}", kind="project") as step:
            step.touch()
            self._gallery.update(step.connection, (each.id for each in together), {"split": split})

    def set_group(self, image_id: int, group: str) -> None:
        """Say which subject (patient, eye, …) an image belongs to."""
        if not group.strip():
            raise SegsizeError("A group needs a name, such as the subject's.")
        self._update_image(self.image(image_id).id, {"group": group}, f"Group {group}")

    def mixed_groups(self) -> tuple[str, ...]:
        """Groups that lie in more than one split: a user should be told."""
        return mixed_groups(self.images())

    # -- models

    def add_model(
        self, path: str | Path, *, stage: str, metrics: Mapping[str, float], config: Mapping[str, object]
    ) -> ModelRecord:
        """Tell the project about a trained network whose file is complete on disk. It is not in use yet."""
        return self._trained.add(Path(path), stage=stage, metrics=metrics, config=config)

    def models(self) -> tuple[ModelRecord, ...]:
        """Every model, oldest first."""
        return self._trained.all()

    def promote(self, model_id: int) -> None:
        """Let predictions be made with this model from now on."""
        self._trained.promote(model_id)

    def retire_models(self, kind: ModelKind) -> None:
        """Go back to the network that ships, of contours, level sets or alignment; of others, to none."""
        self._trained.retire(kind)

    def current_model(self, kind: ModelKind = "pixels") -> ModelRecord | None:
        """The model in use of a kind: of pixels, contours, level sets, edges or alignment."""
        return self._trained.current(kind)

    def _update_image(self, image_id: int, values: Mapping[str, Any], label: str) -> None:
        with self._history.step(label, kind="project") as step:
            step.touch()
            self._gallery.update(step.connection, [image_id], values)


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _split(split: str) -> Split:
    for known in SPLITS:
        if known == split:
            return known
    raise SegsizeError(f"There is no split {split!r}: expected one of {', '.join(SPLITS)}.")
