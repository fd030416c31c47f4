"""Commands that look at losses: the catalogue, and one loss of one prediction under the microscope."""

# typer reads the annotations when the commands are made, hence no `from __future__ import annotations` here.

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from ..errors import SegsizeError
from .command import command

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..losses.info import LossInfo
    from .output import Output

__all__ = ["loss", "losses"]

Kind = Literal["auto", "probabilities", "logits", "mask"]

_NAME = typer.Argument(metavar="NAME", help="of the loss; `segsize losses` lists them")
_PREDICTION = "2-D image (PNG, TIFF, npy); for a loss on contours the vertices (K, 2) as npy"
_TARGET = (
    "a mask or an image, what the loss needs; a size, centre, bounds or points as npy, or a mask of them"
)
_OUT = "gets the gradient and the maps, as float32 TIFF and as PNG"
_SHAPE = (
    "height and width of the image, for losses on contours that need it: balloon, curvature, contour_size"
)
_AS = (
    "what the prediction's numbers are; auto: whole numbers are a mask, numbers from 0 to 1 probabilities, "
    "others logits; as probabilities, pixels of 8 or 16 bits are shares of 255 or 65535"
)


@command()
def losses(out: "Output") -> None:
    """List the losses that a network can learn from, and recipes of them."""
    from ..losses import LOSSES
    from ..losses.recipe import PRESETS

    rows = [
        {
            "name": name,
            "needs": ", ".join(info.needs) or "nothing",
            "acts_on": info.acts_on,
            "advice": info.advice,
        }
        for name, info in LOSSES.items()
    ]
    out.table("losses", "What a network can learn from", rows)
    presets = [
        {"preset": name.replace(" + ", "-").replace(" ", "-"), "loss": text, "advice": advice}
        for name, (text, advice) in PRESETS.items()
    ]
    out.table("presets", "Recipes for --preset", presets)


@command()
def loss(
    out: "Output",
    name: Annotated[str, _NAME],
    prediction: Annotated[Path, typer.Option(metavar="FILE", help=_PREDICTION)],
    target: Annotated[Path | None, typer.Option(metavar="FILE", help=_TARGET)] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help=_OUT)] = None,
    kind: Annotated[Kind, typer.Option("--as", help=_AS)] = "auto",
    shape: Annotated[tuple[int, int] | None, typer.Option(metavar="H W", help=_SHAPE)] = None,
) -> None:
    """Value, gradient and pictures of one loss."""
    from ..engine.loss_files import write_view
    from ..losses.microscope import look_up, microscope

    try:
        colours = "image" in look_up(name).needs
        given = _one_plane(prediction)
        truth = None if target is None else _numbers(target, colours=colours)
        given, said = _as_said(given, kind)
        truth, more = _instead_of_mask(truth, given, look_up(name))
        options: dict[str, Any] = {} if shape is None else {"shape": shape}
        view = microscope(name, given, truth, kind=kind, **options)
    except ValueError as error:
        raise SegsizeError(_in_options(str(error))) from error
    notices = (*said, *more, *map(_in_options, view.notices))
    files = () if folder is None else write_view(view, given, folder)
    values = {
        "name": name,
        "value": view.value,
        "notices": notices,
        "maps": list(view.maps),
        "marks": {key: places.tolist() for key, places in view.marks.items()},
        "dots": view.dots,
        "files": files,
    }
    lines = [f"{name}: {view.value:.6g}", *notices]
    lines += [f"{len(files)} files in {folder}"] if files else []
    out.result("loss", values, "\n".join(lines))


def _one_plane(file: Path) -> "NDArray[Any]":
    given = _numbers(file)
    if given.ndim != 2:
        raise SegsizeError(f"{file.name}: expected a 2-D image, got the shape {given.shape}; save one plane.")
    return given


def _numbers(file: Path, *, colours: bool = False) -> "NDArray[Any]":
    """What is in a file: (H, W), or (C, H, W) where colours count; any shape from npy."""
    if file.suffix.lower() == ".npy":
        return _npy(file)
    from ..project.formats import read_label_picture
    from ..project.images import open_image

    source = open_image(file)
    if file.suffix.lower() == ".png" and not colours:
        picture = read_label_picture(file)  # the numbers of a palette, not its colours
        if picture.ndim == 2:
            return picture
    if source.planes != 1:
        raise SegsizeError(f"{file.name} has {source.planes} planes, expected one: save the one to look at.")
    if source.channels != 1 and not colours:
        raise SegsizeError(
            f"{file.name} has {source.channels} channels, expected one: save numbers, not colours."
        )
    pixels: NDArray[Any] = source.read()[0]
    return pixels[0] if len(pixels) == 1 else pixels


def _npy(file: Path) -> "NDArray[Any]":
    try:
        found = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise SegsizeError(
            f"{file.name} is not an array of numbers as numpy.save writes it ({error})."
        ) from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise SegsizeError(f"{file.name} holds several arrays, expected one: save it by numpy.save.")
    return found


def _as_said(given: "NDArray[Any]", kind: Kind) -> "tuple[NDArray[Any], tuple[str, ...]]":
    """Probabilities that a picture stores as whole numbers become shares; what was guessed is said."""
    if given.dtype.kind not in "ui":
        return given, ()
    if kind == "probabilities" and given.dtype in (np.uint8, np.uint16) and given.max(initial=0) > 1:
        return given / np.iinfo(given.dtype).max, ()
    if kind == "auto" and len(np.unique(given)) > 2:
        return given, ("Whole numbers are taken for a mask: --as probabilities or --as logits if they are.",)
    return given, ()


def _instead_of_mask(
    truth: "NDArray[Any] | None", given: "NDArray[Any]", info: "LossInfo"
) -> "tuple[NDArray[Any] | None, tuple[str, ...]]":
    """For a loss that learns from less than a mask, what the mask says of it."""
    from ..engine.loss_look import said_by_mask

    need = info.needs[0] if info.needs else "mask"
    if truth is None or need in ("mask", "image") or truth.ndim != 2 or truth.shape == (4, 2):
        return truth, ()
    if info.acts_on != "contour" and truth.shape != given.shape:
        raise SegsizeError(
            f"The target is {truth.shape[0]} x {truth.shape[1]} pixels and the prediction "
            f"{given.shape[0]} x {given.shape[1]}: give masks of the same size, or the {need} as npy."
        )
    notices: list[str] = []
    return said_by_mask(truth != 0, need, notices), tuple(notices)


def _in_options(sentence: str) -> str:
    """A sentence about a call, for the command line."""
    return re.sub(r'kind="(\w+)"', r"--as \1", sentence).replace("the option shape", "--shape")
