"""Changes of what is said about a plane, inside a step: each reads and writes in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from napari_segsize.project import survey
from napari_segsize.project.annotation import Contour, PlaneRef, SizeStamp
from napari_segsize.project.history import Entry, Key, Kind, Step
from napari_segsize.project.rings import packed

__all__ = ["contour_label", "lift", "raise_mark", "write_contour", "write_stamp"]


def write_stamp(step: Step, entries: dict[Key, Entry], plane: PlaneRef, stamp: SizeStamp) -> None:
    """Say a size, unless it is said already."""
    key = Key(plane, "stamp", stamp.object)
    before = entries.get(key)
    y, x = (None, None) if stamp.centre is None else stamp.centre
    values = {"size": stamp.size, "y": y, "x": x, "entered": stamp.entered, "unit": stamp.unit}
    if before is not None and before.present and {**before.values, **values} == before.values:
        return
    lift(step, entries, plane)
    entries[key] = step.put(key, before, values)


def write_contour(step: Step, entries: dict[Key, Entry], key: Key, said: Mapping[str, Any]) -> Contour:
    """Write what is said of a contour (points, rings, source) over what is stored."""
    before = entries.get(key)
    stored = survey.contour(step.connection, before, key.object)
    contour = replace(stored, **said)
    contour = contour if contour.rings else replace(contour, source="")
    if contour == stored:
        return contour
    if not (contour.points or contour.rings):
        entries[key] = step.put(key, before, None)
        return contour
    outline = None if before is None else before.values["outline_id"]
    if contour.rings != stored.rings:
        outline = step.put_outline(packed(contour.rings)) if contour.rings else None
    lift(step, entries, key.plane)
    points = np.array(contour.points, "<f8").tobytes()
    values = {"points": points, "outline_id": outline, "source": contour.source}
    entries[key] = step.put(key, before, values)
    return contour


def contour_label(said: Mapping[str, Any], place: str) -> str:
    """What a step that says this of a contour is called."""
    if "rings" in said:
        return f"Contour on {place}" if said["rings"] else f"Rejected a contour on {place}"
    return f"Extreme point {len(said['points'])} on {place}" if "points" in said else f"Contour on {place}"


def lift(step: Step, entries: dict[Key, Entry], plane: PlaneRef) -> None:
    """An object is put on a plane: it is no longer empty, or skipped."""
    kinds: tuple[Kind, ...] = ("no_object", "skip")
    for kind in kinds:
        entry = entries.get(Key(plane, kind))
        if entry is not None and entry.present:
            entries[entry.key] = step.put(entry.key, entry, None)


def raise_mark(step: Step, entries: dict[Key, Entry], plane: PlaneRef, kind: Kind) -> None:
    """Say "no object" or "skip", unless it is said already."""
    before = entries.get(Key(plane, kind))
    if before is None or not before.present:
        step.put(Key(plane, kind), before, {})
