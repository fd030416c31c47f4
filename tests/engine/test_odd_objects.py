"""Objects of odd sizes, places, colours and scales become contours, with the network and without."""

import numpy as np
import pytest
import torch
from shapely import Polygon

from napari_segsize.engine import evolve
from napari_segsize.engine.closeup import outline_points
from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.events import ContourDone
from napari_segsize.engine.evolve import Evolver
from napari_segsize.engine.prompt import Prompt
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of


def ellipse(shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    y, x = np.indices(shape)
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


OBJECTS = {
    "on the left border": ellipse((90, 100), (45, 2), (20, 15)),
    "in a corner": ellipse((90, 100), (0, 0), (22, 25)),
    "nearly all of the image": ellipse((60, 60), (29.5, 29.5), (40, 40)),
    "5 px": ellipse((50, 60), (20, 30), (1, 1)),
    "1 px high": ellipse((50, 60), (20, 30), (0.5, 8)),
    "2000 px wide": ellipse((2100, 2200), (1050, 1100), (900, 1000)),
}


def outlined(
    folder, mask: np.ndarray, config: EvolveConfig, channels: int = 1, rgb: bool = False, **changes
) -> ContourDone:
    rng, kind = np.random.default_rng(0), "image"
    signal = 150.0 * mask + rng.normal(scale=8, size=mask.shape)
    pixels = signal.astype(np.float32)
    if channels > 1:
        pixels, kind = np.stack([pixels * (1 - 0.2 * k) for k in range(channels)]), "channels"
    if rgb:
        pixels, kind = np.moveaxis(pixels, 0, -1).clip(0, 255).astype(np.uint8), "image"
    points = outline_points(torch.from_numpy(mask)[None, None])[0, 0]
    with Project.create(folder) as project:
        image = project.add_array("odd", pixels, kind=kind, rgb=rgb, **changes)
        plane = PlaneRef(image.id)
        clicks = tuple((float(y), float(x)) for y, x in points)
        (found,) = Evolver(project, config).many([Prompt(plane=plane, object="a", points=clicks)])
    assert isinstance(found, ContourDone)
    return found


def overlap(found: ContourDone, mask: np.ndarray) -> float:
    inside = mask_of((found.contours[-1],), mask.shape)
    return float((inside & mask).sum() / (inside | mask).sum())


@pytest.mark.parametrize("engine", ["network", "snake"])
@pytest.mark.parametrize("name", OBJECTS)
def test_odd_sizes_and_places(tmp_path, name, engine):
    mask = OBJECTS[name]
    found = outlined(tmp_path / "project", mask, EvolveConfig(engine=engine, device="cpu"))
    last = found.contours[-1]
    assert np.isfinite(last).all()
    assert last.min() >= -0.5 - 1e-3
    assert (last.max(0) <= np.array(mask.shape) - 0.5 + 1e-3).all()
    assert overlap(found, mask) > (0.4 if mask.sum() < 30 else 0.7)


@pytest.mark.parametrize("engine", ["network", "snake"])
@pytest.mark.parametrize(("channels", "rgb"), [(2, False), (3, True), (5, False)])
def test_colours_and_channels(tmp_path, channels, rgb, engine):
    mask = ellipse((90, 100), (40, 50), (20, 28))
    found = outlined(tmp_path / "project", mask, EvolveConfig(engine=engine, device="cpu"), channels, rgb)
    assert overlap(found, mask) > 0.85


def test_an_anisotropic_scale_changes_nothing_in_pixels(tmp_path):
    mask, config = ellipse((90, 100), (40, 50), (12, 28)), EvolveConfig(device="cpu")
    plain = outlined(tmp_path / "plain", mask, config)
    scaled = outlined(tmp_path / "scaled", mask, config, spacing=(2.5, 0.5), unit="um")
    assert np.allclose(plain.contours[-1], scaled.contours[-1], atol=1e-4)


TURN = torch.linspace(0, 2 * torch.pi, 33)[:-1]
BOW_TIE = torch.stack([45 + 8 * torch.sin(2 * TURN), 50 + 12 * torch.cos(TURN)], dim=-1)
KNOT = torch.stack([45 + 20 * torch.sin(TURN), 50 + 28 * torch.cos(TURN)], dim=-1)[
    torch.randperm(32, generator=torch.Generator().manual_seed(163))
]
"""Its largest part, with vertices at even distances, crosses itself once more."""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (BOW_TIE, "crossed itself"),
        (KNOT, "crossed itself"),
        (torch.full((32, 2), 45.0), "collapsed"),
    ],
)
def test_a_contour_that_crosses_itself_or_collapses_is_mended_and_this_is_told(
    tmp_path, monkeypatch, spoil, said
):
    real = evolve.evolve_prompts

    def spoiled(*arguments, **options):
        found = real(*arguments, **options)
        found.contours[-1] = spoil.expand_as(found.contours[-1])
        return found

    monkeypatch.setattr(evolve, "evolve_prompts", spoiled)
    mask = ellipse((90, 100), (45, 50), (20, 28))
    found = outlined(tmp_path / "project", mask, EvolveConfig(device="cpu"))
    assert said in found.notice
    last = Polygon(found.contours[-1])
    assert last.is_valid
    assert last.area > 20
    assert len(found.contours[-1]) == len(found.contours[0])
    assert (said == "collapsed") == np.array_equal(found.contours[-1], found.contours[0])
