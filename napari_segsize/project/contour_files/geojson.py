"""GeoJSON as QuPath reads and writes it: a feature for every object; positions from a pixel's corner."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segsize.errors import SegsizeError
from napari_segsize.project.contour_files.json_file import line_of, load, vertices_of
from napari_segsize.project.contour_files.page import Outline, Page, Reading, crossing_notice, valid_pieces
from napari_segsize.project.naming import generated_name

if TYPE_CHECKING:
    from napari_segsize.project.annotation import Contour, Ring

__all__ = ["is_geojson", "parsed", "read", "write"]

_CLASS = {"name": "Object", "color": [255, 200, 0]}
_NO_OBJECTS = ("root", "tmacore", "pathrootobject", "tmacoreobject")


def write(pages: Sequence[Page], file: Path) -> list[str]:
    """Write the contours of an image; the plane of a stack is the geometry's ``plane``, as in QuPath."""
    notices, features = [], []
    for page in pages:
        crossing = 0
        for contour in page.contours:
            pieces, same = valid_pieces(contour.rings, page.record.shape)
            features.append(_feature(contour, pieces, page.slice if page.record.planes > 1 else None))
            crossing += not same
        if crossing:
            notices.append(crossing_notice(page.where, crossing))
    head = json.dumps({"type": "FeatureCollection", "name": pages[0].record.name})[:-1]
    lines = ",\n".join(map(json.dumps, features))
    file.write_text(f'{head}, "features": [\n{lines}\n]}}\n', encoding="utf-8")
    return notices


def read(file: Path) -> Reading:
    """Read GeoJSON."""
    return parsed(load(file), file)


def is_geojson(data: Any) -> bool:
    """Whether a JSON file is GeoJSON: a collection, a feature, or a list of such."""
    if isinstance(data, list):
        return all(isinstance(entry, dict) and "geometry" in entry for entry in data)
    return isinstance(data, dict) and (isinstance(data.get("features"), list) or "geometry" in data)


def parsed(data: Any, file: Path) -> Reading:
    """Outlines in GeoJSON that was loaded; children of QuPath's objects are objects as well."""
    if not is_geojson(data):
        raise SegsizeError(f'{file.name} is not GeoJSON: expected a "FeatureCollection" of features.')
    name = data.get("name") if isinstance(data, dict) else None
    reading = Reading(what="features", image=name if isinstance(name, str) else None)
    features = data if isinstance(data, list) else data.get("features", [data])
    left_out: Counter[str] = Counter()
    for k, feature in enumerate(_all(features), start=1):
        where = f"Feature {k}"
        geometry = feature.get("geometry") or {}
        kind = geometry.get("type")
        properties = feature.get("properties") or {}
        named = str(properties.get("objectType", properties.get("object_type", ""))).lower()
        if named in _NO_OBJECTS or feature.get("id") in _NO_OBJECTS:
            continue
        if kind not in ("Polygon", "MultiPolygon"):
            left_out[str(kind or "no geometry")] += 1
            continue
        try:
            reading.outlines.append(
                Outline(
                    where=where,
                    polygons=_polygons(geometry),
                    slice=_plane(geometry, properties),
                    object=_name(feature.get("id"), properties.get("name")),
                )
            )
        except SegsizeError as error:
            reading.bad.append(f"{where}: {error}")
    reading.notices += [
        f"{file.name}: {n} object(s) without an area ({kind}) were left out." for kind, n in left_out.items()
    ]
    return reading


def _feature(contour: Contour, pieces: Sequence[Sequence[Ring]], plane: int | None) -> dict[str, Any]:
    polygons = [[[*line_of(ring), line_of(ring[:1])[0]] for ring in piece] for piece in pieces]
    one = len(polygons) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if one else "MultiPolygon", "coordinates": polygons[0] if one else polygons,
    }  # fmt: skip
    properties: dict[str, Any] = {"objectType": "annotation", "classification": _CLASS}
    if plane is not None:
        geometry["plane"] = {"c": -1, "z": plane, "t": 0}
        properties["z"] = plane
    number = _number(contour.object)
    if number.hex != contour.object:
        properties["name"] = contour.object
    return {"type": "Feature", "id": str(number), "geometry": geometry, "properties": properties}


def _number(name: str) -> uuid.UUID:
    """What QuPath calls an object: it wants numbers of this kind, and keeps them."""
    try:
        number = uuid.UUID(hex=name)
    except ValueError:
        return uuid.UUID(hex=generated_name(name))
    return number if number.hex == name else uuid.UUID(hex=generated_name(name))


def _name(number: Any, name: Any) -> str | None:
    """The object's own name: the number that QuPath keeps, or the name it belongs to."""
    try:
        key = uuid.UUID(str(number)).hex
    except ValueError:
        return str(name if name is not None else number) if (name, number) != (None, None) else None
    return name if isinstance(name, str) and generated_name(name) == key else key


def _polygons(geometry: dict[str, Any]) -> list[list[Any]]:
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    if not isinstance(polygons, list) or not all(isinstance(rings, list) and rings for rings in polygons):
        raise SegsizeError("its coordinates are not rings of points.")
    return [[vertices_of(ring) for ring in rings] for rings in polygons]


def _plane(geometry: dict[str, Any], properties: dict[str, Any]) -> int | None:
    for holder in (geometry.get("plane"), properties.get("plane"), properties):
        if isinstance(holder, dict):
            numbers = [holder[axis] for axis in "zt" if isinstance(holder.get(axis), int)]
            if numbers:
                return int(max(numbers))  # the planes of a project are along one of the two
    return None


def _all(features: Any) -> Iterator[dict[str, Any]]:
    for feature in features if isinstance(features, list) else []:
        if isinstance(feature, dict):
            yield feature
            properties = feature.get("properties")
            if isinstance(properties, dict):
                yield from _all(properties.get("childObjects", properties.get("children")))
