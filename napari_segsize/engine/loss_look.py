"""One loss on one plane, as it lies in layers: what the loss needs beside a mask is taken from the mask.

torch is imported inside the functions, so that a page can import the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ..losses.microscope import Kind, LossView, Slope

__all__ = ["MOST_PIXELS", "LossRequest", "look_at_loss", "looks_at_loss", "said_by_mask", "warm_up"]

MOST_PIXELS = 1 << 20
"""Of a plane: the slowest losses take a second for so many."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossRequest:
    """What to look at.

    Attributes
    ----------
    name : str
        Of the loss, in the catalogue.
    prediction : (H, W) array
        Probabilities, logits, a mask or labels.
    target : (H, W) array
        A mask or labels, also for a loss that learns from less: its size, centre or box is then taken. The
        image for a loss that needs an image; None for one that needs nothing.
    kind, slope
        As of `napari_segsize.losses.microscope.microscope`.
    options : mapping
        Parameters of the loss; ``spacing=True`` stands for `spacing`.
    spacing : (float, float)
        Sides of a pixel, y and x.
    size, centre
        What was said without a mask: taken where the target is empty.
    """

    name: str
    prediction: NDArray[Any]
    target: NDArray[Any] | None = None
    kind: Kind = "auto"
    slope: Slope = "probabilities"
    options: Mapping[str, Any] = field(default_factory=dict)
    spacing: tuple[float, float] = (1.0, 1.0)
    size: float | None = None
    centre: tuple[float, float] | None = None


def look_at_loss(request: LossRequest) -> LossView:
    """Value, gradient and pictures; what was assumed is among the notices.

    Raises
    ------
    ValueError
        When prediction, target or an option does not fit: one sentence.
    """
    from ..losses.microscope import look_up, microscope

    info = look_up(request.name)
    need = info.needs[0] if info.needs else ""
    notices: list[str] = []
    prediction = _shares(request, notices)
    target = _target(need, request, notices)
    options = _settings(request)
    view = microscope(request.name, prediction, target, kind=request.kind, slope=request.slope, **options)
    if any("target is empty" in each for each in view.notices):  # the loss's own word says more than ours
        notices = [each for each in notices if "target is empty" not in each]
    return replace(view, notices=(*notices, *view.notices))


def looks_at_loss(request: LossRequest) -> Iterator[LossView | str]:
    """`look_at_loss` as a job: the view, or the sentence that says why there is none."""
    try:
        yield look_at_loss(request)
    except ValueError as error:
        yield str(error)


def warm_up() -> Iterator[str]:
    """Compile what losses run on (distances, centre lines, dots of a diagram), one a step; seconds, once.

    The machine code is kept on disk. Yields the loss that is quick from now on.
    """
    square = np.zeros((8, 8), np.uint8)
    square[2:6, 2:6] = 1
    for name in _COMPILED:
        look_at_loss(LossRequest(name=name, prediction=square, target=square))
        yield name


def _shares(request: LossRequest, notices: list[str]) -> NDArray[Any]:
    """The prediction; probabilities that an image stores as whole numbers become shares."""
    given = request.prediction
    if given.dtype.kind not in "ui":
        return given
    if request.kind == "probabilities" and given.dtype.itemsize <= 2 and given.max(initial=0) > 1:
        most = int(np.iinfo(given.dtype).max)
        notices.append(f"Whole numbers are taken for shares of {most}.")
        return given / most
    if request.kind == "auto" and (several := _labels(given)):
        notices.append(f"The prediction's {several} labels are taken together, as one mask.")
    return given


def _settings(request: LossRequest) -> dict[str, Any]:
    import torch

    options = dict(request.options)
    if "spacing" in options:
        options["spacing"] = request.spacing if options["spacing"] else None
    if request.name == "size":
        options["generator"] = torch.Generator().manual_seed(0)  # the same masks, the same picture
    return options


def _target(need: str, request: LossRequest, notices: list[str]) -> Any:
    """What the loss learns from, out of the mask or the image."""
    target = request.target
    if not need or target is None:
        return None
    if need != "image" and target.shape != request.prediction.shape:
        raise ValueError(
            f"The prediction is {_size(request.prediction)} pixels and the target {_size(target)}: "
            "choose layers of the same size."
        )
    if need == "image":
        return target
    if several := _labels(target):
        notices.append(f"The target's {several} labels are taken together, as one mask.")
    mask = target != 0
    if need == "mask":
        if not mask.any():
            notices.append("The target is empty here: every predicted pixel is an error.")
        return mask
    said = {"size": request.size, "centre": request.centre}.get(need)
    if said is not None and not mask.any():
        notices.append(f"The {need} to learn is that of the stamp.")
        return np.array(said)
    return said_by_mask(mask, need, notices)


def said_by_mask(mask: NDArray[np.bool_], need: str, notices: list[str]) -> Any:
    """Size, centre, area or extreme points of a mask ``(H, W)``, for a loss that needs just that.

    What was taken is added to `notices`. A ValueError if the mask is empty and has none.
    """
    import torch

    from ..losses.area import area_bounds
    from ..ops import centroid, object_size
    from ..ops.points import extreme_points

    tensor: Tensor = torch.from_numpy(mask)[None, None]
    if need == "size":
        size = float(object_size(tensor))
        notices.append(f"The size to learn is that of the target: {size:g} px.")
        return np.array(size)
    if need == "area":
        bounds = area_bounds(tensor.flatten(2).sum(-1).double())[0, 0].numpy()
        notices.append(f"The bounds are those of the target's area, 10 % below and above: "
                       f"{bounds[0]:g} to {bounds[1]:g} px.")  # fmt: skip
        return bounds
    if not mask.any():
        raise ValueError(
            f"The target is empty here and has no {_WORDS[need]}: paint it, or choose another slice."
        )
    if need == "centre":
        y, x = centroid(tensor.double())[0, 0].tolist()
        notices.append(f"The centre to learn is that of the target: ({y:.1f}, {x:.1f}).")
        return np.array([y, x])
    notices.append("The extreme points to learn are those of the target.")
    return extreme_points(tensor)[0, 0].double().numpy()


_COMPILED = ("boundary", "cldice", "topology", "size")
"""One loss for each set of kernels, the quickest to compile first."""
_WORDS = {"centre": "centre", "extents": "box", "points": "extreme points"}


def _labels(values: NDArray[Any]) -> int:
    """How many labels there are, if there are several."""
    if values.dtype.kind not in "ui":
        return 0
    found = np.unique(values)
    count = int((found != 0).sum())
    return count if count > 1 else 0


def _size(values: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in values.shape)
