"""The classical contour on an edge map instead of the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segsize.engine.contour_config import EvolveConfig
from napari_segsize.engine.edge_config import EdgeConfig
from napari_segsize.engine.edge_stages import train_edges
from napari_segsize.engine.events import ContourDone
from napari_segsize.engine.evolve import Evolver
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.snake import snake
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project


def away(side: int = 64) -> torch.Tensor:
    way = torch.arange(side, dtype=torch.float32) - side // 2
    return (way[:, None] ** 2 + way**2).sqrt()


def edges(radius: float) -> torch.Tensor:
    return torch.exp(-((away() - radius) ** 2) / 2)


def prompt(radius: float = 16.0) -> Prompt:
    points = ((32 - radius, 32.0), (32.0, 32 - radius), (32 + radius, 32.0), (32.0, 32 + radius))
    return Prompt(plane=PlaneRef(1), object="a", points=points)


def radius(contour: torch.Tensor) -> float:
    return float((contour - 32).norm(dim=-1).mean())


def test_the_edges_decide_where_the_contour_comes_to_rest():
    image = (away() < 15).float()[None]
    plain = list(snake(image, prompt()))[-1]
    inner = list(snake(image, prompt(), edges=edges(12.0)))[-1]
    assert radius(plain) > 13.5
    assert radius(inner) == pytest.approx(12, abs=1)


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_without_any_edge_the_image_is_followed(value):
    image = (away() < 14).float()[None]
    plain = list(snake(image, prompt()))[-1]
    assert torch.equal(list(snake(image, prompt(), edges=torch.full((64, 64), value)))[-1], plain)


def test_the_project_s_edge_network_is_asked(tmp_path):
    config = EvolveConfig(engine="snake", snake_follows="edges", device="cpu")
    with Project.create(tmp_path / "cells") as opened:
        plane = PlaneRef(opened.add_array("cell", (away() < 14).numpy().astype(np.float32), split="train").id)
        with pytest.raises(SegsizeError, match="no edge network yet"):
            Evolver(opened, config)
        opened.put_mask(plane, (away() < 14).numpy())
        list(train_edges(opened, EdgeConfig(steps=1, batch_size=1, patch=32, device="cpu")))
        evolver = Evolver(opened, config)
        asked = Prompt(plane=plane, object="a", points=prompt().points)
        (found,) = evolver.many([asked])
        assert isinstance(found, ContourDone)
        assert len(evolver._edge_maps) == 1
