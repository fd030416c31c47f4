"""What the microscope keeps of a loss beside its value and gradient: maps, places, dots and sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One dot of a persistence diagram, and the pixels that it hangs on.

    Attributes
    ----------
    dimension : int
        0 for a part, 1 for a hole.
    birth, death : float
        Probabilities; the part that never dies has death 0.
    birth_pixel : tuple of int
        Where it is born.
    death_pixel : tuple of int or None
        Where it dies; None for the part that never does.
    wanted : bool
        Whether it is matched to a part or hole of the target, or should vanish.
    cost : float
        What it adds to the loss of its patch.
    """

    dimension: int
    birth: float
    death: float
    birth_pixel: tuple[int, ...]
    death_pixel: tuple[int, ...] | None
    wanted: bool
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to see.

    Attributes
    ----------
    maps : mapping of str to Tensor
        ``(*spatial)``, or ``(steps, *spatial)`` where there is one a step.
    marks : mapping of str to array
        Places ``(M, D)`` in pixels. ``disks`` have their radius as a last column, ``squares`` their side
        (first what is found, then what is wanted), ``vertices`` what each costs; ``normals``, ``gaps``,
        ``reach``, ``motion``, ``wanted motion``, ``zero line`` and ``true outline`` are strokes, whose last
        two columns are the way from the place, ``(dy, dx)`` (for normals both ways).
    dots : tuple of Dot
        The persistence diagram.
    notices : tuple of str
        What a reader of the value should know.
    """

    maps: dict[str, Tensor] = field(default_factory=dict)
    marks: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    dots: tuple[Dot, ...] = ()
    notices: tuple[str, ...] = ()
