"""Files that hold a network, and everything needed to go on training it.

A file is written beside its final place, flushed to disk and moved over it, so a crash or a full disk leaves
the old file whole. Files are read with ``weights_only=True``: opening a stranger's model runs no code.
"""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..errors import SegsizeError
from ..models.alignment import AlignmentNet, build_alignment_net
from ..models.contour import ContourNet, build_contour_net
from ..models.edges import EdgeNet, build_edge_net
from ..models.levelset import LevelSetNet, build_levelset_net
from ..models.segmentation import build_network
from ..models.unet import SegmentationNet

__all__ = [
    "load", "load_alignment_network", "load_contour_network", "load_edge_network", "load_levelset_network",
    "load_network", "network_entry", "save",
]  # fmt: skip

NetworkT = TypeVar("NetworkT", bound=nn.Module)

FORMAT = 1
_UNREADABLE = (
    RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, LookupError, struct.error,
    ValueError, TypeError, AttributeError, AssertionError,
)  # fmt: skip
"""What torch makes of a file that is no checkpoint: its reader of old files trips over anything."""


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises
    ------
    SegsizeError
        If the folder cannot be written or the disk is full; an older file stays as it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save({"format": FORMAT, **content}, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise SegsizeError(
            f"{path.name}: cannot be written ({error}). Free some space or make {path.parent} writable; "
            "the previous file is untouched."
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    SegsizeError
        If the file is missing, truncated, not ours, or newer than this program.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SegsizeError(f"{path}: no such model file. Train again, or bring the file back.") from error
    except _UNREADABLE as error:
        raise SegsizeError(
            f"{path.name}: expected a complete model file, but it cannot be read. Delete it and train again."
        ) from error
    if not isinstance(content, dict) or "format" not in content:
        raise SegsizeError(f"{path.name}: expected a napari-segsize model, got another kind of file.")
    if content["format"] > FORMAT:
        raise SegsizeError(
            f"{path.name}: written by a newer napari-segsize (format {content['format']}, this one reads "
            f"{FORMAT}). Update napari-segsize."
        )
    return content


def network_entry(
    kind: str, channels: int, normalise: str, patch: int, *, ki_levels: int | None = None
) -> dict[str, Any]:
    """What must be known to build the network again and to feed it; `ki_levels` of a KiU-Net alone."""
    entry = {"kind": kind, "channels": channels, "normalise": normalise, "patch": patch}
    return {**entry, "ki_levels": ki_levels} if kind == "kiunet" and ki_levels is not None else entry


def load_network(path: Path) -> tuple[SegmentationNet, dict[str, Any]]:
    """The network of a model file, in evaluation mode, and its `network_entry`."""

    def build(entry: dict[str, Any]) -> SegmentationNet:
        more = {"ki_levels": entry["ki_levels"]} if "ki_levels" in entry else {}
        return build_network(entry["kind"], channels=entry["channels"], **more)

    return _rebuilt(path, build, "network")


def load_contour_network(path: Path) -> tuple[ContourNet, dict[str, Any]]:
    """The contour network of a model file, in evaluation mode, and its entry."""

    def build(entry: dict[str, Any]) -> ContourNet:
        return build_contour_net(entry["kind"], channels=entry["channels"], prompts=entry["prompts"])

    return _rebuilt(path, build, "contour network")


def load_levelset_network(path: Path) -> tuple[LevelSetNet, dict[str, Any]]:
    """The level-set network of a model file, in evaluation mode, and its entry."""

    def build(entry: dict[str, Any]) -> LevelSetNet:
        return build_levelset_net(
            entry["kind"],
            channels=entry["channels"],
            prompts=entry["prompts"],
            steps=entry["steps"],
            dt=entry["dt"],
        )

    return _rebuilt(path, build, "level-set network")


def load_edge_network(path: Path) -> tuple[EdgeNet, dict[str, Any]]:
    """The edge network of a model file, in evaluation mode, and its entry."""
    return _rebuilt(
        path, lambda entry: build_edge_net(entry["kind"], channels=entry["channels"]), "edge network"
    )


def load_alignment_network(path: Path) -> tuple[AlignmentNet, dict[str, Any]]:
    """The network for rough outlines of a model file, in evaluation mode, and its entry."""
    return _rebuilt(path, lambda entry: build_alignment_net(entry["features"]), "network for rough outlines")


def _rebuilt(
    path: Path, build: Callable[[dict[str, Any]], NetworkT], called: str
) -> tuple[NetworkT, dict[str, Any]]:
    """Build the network that a file names, and give it the file's weights."""
    content = load(path)
    try:
        entry = content["network"]
        network = build(entry)
        network.load_state_dict(content["weights"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise SegsizeError(
            f"{path.name}: the file does not hold the {called} it names. Delete it and train again."
        ) from error
    nn.Module.eval(network)
    return network, entry
