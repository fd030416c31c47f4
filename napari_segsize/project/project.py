"""A project: the verbs. What they mean on disk is in `history` (annotations), `gallery` (images), `trained`."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from napari_segsize.errors import SegsizeError
from napari_segsize.project import survey
from napari_segsize.project.annotation import (
    MARKS,
    SPLITS,
    Change,
    Counts,
    ImageRecord,
    ModelRecord,
    PlaneAnnotation,
    PlaneRef,
    SizeStamp,
    Split,
)
from napari_segsize.project.gallery import Candidate, Gallery
from napari_segsize.project.history import Entry, History, Key, Kind, Step
from napari_segsize.project.images import find_images, is_zarr
from napari_segsize.project.sizes import parse_size
from napari_segsize.project.splits import divided, mixed_groups
from napari_segsize.project.store import Store, told
from napari_segsize.project.trained import Trained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FILE_NAME", "Project"]

FILE_NAME = "project.segsize"
_SAID = {"mask": "the mask", "no_object": '"No object here"', "skip": '"Skip"'}


class Project:
    """What users have said about a set of images, in a folder.

    Make one with `create`, or `open` one; both can be used in a ``with``. Each verb that says something is one
    transaction: when it returns, it is on the disk. Several windows, processes and threads may have the same
    project open; objects of this class may be used from any thread.

    The images stay where they are; the project keeps their paths, content hashes, shapes and spacings.
    """

    def __init__(self, file: Path, store: Store) -> None:
        self.file = file
        self.folder = file.parent
        self._store = store
        self._history = History(store)
        self._gallery = Gallery(store, self.folder)
        self._trained = Trained(store, self._history, self.folder)

    # -- the file ------------------------------------------------------------------------------------------------

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
        """Leave the project; nothing has to be saved."""
        try:
            self._history.end()
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

    def revision(self) -> int:
        """A number that grows with everything that is said, by any process: a cheap check for news."""
        return self._history.revision()

    # -- images --------------------------------------------------------------------------------------------------

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
    ) -> tuple[ImageRecord, ...]:
        """Add image files, and the files of folders. All are added, or none if one cannot be read.

        Parameters
        ----------
        paths : path or paths
            Files, zarr folders, or folders of such (not searched deeper). What is in the project already is
            returned as it is; what was taken out comes back with its annotations.
        group : str or function of a path, optional
            What a split must not tear apart. None: each file is its own group.
        split : {"train", "validation", "test"}, optional
            None: where the group's other images are, or "train".

        Returns
        -------
        tuple of ImageRecord
            With `warnings` where a user should know something about the pixels.
        """
        paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
        files = [file for path in paths for file in _files(_absolute(path))]
        candidates = [Candidate.of(file) for file in files]
        with self._history.step("Added images", kind="project") as step:
            step.touch()
            ids = [
                self._gallery.add(
                    step.connection, candidate, group=group(candidate.path) if callable(group) else group,
                    split=None if split is None else _split(split),
                )
                for candidate in candidates
            ]  # fmt: skip
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
        """Add pixels that have no file: they are written, as a lossless TIFF, to the project's ``images`` folder.

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
        """Take an image out of the project. Its file is not touched, and its annotations wait for its return."""
        record = self.image(image_id)
        self._update_image(record.id, {"removed": True}, f"Took out {record.name}")

    def relink(self, image_id: int, path: str | Path, *, force: bool = False) -> ImageRecord:
        """Say where the file of an image is now.

        Parameters
        ----------
        force : bool
            Accept another content (an image that was processed anew), as long as it has the same shape.
        """
        record, path = self.image(image_id), _absolute(path)
        candidate = Candidate.of(path)
        source = candidate.source
        shape = (source.planes, source.channels, source.height, source.width)
        expected = (record.planes, record.channels, record.height, record.width)
        if shape != expected:
            raise SegsizeError(
                f"{path} does not fit {record.name}: expected {expected} (planes, channels, rows, columns), got {shape}; "
                "add it as a new image."
            )
        if candidate.sha256 != record.sha256 and not force:
            raise SegsizeError(
                f"{path} is not the file that was annotated as {record.name} (its content differs): choose another "
                "file, or accept the new content."
            )
        with self._history.step(f"Re-linked {record.name}", kind="project") as step:
            step.touch()
            self._gallery.link(step.connection, record.id, candidate)
        return self.image(record.id)

    def relink_folder(self, folder: str | Path) -> tuple[ImageRecord, ...]:
        """Find missing images by name and content in a folder (and the folders in it), and re-link them."""
        folder, found = _absolute(folder), []
        for record in self.missing():
            for path in sorted(folder.rglob(Path(record.path).name)):
                if path != self._gallery.file(record) and self._gallery.fits(record, path):
                    found.append(self.relink(record.id, path))
                    break
        return tuple(found)

    def missing(self) -> tuple[ImageRecord, ...]:
        """Images whose file is gone."""
        return tuple(record for record in self.images() if self._gallery.is_missing(record))

    def changed(self) -> tuple[ImageRecord, ...]:
        """Images whose file is another one than was added; reads every file."""
        return tuple(record for record in self.images() if self._gallery.has_changed(record))

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

    # -- splits --------------------------------------------------------------------------------------------------

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
            Parts of the groups (or images); at least one of each that is not 0, while one is left to learn from.
        by : {"group", "image"}
            "image" tears groups apart: what is learnt from one slice of a subject flatters its neighbours.
        seed : int
            The same seed and images give the same split.
        """
        splits = divided(self.images(), validation=validation, test=test, by=by, seed=seed)
        with self._history.step(f"Split by {by}", kind="project") as step:
            step.touch()
            for image_id, split in splits.items():
                self._gallery.update(step.connection, image_id, {"split": split})

    def set_split(self, image_id: int, split: Split, *, whole_group: bool = True) -> None:
        """Put an image, and by default the rest of its group, into a split."""
        record = self.image(image_id)
        together = [each for each in self.images() if whole_group and each.group == record.group] or [record]
        with self._history.step(f"{record.name}: {_split(split)}", kind="project") as step:
            step.touch()
            for each in together:
                self._gallery.update(step.connection, each.id, {"split": split})

    def set_group(self, image_id: int, group: str) -> None:
        """Say which subject (patient, eye, …) an image belongs to."""
        if not group.strip():
            raise SegsizeError("A group needs a name, such as the subject's.")
        self._update_image(self.image(image_id).id, {"group": group}, f"Group {group}")

    def mixed_groups(self) -> tuple[str, ...]:
        """Groups that lie in more than one split: a user should be told."""
        return mixed_groups(self.images())

    # -- annotations: looking --------------------------------------------------------------------------------------

    def planes(self, split: Split | None = None) -> tuple[PlaneRef, ...]:
        """Every plane of every image, or of those in a split."""
        return tuple(
            PlaneRef(record.id, k)
            for record in self.images()
            if split is None or record.split == split
            for k in range(record.planes)
        )

    def annotation(self, plane: PlaneRef) -> PlaneAnnotation:
        """What has been said about a plane."""
        record = self._record_of(plane)
        with self._store.reading() as connection:
            entries = self._history.entries(connection, plane)
            return survey.annotation(connection, plane, entries.values(), record.shape)

    def annotations(self, split: Split | None = None) -> Iterator[PlaneAnnotation]:
        """Every plane about which something has been said, in order; masks are read as the iteration goes."""
        records = {record.id: record for record in self.images() if split is None or record.split == split}
        return survey.each(self._store, records)

    def counts(self) -> Counts:
        """How much has been annotated, in all and by split."""
        return survey.counts(self._store, self.images())

    def contradictions(self, *, tolerance: float = 0.25) -> tuple[str, ...]:
        """Sizes that a mask of the same object does not confirm, a sentence each.

        Parameters
        ----------
        tolerance : float
            Difference that is still agreement, as a part of the larger of the two; 2 pixels always are.
        """
        records = {record.id: record for record in self.images()}
        return tuple(survey.contradictions(self._store, records, tolerance))

    def next_plane(
        self,
        after: PlaneRef | None,
        *,
        unlabelled: bool = False,
        step: int = 1,
        split: Split | None = None,
    ) -> PlaneRef | None:
        """Where to go from a plane; None at the end.

        Parameters
        ----------
        after : PlaneRef, optional
            None: the first (or last) one.
        unlabelled : bool
            Pass over planes that are labelled or skipped, and go on at the other end.
        step : int
            1 forwards, -1 backwards; larger numbers leave planes out.
        """
        if step == 0:
            raise ValueError("step: expected a number other than 0")
        planes = self.planes(split)
        if not planes:
            return None
        known = {plane: k for k, plane in enumerate(planes)}
        if after is None or after not in known:
            start = (0 if step > 0 else len(planes) - 1) if after is None else _between(planes, after, step)
        else:
            start = known[after] + step
        if not unlabelled:
            return planes[start] if 0 <= start < len(planes) else None
        done = survey.finished(self._store)
        around = [planes[(start + k * (1 if step > 0 else -1)) % len(planes)] for k in range(len(planes))]
        return next((plane for plane in around if plane not in done), None)

    # -- annotations: saying ---------------------------------------------------------------------------------------

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Let several verbs be one transaction and one step of undo: all of it is written, or nothing."""
        with self._history.step(label):
            yield

    def put_stamp(
        self,
        plane: PlaneRef,
        size: float | str,
        *,
        centre: Sequence[float] | None = None,
        object: str | None = None,  # the word of the field, as in sizes.csv
        unit: str = "px",
    ) -> SizeStamp:
        """Say how large an object is.

        Parameters
        ----------
        size : float or str
            The width of the largest square that fits, see `parse_size`. 0 without a centre: no object here.
        centre : (y, x) floats, optional
            In pixels.
        object : str, optional
            Of a stamp to move or resize. None: a new one.
        unit : str
            Of `size`: "px" or a length.

        Returns
        -------
        SizeStamp
            As it is stored: the size is even.
        """
        record = self._record_of(plane)
        parsed = parse_size(
            size, unit, record.spacing[1:], record.shape, centre is not None, image_unit=record.unit
        )
        if parsed.size == 0:
            if object is not None:
                raise SegsizeError(
                    'A size of 0 is no size of an object: delete the object, or use "No object here".'
                )
            self.put_no_object(plane)
            return SizeStamp(object="no_object", size=0.0, entered=0.0, unit=parsed.unit)
        stamp = SizeStamp(
            object=_object(object), size=parsed.size, entered=parsed.entered, unit=parsed.unit,
            centre=_centre(centre, record.shape),
        )  # fmt: skip
        with self._saying(plane, f"Size {stamp.size:g} px on {_where(record, plane)}") as (step, entries):
            self._write_stamp(step, entries, plane, stamp)
        return stamp

    def sync_stamps(self, plane: PlaneRef, stamps: Sequence[SizeStamp]) -> None:
        """Make the stamps of a plane these, in one step; only differences are written.

        For an editor that holds all stamps of a plane. Stamps that another process has put since the editor looked
        would be taken away: compare `revision` first.
        """
        record = self._record_of(plane)
        wanted = {stamp.object: self._checked_stamp(stamp, record) for stamp in stamps}
        if len(wanted) < len(stamps):
            raise ValueError("stamps: two of them have the same object")
        with self._saying(plane, f"Sizes on {_where(record, plane)}") as (step, entries):
            for key, entry in list(entries.items()):
                if key.kind == "stamp" and entry.present and key.object not in wanted:
                    entries[key] = step.put(key, entry, None)
            for stamp in wanted.values():
                self._write_stamp(step, entries, plane, stamp)

    def put_mask(self, plane: PlaneRef, labels: NDArray[Any]) -> None:
        """Say which pixels are which object.

        Parameters
        ----------
        labels : (H, W) array of integers or bool
            0 is background; kept as int32. All background deletes the mask: an object that is not there is said
            with `put_no_object`.
        """
        record = self._record_of(plane)
        mask = _labels(labels, record)
        if not mask.any():
            self.delete(plane, "mask")
            return
        with self._saying(plane, f"Mask on {_where(record, plane)}") as (step, entries):
            key = Key(plane, "mask")
            before = entries.get(key)
            if (
                before is not None
                and before.present
                and np.array_equal(
                    survey.mask(step.connection, before.values["labels_id"], record.shape), mask
                )
            ):
                return
            self._lift(step, entries, plane)
            step.put(key, before, {"labels_id": step.put_labels(mask)})

    def put_no_object(self, plane: PlaneRef) -> None:
        """Say that there is nothing on a plane; refused while something is."""
        record = self._record_of(plane)
        with self._saying(plane, f"No object on {_where(record, plane)}") as (step, entries):
            if any(entry.present and entry.key.kind in ("stamp", "mask") for entry in entries.values()):
                raise SegsizeError(
                    f'{_where(record, plane)} has sizes or a mask, which contradicts "No object here": delete them first.'
                )
            self._raise_mark(step, entries, plane, "no_object")

    def put_skip(self, plane: PlaneRef) -> None:
        """Say that a plane shall not be asked for again (too blurred, not sure); what was said of it stays."""
        record = self._record_of(plane)
        with self._saying(plane, f"Skipped {_where(record, plane)}") as (step, entries):
            self._raise_mark(step, entries, plane, "skip")

    def delete(self, plane: PlaneRef, object: str) -> bool:
        """Take back one thing: a stamp by its object, or "mask", "no_object", "skip".

        Returns
        -------
        bool
            Whether it was there.
        """
        record = self._record_of(plane)
        kind: Kind = object if object in MARKS else "stamp"  # type: ignore[assignment]
        key = Key(plane, kind, object if kind == "stamp" else "")
        what = _SAID.get(kind, "a size")
        with self._saying(plane, f"Deleted {what} on {_where(record, plane)}") as (step, entries):
            entry = entries.get(key)
            if entry is None or not entry.present:
                return False
            step.put(key, entry, None)
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back, and nothing said since."""
        return self._history.can_redo

    def undo(self) -> Change | None:
        """Take back the last step of this session; what others have said since is left as it is."""
        return self._history.undo()

    def redo(self) -> Change | None:
        """Say again what was taken back last."""
        return self._history.redo()

    # -- models ----------------------------------------------------------------------------------------------------

    def add_model(
        self, path: str | Path, *, stage: str, metrics: Mapping[str, float], config: Mapping[str, object]
    ) -> ModelRecord:
        """Tell the project about a trained network whose file is complete on the disk. It is not in use yet."""
        return self._trained.add(Path(path), stage=stage, metrics=metrics, config=config)

    def models(self) -> tuple[ModelRecord, ...]:
        """Every model, oldest first."""
        return self._trained.all()

    def promote(self, model_id: int) -> None:
        """Let predictions be made with this model from now on."""
        self._trained.promote(model_id)

    def current_model(self) -> ModelRecord | None:
        """The model in use."""
        return self._trained.current()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _record_of(self, plane: PlaneRef) -> ImageRecord:
        record = self.image(plane.image)
        if not 0 <= plane.slice < record.planes:
            raise SegsizeError(
                f"{record.name} has {record.planes} plane(s), so there is no number {plane.slice}: expected 0 to "
                f"{record.planes - 1}."
            )
        return record

    @contextmanager
    def _saying(self, plane: PlaneRef, label: str) -> Iterator[tuple[Step, dict[Key, Entry]]]:
        with self._history.step(label) as step:
            yield step, self._history.entries(step.connection, plane)

    def _write_stamp(self, step: Step, entries: dict[Key, Entry], plane: PlaneRef, stamp: SizeStamp) -> None:
        key = Key(plane, "stamp", stamp.object)
        before = entries.get(key)
        y, x = (None, None) if stamp.centre is None else stamp.centre
        values = {"size": stamp.size, "y": y, "x": x, "entered": stamp.entered, "unit": stamp.unit}
        if before is not None and before.present and {**before.values, **values} == before.values:
            return
        self._lift(step, entries, plane)
        entries[key] = step.put(key, before, values)

    def _lift(self, step: Step, entries: dict[Key, Entry], plane: PlaneRef) -> None:
        """An object is put on a plane: it is no longer empty, or skipped."""
        kinds: tuple[Kind, ...] = ("no_object", "skip")
        for kind in kinds:
            entry = entries.get(Key(plane, kind))
            if entry is not None and entry.present:
                entries[entry.key] = step.put(entry.key, entry, None)

    def _raise_mark(self, step: Step, entries: dict[Key, Entry], plane: PlaneRef, kind: Kind) -> None:
        before = entries.get(Key(plane, kind))
        if before is None or not before.present:
            step.put(Key(plane, kind), before, {})

    def _checked_stamp(self, stamp: SizeStamp, record: ImageRecord) -> SizeStamp:
        size = parse_size(stamp.size, shape=record.shape, located=True).size
        centre = _centre(stamp.centre, record.shape)
        return SizeStamp(
            object=_object(stamp.object), size=size, centre=centre, entered=stamp.entered, unit=stamp.unit
        )

    def _update_image(self, image_id: int, values: Mapping[str, Any], label: str) -> None:
        with self._history.step(label, kind="project") as step:
            step.touch()
            self._gallery.update(step.connection, image_id, values)


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _files(path: Path) -> tuple[Path, ...]:
    """The image at a path, or the images in the folder there."""
    return find_images(path) if path.is_dir() and not is_zarr(path) else (path,)


def _split(split: str) -> Split:
    for known in SPLITS:
        if known == split:
            return known
    raise SegsizeError(f"There is no split {split!r}: expected one of {', '.join(SPLITS)}.")


def _object(name: str | None) -> str:
    if name is None:
        return uuid.uuid4().hex
    if not name or name in MARKS or len(name) > 200:
        raise SegsizeError(
            f"An object cannot be called {name!r}: use a name of its own, or none for a new one."
        )
    return name


def _centre(centre: Sequence[float] | None, shape: tuple[int, int]) -> tuple[float, float] | None:
    if centre is None:
        return None
    if len(centre) != 2:
        raise ValueError(f"centre: expected (y, x), got {len(centre)} numbers")
    y, x = (float(value) for value in centre)
    if not (math.isfinite(y) and math.isfinite(x)):
        raise SegsizeError(f"The place ({y}, {x}) of a size is not a number: click it again.")
    if not (-0.5 <= y <= shape[0] - 0.5 and -0.5 <= x <= shape[1] - 0.5):
        raise SegsizeError(
            f"The place ({y:g}, {x:g}) lies outside the image of {shape[0]} x {shape[1]} px: put it inside."
        )
    return y, x


def _labels(labels: NDArray[Any], record: ImageRecord) -> NDArray[np.int32]:
    array = np.asarray(labels)
    if array.shape != record.shape:
        raise SegsizeError(
            f"{record.name}: a mask must have the shape of the plane, {record.shape}, got {array.shape}: "
            "paint on a layer made for this image."
        )
    if array.dtype.kind not in "bui":
        raise SegsizeError(
            f"{record.name}: a mask holds whole numbers, got {array.dtype}: use a Labels layer."
        )
    if array.dtype.kind != "b" and (int(array.min()) < 0 or int(array.max()) > np.iinfo(np.int32).max):
        raise SegsizeError(
            f"{record.name}: labels go from 0 to 2147483647, got {array.min()} to {array.max()}: number them anew."
        )
    return array.astype(np.int32)


def _where(record: ImageRecord, plane: PlaneRef) -> str:
    return record.name if record.planes == 1 else f"{record.name}, plane {plane.slice}"


def _between(planes: Sequence[PlaneRef], after: PlaneRef, step: int) -> int:
    """Index of the neighbour of a plane that is not in the list (of another split, or taken out)."""
    following = next((k for k, plane in enumerate(planes) if plane > after), len(planes))
    return following if step > 0 else following - 1
