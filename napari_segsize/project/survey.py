"""Looking at all annotations: one by one, counted, and against each other."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, Select, func, or_, select, union

from napari_segsize.project import tables
from napari_segsize.project.annotation import (
    SPLITS,
    Contour,
    Counts,
    ImageRecord,
    PlaneAnnotation,
    PlaneRef,
    SizeStamp,
)
from napari_segsize.project.checks import where
from napari_segsize.project.history import Entry
from napari_segsize.project.packing import unpacked
from napari_segsize.project.rings import unpacked as unpacked_rings
from napari_segsize.project.sizes import object_size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Ring
    from napari_segsize.project.store import Store

__all__ = [
    "TOLERANCE", "annotation", "clashes", "contour", "contradictions", "counts", "each", "finished", "mask",
]  # fmt: skip

TOLERANCE = 0.25
"""Difference of two sizes that is still agreement, as a part of the larger one; 2 pixels always are."""

_CHUNK = 64  # planes whose masks are fetched by one query; no transaction stays open between them
_MANY = 500  # outlines fetched by one query
_POINT_BYTES = 16
_COMPLETE = or_(
    tables.change.c.outline_id.is_not(None), func.length(tables.change.c.points) == 4 * _POINT_BYTES
)


def mask(connection: Connection, labels_id: int, shape: tuple[int, int]) -> NDArray[np.int32]:
    """A stored mask."""
    data = connection.scalar(select(tables.labels.c.data).where(tables.labels.c.id == labels_id))
    return unpacked(bytes(data or b""), shape)


def contour(connection: Connection, entry: Entry | None, name: str) -> Contour:
    """A stored contour; an empty one if there is none."""
    if entry is None or not entry.present:
        return Contour(object=name)
    return _contour(name, entry.values, _outlines(connection, [entry.values["outline_id"]]))


def annotation(
    connection: Connection, plane: PlaneRef, entries: Iterable[Entry], shape: tuple[int, int]
) -> PlaneAnnotation:
    """Put together what is said about a plane."""
    present = [entry for entry in entries if entry.present]
    kinds = {entry.key.kind: entry for entry in present}
    painted = kinds.get("mask")
    outlines = _outlines(connection, (entry.values["outline_id"] for entry in present))
    return PlaneAnnotation(
        plane=plane,
        stamps=tuple(_stamp(said.key.object, said.values) for said in present if said.key.kind == "stamp"),
        contours=tuple(
            _contour(said.key.object, said.values, outlines) for said in present if said.key.kind == "contour"
        ),
        mask=None if painted is None else mask(connection, painted.values["labels_id"], shape),
        no_object="no_object" in kinds, skipped="skip" in kinds,
    )  # fmt: skip


def each(store: Store, records: Mapping[int, ImageRecord]) -> Iterator[PlaneAnnotation]:
    """Every plane of these images about which something is said, in order."""
    wanted = (
        "image_id", "slice", "kind", "object", "size", "y", "x", "entered", "unit", "labels_id", "points",
        "outline_id", "source",
    )  # fmt: skip
    query = _present([tables.change.c[name] for name in wanted])
    query = query.order_by(tables.item.c.image_id, tables.item.c.slice, tables.item.c.first_id)
    with store.reading() as connection:
        rows = [row for row in connection.execute(query).mappings() if row["image_id"] in records]
    planes = [
        (PlaneRef(*where), list(group))
        for where, group in itertools.groupby(rows, key=lambda row: (row["image_id"], row["slice"]))
    ]
    for start in range(0, len(planes), _CHUNK):
        chunk = planes[start : start + _CHUNK]
        masks = [row["labels_id"] for _, rows in chunk for row in rows if row["labels_id"] is not None]
        with store.reading() as connection:
            found = connection.execute(select(tables.labels).where(tables.labels.c.id.in_(masks)))
            painted = {row[0]: row[1] for row in found}
            outlines = _outlines(connection, (row["outline_id"] for _, rows in chunk for row in rows))
        for plane, rows in chunk:
            kinds = {row["kind"]: row for row in rows}
            labels = kinds["mask"]["labels_id"] if "mask" in kinds else None
            yield PlaneAnnotation(
                plane=plane,
                stamps=tuple(_stamp(row["object"], row) for row in rows if row["kind"] == "stamp"),
                contours=tuple(
                    _contour(row["object"], row, outlines) for row in rows if row["kind"] == "contour"
                ),
                mask=None if labels is None else unpacked(painted[labels], records[plane.image].shape),
                no_object="no_object" in kinds, skipped="skip" in kinds,
            )  # fmt: skip


def finished(store: Store) -> set[PlaneRef]:
    """Planes that need not be asked for again: labelled or skipped."""
    item, change = tables.item, tables.change
    where = select(item.c.image_id, item.c.slice)
    query = union(
        where.where(item.c.present.is_(True), item.c.kind != "contour"),
        where.join(change, item.c.change_id == change.c.id).where(
            item.c.present.is_(True), item.c.kind == "contour", _COMPLETE
        ),
    )
    with store.reading() as connection:
        return {PlaneRef(*row) for row in connection.execute(query)}


def counts(store: Store, images: Sequence[ImageRecord]) -> Counts:
    """How much of everything, in all and by split."""
    splits = {record.id: record.split for record in images}
    query = _present(
        [
            tables.item.c.image_id,
            tables.item.c.kind,
            or_(tables.change.c.y.is_not(None), tables.change.c.outline_id.is_not(None)),
        ]
    )
    with store.reading() as connection:
        said = Counter(
            (splits[image_id], kind, bool(more))  # more: a stamp with a place, a contour with an outline
            for image_id, kind, more in connection.execute(query)
            if image_id in splits
        )

    def of(*wanted: str) -> Counts:
        def total(kind: str, *more: bool) -> int:
            mine = (
                (s, k, m) for s, k, m in said if s in wanted and k == kind and m in (more or (False, True))
            )
            return sum(said[each] for each in mine)

        mine = [record for record in images if record.split in wanted]
        return Counts(
            images=len(mine), planes=sum(record.planes for record in mine), masks=total("mask"),
            sizes=total("stamp"), centres=total("stamp", True),
            points=total("contour", False), contours=total("contour", True),
            no_object=total("no_object"), skipped=total("skip"),
            by_split={split: of(split) for split in SPLITS} if len(wanted) > 1 else {},
        )  # fmt: skip

    return of(*SPLITS)


def contradictions(store: Store, records: Mapping[int, ImageRecord], tolerance: float) -> Iterator[str]:
    """Sizes that a mask does not confirm, a sentence each."""
    for said in each(store, records):
        record = records[said.plane.image]
        name = where(record, said.plane)
        for stamp, found in clashes(said, tolerance):
            if found is not None:
                yield (
                    f"{name}: the size is {stamp.size:g} px but the mask's is {found:g} px. "
                    "Delete one of the two annotations."
                )
                continue
            assert stamp.centre is not None
            y, x = stamp.centre
            yield (
                f"{name}: a size of {stamp.size:g} px is at ({y:.0f}, {x:.0f}), where the mask has no "
                "object. Paint the object, or delete the size."
            )


def clashes(said: PlaneAnnotation, tolerance: float = TOLERANCE) -> Iterator[tuple[SizeStamp, float | None]]:
    """Stamps that the mask of their plane does not confirm, with the size painted there (None: nothing)."""
    for stamp in said.stamps if said.mask is not None else ():
        assert said.mask is not None
        painted = said.mask != 0 if stamp.centre is None else _object_at(said.mask, stamp.centre)
        if painted is None:
            yield stamp, None
            continue
        found = object_size_of(painted)
        if abs(found - stamp.size) > max(2.0, tolerance * max(found, stamp.size)):
            yield stamp, found


def _object_at(labels: NDArray[np.int32], centre: tuple[float, float]) -> NDArray[np.bool_] | None:
    """The object a centre lies in: pixels of that label which hang together (a binary mask holds several)."""
    from scipy.ndimage import label

    y, x = (min(max(round(value), 0), side - 1) for value, side in zip(centre, labels.shape, strict=True))
    if labels[y, x] == 0:
        return None
    pieces, _ = label(labels == labels[y, x], structure=np.ones((3, 3)))
    piece: NDArray[np.bool_] = pieces == pieces[y, x]
    return piece


def _present(columns: Sequence[Any]) -> Select[Any]:
    item, change = tables.item, tables.change
    joined = select(*columns).join_from(item, change, item.c.change_id == change.c.id)
    return joined.where(item.c.present.is_(True))


def _stamp(name: str, values: Mapping[Any, Any]) -> SizeStamp:
    centre = None if values["y"] is None or values["x"] is None else (values["y"], values["x"])
    return SizeStamp(
        object=name, size=values["size"], centre=centre, entered=values["entered"], unit=values["unit"]
    )


def _contour(name: str, values: Mapping[Any, Any], outlines: Mapping[int, tuple[Ring, ...]]) -> Contour:
    numbers: list[float] = np.frombuffer(values["points"], "<f8").tolist()
    outline = values["outline_id"]
    return Contour(
        object=name, points=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        rings=() if outline is None else outlines[outline], source=values["source"],
    )  # fmt: skip


def _outlines(connection: Connection, ids: Iterable[int | None]) -> dict[int, tuple[Ring, ...]]:
    """Stored outlines by their numbers."""
    wanted = [number for number in ids if number is not None]
    found: dict[int, tuple[Ring, ...]] = {}
    for start in range(0, len(wanted), _MANY):
        query = select(tables.outline).where(tables.outline.c.id.in_(wanted[start : start + _MANY]))
        found.update((row[0], unpacked_rings(row[1])) for row in connection.execute(query))
    return found
