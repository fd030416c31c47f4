"""Level sets without a window: `segsize evolve --engine levelset`, holes and parts included."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_USER
from napari_segsize.engine.closeup import SIDE
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.outlines import mask_of

SHAPE = (70, 80)
CENTRE, RADIUS = (34.0, 40.0), 15.0


def disc(radius: float = RADIUS) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return (y - CENTRE[0]) ** 2 + (x - CENTRE[1]) ** 2 <= radius**2


@pytest.fixture
def folder(tmp_path):
    noise = np.random.default_rng(0).normal(scale=10, size=SHAPE)
    y, x = CENTRE
    clicks = ((y - RADIUS, x), (y, x - RADIUS), (y + RADIUS, x), (y, x + RADIUS))
    with Project.create(tmp_path / "p") as made:
        image = made.add_array("disc", (200.0 * disc() + noise).astype(np.float32))
        made.put_contour(PlaneRef(image.id, 0), object="a", points=clicks)
    return tmp_path / "p"


@pytest.fixture
def annulus(monkeypatch):
    """The network's evolution ends in a ring, whatever the picture."""
    from napari_segsize.engine import evolve

    whole = evolve.evolve_levelset_prompts

    def ring(*args, **options):
        found = whole(*args, **options)
        y, x = torch.meshgrid(*[torch.arange(float(SIDE)) - (SIDE - 1) / 2] * 2, indexing="ij")
        away = (y**2 + x**2).sqrt()
        found.states[-1] = torch.minimum(20.0 - away, away - 8.0)
        return found

    monkeypatch.setattr(evolve, "evolve_levelset_prompts", ring)


def segsize(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def accepted(folder):
    with Project.open(folder) as project:
        (said,) = project.annotations()
        (contour,) = said.contours
        return contour


def test_four_points_become_an_outline(folder, tmp_path):
    done = segsize("evolve", folder, "--engine", "levelset", "--accept", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1 of 1 object outlined" in done.stdout
    contour = accepted(folder)
    assert contour.source == "levelset"
    found = mask_of(contour.rings, SHAPE)
    assert (found & disc()).sum() / (found | disc()).sum() > 0.85
    labels = tifffile.imread(next((tmp_path / "out").iterdir()))
    assert np.array_equal(labels == 1, found)


def test_a_hole_is_kept(folder, annulus, tmp_path):
    done = segsize("evolve", folder, "--engine", "levelset", "--accept", "--json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (outlined,) = [line for line in lines if line.get("event") == "ContourDone"]
    assert len(outlined["rings"]) == 2
    assert outlined["phi"] == {"shape": [6, SIDE, SIDE], "dtype": "float32"}
    assert len([line for line in lines if line.get("event") == "ContourStep"]) == 6
    rings = accepted(folder).rings
    assert [len(ring) for ring in rings] == [len(ring) for ring in outlined["rings"]]
    labels = tifffile.imread(next((tmp_path / "out").iterdir()))
    assert labels[int(CENTRE[0]), int(CENTRE[1])] == 0
    assert labels[int(CENTRE[0]), int(CENTRE[1]) + 10] == 1


def test_more_steps_are_more_contours(folder):
    done = segsize("evolve", folder, "--engine", "levelset", "--levelset-steps", 2, "--json")
    steps = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("event") == "ContourStep"]
    assert [line["step"] for line in steps] == [0, 1, 2]


def test_a_step_that_is_not_stable_is_refused_with_the_bound(folder):
    done = segsize("evolve", folder, "--engine", "levelset", "--levelset-dt", 0.05)
    assert done.exit_code == EXIT_USER
    assert "levelset_dt: expected at most 0.02238" in " ".join(done.stderr.split())


def test_a_model_that_moves_polygons_is_not_taken(folder):
    done = segsize("evolve", folder, "--engine", "levelset", "--model", 3)
    assert done.exit_code == EXIT_USER
    assert "Model 3 is no level-set model of this project" in " ".join(done.stderr.split())
