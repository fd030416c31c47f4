"""The annotations of a project: looking at them, and saying them, a transaction each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_segsize.errors import SegsizeError
from napari_segsize.project import survey
from napari_segsize.project.amending import contour_label, lift, raise_mark, write_contour, write_stamp
from napari_segsize.project.annotation import (
    MARKS,
    Change,
    Contour,
    Counts,
    ImageRecord,
    PlaneAnnotation,
    PlaneRef,
    SizeStamp,
    Split,
)
from napari_segsize.project.checks import (
    checked_centre,
    checked_labels,
    checked_name,
    checked_points,
    checked_source,
    where,
)
from napari_segsize.project.history import OBJECTS, Entry, History, Key, Kind, Step
from napari_segsize.project.packing import packed
from napari_segsize.project.rings import checked_rings
from napari_segsize.project.sizes import parse_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project.gallery import Gallery
    from napari_segsize.project.store import Store

__all__ = ["Ledger"]

_SAID = {"mask": "the mask", "no_object": '"No object here"', "skip": '"Skip"'}


class Ledger:
    """What has been said about the planes of some images; `Project` is one, with a folder around it."""

    def __init__(self, store: Store, gallery: Gallery, history: History) -> None:
        self._store, self._gallery, self._history = store, gallery, history

    def revision(self) -> int:
        """A number that grows with everything that is said, by any process: a cheap check for news."""
        return self._history.revision()

    # -- looking

    def planes(self, split: Split | None = None) -> tuple[PlaneRef, ...]:
        """Every plane of every image, or of those in a split."""
        return tuple(
            PlaneRef(record.id, k)
            for record in self._gallery.all()
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
        records = {
            record.id: record for record in self._gallery.all() if split is None or record.split == split
        }
        return survey.each(self._store, records)

    def counts(self) -> Counts:
        """How much has been annotated, in all and by split."""
        return survey.counts(self._store, self._gallery.all())

    def contradictions(self, *, tolerance: float = survey.TOLERANCE) -> tuple[str, ...]:
        """Sizes that a mask of the same object does not confirm, a sentence each.

        Parameters
        ----------
        tolerance : float
            Difference that is still agreement, as a part of the larger of the two; 2 pixels always are.
        """
        records = {record.id: record for record in self._gallery.all()}
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

    # -- saying

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
            object=checked_name(object), size=parsed.size, entered=parsed.entered, unit=parsed.unit,
            centre=checked_centre(centre, record.shape),
        )  # fmt: skip
        with self._saying(plane, f"Size {stamp.size:g} px on {where(record, plane)}", (stamp.object,)) as (
            step,
            entries,
        ):
            write_stamp(step, entries, plane, stamp)
        return stamp

    def sync_stamps(
        self, plane: PlaneRef, stamps: Sequence[SizeStamp], *, base: Sequence[SizeStamp] | None = None
    ) -> None:
        """Make the stamps of a plane these, in one step; only differences are written.

        Parameters
        ----------
        stamps : sequence of SizeStamp
            All stamps of the plane, as an editor holds them. `size` is in pixels and is made even.
        base : sequence of SizeStamp, optional
            The stamps as the editor had read them. Then only what the editor changed is written, and what
            another process has put, moved or deleted since stays as it is. None: whatever is not in `stamps`
            goes.
        """
        record = self._record_of(plane)
        wanted = {stamp.object: self._checked_stamp(stamp, record) for stamp in stamps}
        if len(wanted) < len(stamps):
            raise ValueError("stamps: two of them have the same object")
        with self._saying(plane, f"Sizes on {where(record, plane)}") as (step, entries):
            read = None if base is None else {stamp.object: stamp for stamp in base}
            for key, entry in list(entries.items()):
                gone = key.object not in wanted and (read is None or key.object in read)
                if key.kind == "stamp" and entry.present and gone:
                    entries[key] = step.put(key, entry, None)
            for stamp in stamps:
                if read is None or read.get(stamp.object) != stamp:
                    write_stamp(step, entries, plane, wanted[stamp.object])

    def put_contour(
        self,
        plane: PlaneRef,
        *,
        object: str | None = None,
        points: Sequence[Sequence[float]] | None = None,
        rings: Iterable[Any] | None = None,
        source: str | None = None,
    ) -> Contour:
        """Say where an object ends: its extreme points, click by click, or the outline that was accepted.

        Parameters
        ----------
        object : str, optional
            Whose contour; it may have a size already. None: a new object.
        points : sequence of (y, x) floats, optional
            0 to 4 extreme points, all that the object has now. None: those that are stored.
        rings : iterable of (K, 2) sequences or arrays, optional
            The accepted outline, see `Contour`; rounded to 1/64 px. ``()`` rejects the one that is stored and
            keeps the points. None: what is stored.
        source : {"network", "snake", "levelset", "refined", "drawn", "import", ""}, optional
            What drew `rings`. None: what is stored.

        Returns
        -------
        Contour
            As it is stored. With neither points nor an outline left, the contour is deleted.
        """
        if points is None and rings is None and source is None:
            raise ValueError("put_contour: expected points, rings or a source, got none of them")
        record = self._record_of(plane)
        name, place = checked_name(object), where(record, plane)
        said: dict[str, Any] = {}
        if points is not None:
            said["points"] = checked_points(points, record.shape)
        if rings is not None:
            said["rings"] = checked_rings(rings, place, record.shape)
        if source is not None:
            said["source"] = checked_source(source)
        with self._saying(plane, contour_label(said, place), (name,)) as (step, entries):
            return write_contour(step, entries, Key(plane, "contour", name), said)

    def put_contours(
        self, plane: PlaneRef, outlines: Mapping[str, Iterable[Any]], *, source: str
    ) -> tuple[Contour, ...]:
        """Accept the outlines of several objects in one step: all of them, or none.

        Parameters
        ----------
        outlines : mapping from an object to its rings
            See `put_contour`; points that an object has stay.
        source : {"network", "snake", "levelset", "refined", "drawn", "import", ""}
            What drew them.
        """
        record = self._record_of(plane)
        place, drawn_by = where(record, plane), checked_source(source)
        checked = {
            checked_name(name): {"rings": checked_rings(rings, place, record.shape), "source": drawn_by}
            for name, rings in outlines.items()
        }  # before the write lock is taken
        with self._saying(plane, f"{len(checked)} contours on {place}") as (step, entries):
            return tuple(
                write_contour(step, entries, Key(plane, "contour", name), said)
                for name, said in checked.items()
            )

    def put_mask(self, plane: PlaneRef, labels: NDArray[Any]) -> None:
        """Say which pixels are which object.

        Parameters
        ----------
        labels : (H, W) array of integers or bool
            0 is background; kept as int32. All background deletes the mask: that there is no object is said
            with `put_no_object`.
        """
        record = self._record_of(plane)
        mask = checked_labels(labels, record)
        if not mask.any():
            self.delete(plane, "mask")
            return
        data = packed(mask)  # before the write lock is taken: it is the slow part
        self._put_packed(plane, record, data)

    def put_packed_mask(self, plane: PlaneRef, data: bytes) -> None:
        """Say the same with what `packed` made of a mask that was checked: of many, in one step."""
        self._put_packed(plane, self._record_of(plane), data)

    def _put_packed(self, plane: PlaneRef, record: ImageRecord, data: bytes) -> None:
        with self._saying(plane, f"Mask on {where(record, plane)}", ()) as (step, entries):
            key = Key(plane, "mask")
            before = entries.get(key)
            if before is not None and before.present and step.has_labels(before, data):
                return
            lift(step, entries, plane)
            step.put(key, before, {"labels_id": step.put_labels(data)})

    def put_no_object(self, plane: PlaneRef) -> None:
        """Say that there is nothing on a plane; refused while something is."""
        record = self._record_of(plane)
        with self._saying(plane, f"No object on {where(record, plane)}") as (step, entries):
            if any(entry.present and entry.key.kind in OBJECTS for entry in entries.values()):
                raise SegsizeError(
                    f"{where(record, plane)} has sizes, contours or a mask, which contradicts "
                    '"No object here": delete them first.'
                )
            raise_mark(step, entries, plane, "no_object")

    def put_skip(self, plane: PlaneRef) -> None:
        """Say that a plane shall not be asked for again (blurred, not sure); what was said of it stays."""
        record = self._record_of(plane)
        with self._saying(plane, f"Skipped {where(record, plane)}", ()) as (step, entries):
            raise_mark(step, entries, plane, "skip")

    def delete(self, plane: PlaneRef, object: str) -> bool:
        """Take back one thing: an object with its size and its contour, or "mask", "no_object", "skip".

        Returns
        -------
        bool
            Whether it was there.
        """
        if object in MARKS:
            mark: Kind = object  # type: ignore[assignment]
            return self._delete(plane, _SAID[object], Key(plane, mark))
        return self._delete(plane, "an object", Key(plane, "stamp", object), Key(plane, "contour", object))

    def delete_contour(self, plane: PlaneRef, object: str) -> bool:
        """Take back the points and the outline of an object, but not its size; whether they were there."""
        return self._delete(plane, "a contour", Key(plane, "contour", object))

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

    # -- inside

    def _record_of(self, plane: PlaneRef) -> ImageRecord:
        record = self._gallery.get(plane.image)
        if not 0 <= plane.slice < record.planes:
            raise SegsizeError(
                f"{record.name} has {record.planes} plane(s), so there is no number {plane.slice}: expected "
                f"0 to {record.planes - 1}."
            )
        return record

    @contextmanager
    def _saying(
        self, plane: PlaneRef, label: str, objects: Collection[str] | None = None
    ) -> Iterator[tuple[Step, dict[Key, Entry]]]:
        with self._history.step(label) as step:
            yield step, self._history.entries(step.connection, plane, objects)

    def _delete(self, plane: PlaneRef, what: str, *keys: Key) -> bool:
        place = where(self._record_of(plane), plane)
        with self._saying(plane, f"Deleted {what} on {place}", {key.object for key in keys}) as (
            step,
            entries,
        ):
            present = [entries[key] for key in keys if key in entries and entries[key].present]
            for entry in present:
                step.put(entry.key, entry, None)
        return bool(present)

    def _checked_stamp(self, stamp: SizeStamp, record: ImageRecord) -> SizeStamp:
        parsed = parse_size(stamp.size, shape=record.shape, located=True)
        with suppress(SegsizeError):  # what was entered still says the same, or it is forgotten
            entered = parse_size(stamp.entered, stamp.unit, record.spacing[1:], image_unit=record.unit)
            parsed = entered if entered.size == parsed.size else parsed
        return SizeStamp(
            object=checked_name(stamp.object),
            size=parsed.size,
            centre=checked_centre(stamp.centre, record.shape),
            entered=parsed.entered,
            unit=parsed.unit,
        )


def _between(planes: Sequence[PlaneRef], after: PlaneRef, step: int) -> int:
    """Index of the neighbour of a plane that is not in the list (of another split, or taken out)."""
    following = next((k for k, plane in enumerate(planes) if plane > after), len(planes))
    return following if step > 0 else following - 1
