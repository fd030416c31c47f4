"""What napari shows when a project file or a `sizes.csv` is opened or dropped on it; no Qt, no torch."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_segsize.errors import SegsizeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_segsize.project import ImageRecord, Project

__all__ = ["get_reader", "read_project", "read_sizes"]

logger = logging.getLogger(__name__)

# Data, keyword arguments and type of one layer, as napari takes it from a plugin.
LayerTuple = tuple[Any, dict[str, Any], str]
PathOrPaths = str | Sequence[str]

_PROJECT_FILE = "project.segsize"
_COLUMNS = frozenset({"image", "y", "x", "size"})  # what can be drawn has a place
_WHOLE_BYTES = 64 << 20  # images up to here are read at once, larger ones plane by plane
# A chessboard ball is a square: what is drawn is what is stored.
_STAMP_STYLE = {
    "symbol": "square",
    "face_color": "transparent",
    "border_color": "yellow",
    "border_width": 1.0,
    "border_width_is_relative": False,
    "out_of_slice_display": False,
}


class _Drawn(NamedTuple):
    """A row of a `sizes.csv` that can be drawn."""

    point: tuple[int, float, float]  # slice, y, x
    size: float
    object: str


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerTuple]] | None:
    """Tell napari whether this plugin can open `path`.

    Parameters
    ----------
    path : str or list of str
        A `.segsize` file, the folder of a project, or a CSV file with the columns of `sizes.csv`.

    Returns
    -------
    callable or None
        None for everything else, other CSV files included, so that another reader gets its turn.
    """
    if not isinstance(path, str):
        return None
    file = Path(path)
    if file.suffix.lower() == ".segsize" or (file / _PROJECT_FILE).is_file():
        return read_project
    if file.suffix.lower() == ".csv" and _has_size_columns(file):
        return read_sizes
    return None


def read_project(path: PathOrPaths) -> list[LayerTuple]:
    """Show the images, masks and size stamps of a project, images with planes of one kind as one stack.

    It is a look at the project: annotations made in these layers go nowhere. The dock widget opens the
    project itself.
    """
    from napari_segsize.project import Project

    layers: list[LayerTuple] = []
    with Project.open(_single(path)) as project:
        gone = {image.id for image in project.missing()}
        if gone:
            logger.warning("%s: %d images were not found and are left out.", project.name, len(gone))
        stacks: dict[tuple[Any, ...], list[ImageRecord]] = defaultdict(list)
        for image in project.images():
            if image.id not in gone:
                kind = (image.channels, image.shape, image.dtype, image.spacing[1:], image.unit, image.rgb)
                stacks[kind].append(image)
        for number, images in enumerate(stacks.values()):
            for data, options, layer in _stack_layers(project, images):
                layers.append((data, {**options, "visible": number == 0}, layer))
    if not layers:
        raise SegsizeError(
            f"{path} holds no image that can be shown: add one on the Project page of Segsize."
        )
    return layers


def read_sizes(path: PathOrPaths) -> list[LayerTuple]:
    """Show the sizes of a `sizes.csv` as square points, one layer an image.

    Only sizes in pixels with a place can be drawn; the others need their project, which knows the images.
    """
    from napari_segsize.project.csv_lines import refusal
    from napari_segsize.project.exchange import size_lines

    file = Path(_single(path))
    rows: dict[str, list[_Drawn]] = defaultdict(list)
    bad = []
    for line, fields in size_lines(file):
        try:
            drawn = _drawn(fields)
        except SegsizeError as error:
            bad.append(f"Line {line}: {error}")
            continue
        if drawn is not None:
            rows[fields["image"]].append(drawn)
    if bad:
        raise refusal(file, bad, "rows")
    if not rows:
        raise SegsizeError(
            f"{path}: expected sizes in pixels with a place (columns y and x), found none that can be drawn. "
            "Import the file on the Project page of Segsize instead."
        )
    return [_points_of_rows(image, found) for image, found in rows.items()]


def _has_size_columns(file: Path) -> bool:
    from napari_segsize.project.csv_lines import names_of_columns
    from napari_segsize.project.exchange import COLUMNS

    try:
        return names_of_columns(file, COLUMNS) >= _COLUMNS
    except SegsizeError:
        return False


def _single(path: PathOrPaths) -> str:
    return path if isinstance(path, str) else path[0]


def _drawn(fields: Mapping[str, str]) -> _Drawn | None:
    """What a row says, as the project would store it; None if it cannot be drawn without its image."""
    from napari_segsize.project.csv_lines import read_number, read_whole
    from napari_segsize.project.sizes import parse_size

    if not fields.get("y") and not fields.get("x"):
        return None
    size = parse_size(fields.get("size", ""), fields.get("unit") or "px")
    if size.unit != "px":
        return None
    y, x = (read_number(fields.get(name, ""), name) for name in ("y", "x"))
    plane = read_whole(fields.get("slice") or "0", "slice")
    return _Drawn((plane, y, x), size.size, fields.get("object", ""))


def _points_of_rows(image: str, rows: list[_Drawn]) -> LayerTuple:
    data = np.array([row.point for row in rows], dtype=float)
    sizes = np.array([row.size for row in rows])
    features = {"size": sizes, "object": [row.object for row in rows]}
    return data, {"name": f"{image} sizes", "size": sizes, "features": features, **_STAMP_STYLE}, "points"


def _stack_layers(project: Project, images: list[ImageRecord]) -> Iterator[LayerTuple]:
    """Yield an image layer of all planes of `images`, and what was said about them."""
    first = images[0]
    planes = [(image, number) for image in images for number in range(image.planes)]
    name = first.name if len(images) == 1 else f"{project.name} {first.height} x {first.width}"
    # Planes of several images are counted, they are no millimetres apart.
    depth = (first.spacing[0], first.unit) if len(images) == 1 else (1.0, "pixel")
    common = {
        "scale": (depth[0], *first.spacing[1:]),
        "units": (depth[1], first.unit, first.unit),
        "axis_labels": ("plane", "y", "x"),
        "metadata": {
            "segsize_project": str(project.folder),
            "planes": {
                "image": [image.name for image, _ in planes],
                "slice": [number for _, number in planes],
                "group": [image.group for image, _ in planes],
                "split": [image.split for image, _ in planes],
            },
        },
    }
    yield from _image_layers(project.folder, images, name, common)

    index = {(image.id, number): row for row, (image, number) in enumerate(planes)}
    masks = np.zeros((len(planes), *first.shape), np.int32)
    stamps: list[tuple[float, float, float, float, str]] = []
    for said in project.annotations():
        row = index.get((said.plane.image, said.plane.slice))
        if row is None:
            continue
        if said.mask is not None:
            masks[row] = said.mask
        stamps += [(row, *each.centre, each.size, each.object) for each in said.stamps if each.centre]
    if masks.any():
        yield masks, {"name": f"{name} masks", **common}, "labels"
    if stamps:
        data = np.array([each[:3] for each in stamps], dtype=float)
        sizes = np.array([each[3] for each in stamps])
        features = {"size": sizes, "object": [each[4] for each in stamps]}
        yield (
            data,
            {"name": f"{name} sizes", "size": sizes, "features": features, **_STAMP_STYLE, **common},
            "points",
        )


def _image_layers(
    folder: Path, images: list[ImageRecord], name: str, common: dict[str, Any]
) -> Iterator[LayerTuple]:
    import dask.array as da

    pixels = da.concatenate([_lazy(folder / image.path, image) for image in images])
    first = images[0]
    if first.rgb:
        yield da.moveaxis(pixels, 1, -1), {"name": name, "rgb": True, **common}, "image"
        return
    for channel in range(first.channels):
        suffix = f" channel {channel}" if first.channels > 1 else ""
        options = {"name": name + suffix, "blending": "additive" if channel else "translucent", **common}
        yield pixels[:, channel], options, "image"


def _lazy(file: Path, image: ImageRecord) -> Any:
    """(planes, C, H, W), read when it is looked at."""
    import dask.array as da
    from dask.delayed import delayed

    dtype = np.dtype(image.dtype)
    plane = (image.channels, *image.shape)
    step = image.planes if image.planes * int(np.prod(plane)) * dtype.itemsize <= _WHOLE_BYTES else 1
    read = delayed(_read_planes, pure=True)
    return da.concatenate(
        [
            da.from_delayed(read(file, start, start + step), (step, *plane), dtype)
            for start in range(0, image.planes, step)
        ]
    )


def _read_planes(file: Path, start: int, stop: int) -> NDArray[Any]:
    from napari_segsize.project.images import open_image

    return open_image(file).read(start, stop)
