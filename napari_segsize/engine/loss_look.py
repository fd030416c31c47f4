"""One loss on one plane, as it lies in layers: what the loss needs beside a mask is taken from the mask.

torch is imported inside the functions, so that a page can import the values.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from .loss_prediction import contour_of, edges_of, field_of, level_set_of, own_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ..losses.info import LossInfo
    from ..losses.microscope import Kind, LossView, Slope

__all__ = ["MOST_PIXELS", "LossRequest", "look_at_loss", "looks_at_loss", "said_by_mask", "warm_up"]

LookKind = Literal["auto", "logits", "probabilities", "mask", "outlines"]
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
        Probabilities, logits, a mask or labels. For a loss on level sets phi, or a mask, whose
        `signed_distance` is taken; on motion fields the field ``(2, H, W)``, or what a level set is made of;
        on contours the vertices ``(K, 2)`` of one, `drawn`, or pixels whose outline is taken.
    target : (H, W) array
        A mask or labels, also for a loss that learns from less: its size, centre or box is then taken. The
        image for a loss that needs an image; extreme points ``(4, 2)``, in any order, for one that needs
        those; None for one that needs nothing.
    kind, slope
        As of `napari_segsize.losses.microscope.microscope`; of edges also "outlines": those of objects. Of a
        level set "logits" stands for numbers that are one.
    options : mapping
        Parameters of the loss; ``spacing=True`` stands for `spacing`.
    spacing : (float, float)
        Sides of a pixel, y and x.
    size, centre
        What was said without a mask: taken where the target is empty.
    drawn : bool
        Whether `prediction` is the vertices of a contour.
    shape : (int, int), optional
        Of the image that a drawn contour lies in.
    vertices : int
        Of the contour, at equal steps; 0: as many as were drawn, or `VERTICES` of an outline of pixels.
    label : int, optional
        The object whose outline is taken; None, or where it is not there: the largest.
    """

    name: str
    prediction: NDArray[Any]
    target: NDArray[Any] | None = None
    kind: LookKind = "auto"
    slope: Slope = "probabilities"
    options: Mapping[str, Any] = field(default_factory=dict)
    spacing: tuple[float, float] = (1.0, 1.0)
    size: float | None = None
    centre: tuple[float, float] | None = None
    drawn: bool = False
    shape: tuple[int, int] | None = None
    vertices: int = 0
    label: int | None = None

    @property
    def plane(self) -> tuple[int, ...]:
        """Height and width of what is looked at."""
        return self.shape if self.drawn and self.shape is not None else self.prediction.shape[-2:]


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
    options = _settings(request, info)
    prediction, kind = _prediction(request, info.acts_on, notices)
    target = _target(need, request)
    if info.acts_on == "contour" and target is not None:
        target = _of_contour(need, request, prediction, target, notices)
    elif target is not None:
        target = _learned_from(need, request, target, notices)
    view = microscope(request.name, prediction, target, kind=kind, slope=request.slope, **options)
    if info.acts_on == "contour" and not (request.drawn and not request.vertices):
        way = np.roll(prediction, -1, 0) - prediction  # on screen there is no such contour yet
        view = replace(view, marks={**view.marks, "contour": np.concatenate((prediction, way), 1)})
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


def _prediction(request: LossRequest, acts_on: str, notices: list[str]) -> tuple[NDArray[Any], Kind]:
    """What the loss acts on, and what its numbers are."""
    if acts_on == "contour":
        return contour_of(request, notices), "auto"
    if acts_on in ("phi", "field"):
        made = level_set_of if acts_on == "phi" else field_of
        return made(request, notices), "auto"
    if acts_on == "edges":
        edges, kind = edges_of(request, notices)
        if edges is not request.prediction:
            return edges, "mask"
        return _shares(request, notices), cast("Kind", kind)
    return _shares(request, notices), cast("Kind", request.kind)


def _settings(request: LossRequest, info: LossInfo) -> dict[str, Any]:
    import torch

    options = dict(request.options)
    if "spacing" in options:
        options["spacing"] = request.spacing if options["spacing"] else None
    if "shape" in inspect.signature(info.function).parameters:
        options["shape"] = request.plane
    if request.name == "size":
        options["generator"] = torch.Generator().manual_seed(0)  # the same masks, the same picture
    return options


def _target(need: str, request: LossRequest) -> NDArray[Any] | None:
    """The target as it lies in a layer, if it fits the prediction."""
    target = request.target
    if not need or target is None:
        return None
    if need == "points" and target.shape == (4, 2):
        return target
    if need != "image" and target.shape != request.plane:
        raise ValueError(
            f"The prediction is {_size(request.plane)} pixels and the target {_size(target.shape)}: "
            "choose layers of the same size."
        )
    return target


def _learned_from(need: str, request: LossRequest, target: NDArray[Any], notices: list[str]) -> Any:
    """What a loss on pixels learns from, out of the mask or the image."""
    if need == "image":
        return target
    if several := _labels(target):
        notices.append(f"The target's {several} labels are taken together, as one mask.")
    return _of_mask(need, request, target != 0, notices)


def _of_contour(
    need: str, request: LossRequest, vertices: NDArray[np.float64], target: NDArray[Any], notices: list[str]
) -> Any:
    """What a loss on a contour learns from: it is about one object."""
    import torch

    from ..ops.points import ordered

    if target.shape == (4, 2):
        points: Tensor = torch.from_numpy(target.astype(np.float64))[None]
        return ordered(points)[0].numpy()
    mask, said = own_object(target, vertices)
    if said:
        notices.append(said)
    return _of_mask(need, request, mask, notices)


def _of_mask(need: str, request: LossRequest, mask: NDArray[np.bool_], notices: list[str]) -> Any:
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


_COMPILED = ("boundary", "cldice", "topology", "size", "contour_segmentation")
"""One loss for each set of kernels, the quickest to compile first."""
_WORDS = {"centre": "centre", "extents": "box", "points": "extreme points"}


def _labels(values: NDArray[Any]) -> int:
    """How many labels there are, if there are several."""
    if values.dtype.kind not in "ui":
        return 0
    found = np.unique(values)
    count = int((found != 0).sum())
    return count if count > 1 else 0


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)
