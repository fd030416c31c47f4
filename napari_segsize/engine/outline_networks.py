"""The networks that outline objects, and what differs between them when a project teaches one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import SegsizeError
from ..models.contour import ContourNet, build_contour_net
from ..models.levelset import LevelSetNet, build_levelset_net
from ..project import ModelRecord, Project
from ..project.trained import ModelKind, kind_of
from . import checkpoint
from .closeup import CloseUp
from .contour_config import ContourConfig
from .contour_runs import contour_entry, contour_training, score_contours
from .events import Event
from .levelset_config import LevelSetConfig
from .levelset_runs import levelset_entry, levelset_training, score_levelsets
from .loop import Run
from .starter import load_levelset_starter, load_starter

__all__ = ["LEVELSET", "POLYGON", "OutlineNetwork"]

Loaded = tuple[nn.Module, dict[str, Any]]
Look = Generator[Event, None, dict[str, float]]

_USED_DT = 0.005  # of a new level-set network: the published 5/256 wobbles around the outline


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineNetwork:
    """A kind of network that outlines objects.

    Attributes
    ----------
    stage : str
        Of its training.
    kind : ModelKind
        Of its models in a project.
    network, called, training_called : str
        What people call it, a model of it, and its training.
    config : type
        Settings of its training, with `model`: "starter" or the kind of a new network.
    ships : callable
        The network that ships, and its entry.
    load : callable
        One of a model file, and its entry.
    new : callable
        An untrained one for some settings, and its entry.
    settings : callable
        The settings under which a network of this entry is looked at.
    training : callable
        See `contour_training`.
    score : callable
        How good a network is on objects, under some settings, on a device.
    """

    stage: str
    kind: ModelKind
    network: str
    called: str
    training_called: str
    config: type[Any]
    ships: Callable[[], Loaded]
    load: Callable[[Path], Loaded]
    new: Callable[[Any], Loaded]
    settings: Callable[[Mapping[str, Any]], Any]
    training: Callable[..., Run]
    score: Callable[[nn.Module, Sequence[CloseUp], Any, torch.device], Look]

    def current(self, project: Project) -> tuple[nn.Module, dict[str, Any], ModelRecord | None]:
        """The network that a project uses, its entry, and its record; None if it is the one that ships."""
        record = project.current_model(self.kind)
        return (
            (*self.ships(), None)
            if record is None
            else (*self.load(project.models_folder / record.path), record)
        )

    def numbered(self, project: Project, number: int) -> nn.Module:
        """The network of that number in a project; 0 is the current one, or the one that ships.

        Raises
        ------
        SegsizeError
            If there is none of this kind, or its file cannot be read.
        """
        if number == 0:
            return self.current(project)[0]
        mine = {model.id: model for model in project.models() if kind_of(model.stage) == self.kind}
        if number not in mine:
            known = ", ".join(map(str, mine))
            way_out = f"there are {known}" if known else "fine-tune one first, or use 0"
            raise SegsizeError(f"Model {number} is no {self.called} of this project: {way_out}.")
        return self.load(project.models_folder / mine[number].path)[0]


def _new_polygon(config: ContourConfig) -> Loaded:
    network = build_contour_net(config.model, prompts=2 if config.prompts else 0, seed=config.seed)
    return network, contour_entry(config, config.model, network)


def _new_levelset(config: LevelSetConfig) -> Loaded:
    network = build_levelset_net(config.model, steps=config.iterations, dt=_USED_DT, seed=config.seed)
    return network, levelset_entry(config.model, network)


def _polygon_settings(entry: Mapping[str, Any]) -> ContourConfig:
    return ContourConfig(vertices=entry["vertices"], iterations=entry["iterations"], circle=entry["circle"])


def _levelset_settings(entry: Mapping[str, Any]) -> LevelSetConfig:
    return LevelSetConfig(iterations=entry["steps"])


def _score_polygons(network: nn.Module, items: Sequence[CloseUp], config: Any, device: torch.device) -> Look:
    assert isinstance(network, ContourNet)
    return score_contours(network, items, config, network.prompts, device)


def _score_levelsets(network: nn.Module, items: Sequence[CloseUp], config: Any, device: torch.device) -> Look:
    assert isinstance(network, LevelSetNet)
    return score_levelsets(network, items, config, device)


POLYGON = OutlineNetwork(
    stage="contour",
    kind="contours",
    network="contour network",
    called="contour model",
    training_called="contour training",
    config=ContourConfig,
    ships=load_starter,
    load=checkpoint.load_contour_network,
    new=_new_polygon,
    settings=_polygon_settings,
    training=contour_training,
    score=_score_polygons,
)
LEVELSET = OutlineNetwork(
    stage="levelset",
    kind="levelsets",
    network="level-set network",
    called="level-set model",
    training_called="level-set training",
    config=LevelSetConfig,
    ships=load_levelset_starter,
    load=checkpoint.load_levelset_network,
    new=_new_levelset,
    settings=_levelset_settings,
    training=levelset_training,
    score=_score_levelsets,
)
