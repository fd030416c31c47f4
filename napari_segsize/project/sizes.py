"""What a size is: the rule that makes it even, its units, and how large the object in a mask is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segsize.errors import SegsizeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PIXEL", "ParsedSize", "even_size", "object_size_of", "parse_size", "unit_name"]

PIXEL = "pixel"
"""The unit of an image whose file says nothing about physical lengths."""

_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "angstrom": 1e-10, "inch": 0.0254}
_ALIASES = {
    "": PIXEL, "px": PIXEL, "pixels": PIXEL, "voxel": PIXEL, "unknown": PIXEL, "none": PIXEL,
    "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm",
    "millimeter": "mm", "millimetre": "mm",
    "micrometer": "um", "micrometre": "um", "micron": "um", "microns": "um", "µm": "um", "μm": "um",
    "\\u00b5m": "um", "nanometer": "nm", "nanometre": "nm", "å": "angstrom",
    "in": "inch", "inches": "inch", '"': "inch",
}  # fmt: skip
_NUMBER = re.compile(
    r"\s*([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf(?:inity)?))\s*(\D*?)\s*",
    re.IGNORECASE,
)
_SQUARE = 0.01  # sides of a pixel that differ by less than this fraction still make a square


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSize:
    """A size as the user gave it, and as it is stored.

    Attributes
    ----------
    size : float
        In pixels, even; 0 means "no object here".
    entered : float
        The number that was given, in `unit`.
    unit : str
        "px", or a length such as "mm".
    """

    size: float
    entered: float
    unit: str = "px"

    @property
    def rounded(self) -> bool:
        """Whether the stored size differs from a whole number of pixels that was entered."""
        return self.unit == "px" and self.size != self.entered


def even_size(pixels: float) -> float:
    """Size of the object that a square `pixels` wide is: the width rounded, then rounded up to even.

    A size is twice the largest chessboard distance to the background ([1]_, eq. 5), which is even whatever
    the object: a square 5 pixels wide and one 6 pixels wide both have size 6. A width entered by hand has to
    follow the same rule to be comparable, so n pixels become ``2 * ceil(n / 2)``.

    Parameters
    ----------
    pixels : float
        The width; halves are rounded up before the rule is applied.

    Returns
    -------
    float
        Even, never negative for a `pixels` that is not.

    References
    ----------
    .. [1] Baručić and Kybic, "Learning to segment from object sizes", ITAT, 2022.
    """
    return 2.0 * math.ceil(math.floor(pixels + 0.5) / 2)


def unit_name(text: str | None) -> str:
    """The one spelling this package uses for a unit: "pixel", "mm", "um", … ("µm", "micron" -> "um")."""
    plain = (text or "").strip()
    return _ALIASES.get(plain.lower(), plain.lower() if plain.lower() in _METRES else plain)


def parse_size(
    value: str | float,
    unit: str = "px",
    spacing: Sequence[float] = (1.0, 1.0),
    shape: Sequence[int] = (),
    located: bool = True,
    *,
    image_unit: str | None = None,
) -> ParsedSize:
    """Read a size that somebody typed, or say in a sentence why it cannot be one.

    Parameters
    ----------
    value : str or float
        A number, or text such as ``"12"``, ``"3.5 mm"``, ``"3,5"``. A unit in the text wins over `unit`.
    unit : str
        "px", or a length. Lengths are divided by the spacing; pixels must then be square.
    spacing : (y, x) floats
        Side of a pixel, in `image_unit`.
    shape : (H, W) ints
        Of the image; a size larger than its longer side is refused. Empty: not checked.
    located : bool
        Whether the size belongs to a place. Without a place, size 0 means "no object here".
    image_unit : str, optional
        What `spacing` is in. None: the same as `unit`.

    Returns
    -------
    ParsedSize
        Odd widths are accepted and rounded up to even, see `even_size`.

    Raises
    ------
    SegsizeError
        For text that is no number, NaN, a negative size, 0 at a place, one larger than the image, and for a
        length where the image has none or its pixels are not square.
    """
    entered, unit = _number(value, unit)
    if not math.isfinite(entered):
        raise SegsizeError(f"A size must be a number of pixels, got {value!r}; type one such as 12.")
    if entered < 0:
        raise SegsizeError(
            f"A size cannot be negative, got {entered:g}; type the width of the object, such as 12."
        )
    if entered == 0:
        if located:
            raise SegsizeError(
                "A size of 0 cannot have a place: give the object's width, or say that there is "
                '"No object here" for the whole image.'
            )
        return ParsedSize(size=0.0, entered=0.0, unit=_short(unit))
    pixels = entered if unit == PIXEL else entered / _side(unit, spacing, image_unit)
    size = max(
        even_size(pixels), 2.0
    )  # less than half a pixel is still an object, and the smallest one has size 2
    if len(shape) and size > even_size(max(shape)):
        given = f"{size:g} px" if unit == PIXEL else f"{entered:g} {unit} ({size:g} px)"
        raise SegsizeError(
            f"A size of {given} is larger than the image, {' x '.join(map(str, shape))} px (rows x columns): "
            "check the number and its unit."
        )
    return ParsedSize(size=size, entered=entered, unit=_short(unit))


def object_size_of(mask: NDArray[Any]) -> float:
    """Size of the object in a 2-D mask: twice the largest chessboard distance to the background.

    Outside the image is unknown, not background (the definition of `napari_segsize.ops`, on one array and
    without torch). 0 without foreground, ``2 * max(shape)`` without background.
    """
    foreground = np.asarray(mask).astype(bool)
    if foreground.ndim != 2:
        raise ValueError(f"mask: expected 2 dimensions, got {foreground.ndim}")
    if not foreground.any():
        return 0.0
    if foreground.all():
        return float(2 * max(foreground.shape))
    from scipy.ndimage import distance_transform_cdt

    # A ring of one pixel around the object decides every distance inside it, so a crop of that size will do.
    rows, columns = (np.flatnonzero(foreground.any(axis)) for axis in (1, 0))
    crop = foreground[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
    return 2.0 * float(distance_transform_cdt(crop, metric="chessboard").max())


def _number(value: str | float, unit: str) -> tuple[float, str]:
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None:
            raise SegsizeError(f"A size must be a number, such as 12 or 3.5 mm, got {value!r}.")
        value, unit = float(match[1].replace(",", ".")), match[2] or unit
    return float(value), unit_name(unit)


def _short(unit: str) -> str:
    return "px" if unit == PIXEL else unit


def _side(unit: str, spacing: Sequence[float], image_unit: str | None) -> float:
    """Side of one pixel in `unit`."""
    own = unit if image_unit is None else unit_name(image_unit)
    if own == PIXEL:
        raise SegsizeError(
            f"The size is in {unit} but the image has no physical pixel size: enter it in pixels, "
            "or give the image a spacing."
        )
    if own != unit and not (own in _METRES and unit in _METRES):
        raise SegsizeError(
            f"The size is in {unit!r} but the image is in {own!r}: enter it in {own} or in pixels."
        )
    y, x = (float(side) for side in tuple(spacing)[-2:])
    if not (math.isfinite(y) and math.isfinite(x) and y > 0 and x > 0):
        raise SegsizeError(f"The image's pixel size is {y:g} x {x:g}: enter the size in pixels.")
    if abs(y - x) > _SQUARE * max(y, x):
        raise SegsizeError(
            f"The image's pixels are not square ({y:g} x {x:g} {own}), so a size in {unit} has no single "
            "width in pixels: enter it in pixels."
        )
    scale = 1.0 if own == unit else _METRES[own] / _METRES[unit]
    side: float = (y + x) / 2 * scale
    return side
