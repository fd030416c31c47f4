"""The networks that ship with the package: safetensors files, whose headers say how to build them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import SegsizeError
from ..models.alignment import AlignmentNet, build_alignment_net
from ..models.contour import ContourNet, build_contour_net
from ..models.levelset import LevelSetNet, build_levelset_net

__all__ = ["load_alignment_starter", "load_levelset_starter", "load_starter", "save_starter", "starter_file"]

FORMAT = 1
NetT = TypeVar("NetT", bound=nn.Module)


def starter_file(name: str = "contour_starter") -> Path:
    """Where a network that ships lies."""
    with as_file(files("napari_segsize") / "data" / f"{name}.safetensors") as path:
        return Path(path)


def save_starter(
    path: Path, network: nn.Module, entry: Mapping[str, Any], facts: Mapping[str, str] | None = None
) -> None:
    """Write a network in half precision, which is exact enough for a start and half the download."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    header = {"format": str(FORMAT), "network": json.dumps(dict(entry)), **(facts or {})}
    save_file(weights, path, metadata=header)


def load_starter(path: Path | None = None) -> tuple[ContourNet, dict[str, Any]]:
    """The contour network that ships, or another file of its kind, in evaluation mode, and its entry.

    Raises
    ------
    SegsizeError
        If the file is missing, damaged, or of another version.
    """
    return _loaded(
        path or starter_file(),
        lambda entry: build_contour_net(entry["kind"], channels=entry["channels"], prompts=entry["prompts"]),
    )


def load_levelset_starter(path: Path | None = None) -> tuple[LevelSetNet, dict[str, Any]]:
    """The level-set network that ships, or another file of its kind, in evaluation mode, and its entry.

    Raises
    ------
    SegsizeError
        If the file is missing, damaged, or of another version.
    """

    def build(entry: Mapping[str, Any]) -> LevelSetNet:
        given = {name: entry[name] for name in ("channels", "prompts", "steps", "dt")}
        return build_levelset_net(entry["kind"], **given)

    return _loaded(path or starter_file("levelset_starter"), build)


def load_alignment_starter(path: Path | None = None) -> tuple[AlignmentNet, dict[str, Any]]:
    """The network for rough outlines that ships, or another file of its kind, and its entry.

    Raises
    ------
    SegsizeError
        If the file is missing, damaged, or of another version.
    """
    return _loaded(
        path or starter_file("alignment_starter"), lambda entry: build_alignment_net(entry["features"])
    )


def _loaded(path: Path, build: Callable[[Mapping[str, Any]], NetT]) -> tuple[NetT, dict[str, Any]]:
    """The network of a file, built from its entry, in evaluation mode, and the entry."""
    header, weights = _read(path)
    try:
        entry: dict[str, Any] = json.loads(header["network"])
        network = build(entry)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError, ValueError) as error:
        raise _odd(path) from error
    nn.Module.eval(network)
    return network, entry


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118  no mapping
    except (OSError, SafetensorError) as error:
        raise SegsizeError(
            f"{path.name}: expected a complete network file, but it cannot be read. Install napari-segsize "
            "again."
        ) from error
    if header.get("format") != str(FORMAT):
        raise SegsizeError(
            f"{path.name}: expected network format {FORMAT}, got {header.get('format', 'none')}: it belongs "
            "to another version of napari-segsize. Use the file that came with this one."
        )
    return header, weights


def _odd(path: Path) -> SegsizeError:
    return SegsizeError(
        f"{path.name}: the file does not hold the network it names. Install napari-segsize again."
    )
