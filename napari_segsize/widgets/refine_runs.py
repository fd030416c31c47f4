"""What refining does in the background: generators that open their own project, in their own thread."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.project.project import Project
from napari_segsize.widgets.loading import load_engine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_segsize.engine.alignment import Alignment
    from napari_segsize.engine.edge_config import AlignConfig, AlignmentConfig, EdgeConfig
    from napari_segsize.engine.events import Event
    from napari_segsize.engine.refine import Rough

__all__ = ["aligning", "finding_edges", "training_alignment", "training_edges"]


def aligning(
    folder: Path, plane: PlaneRef, config: AlignConfig, *, to_edges: bool
) -> Generator[Rough | Alignment, None, None]:
    """Align every outline of one plane: what there is first, then one object after the other.

    Raises
    ------
    SegsizeError
        Without an outline on the plane, or without an edge network if its edges are asked for.
    """
    load_engine()
    from napari_segsize.engine.refine import refine_plane, rough_objects

    with Project.open(folder) as project:
        rough = rough_objects(project.annotation(plane), project.image(plane.image).shape)
        if not rough.labels.any():
            raise SegsizeError(
                "There is no outline on this plane: paint a mask or accept a contour first, then align it."
            )
        network = None
        if to_edges:
            from napari_segsize.engine.edge_stages import current_edge_network

            network = current_edge_network(project)
        aligner = None
        if config.method == "learned":
            from napari_segsize.engine.alignment_stages import alignment_network

            aligner = alignment_network(project)[0]
        yield rough
        yield from refine_plane(project, rough, config, network=network, aligner=aligner)


def finding_edges(folder: Path, plane: PlaneRef) -> Generator[NDArray[np.float32], None, None]:
    """Thin edges of one plane, as the project's edge network sees them."""
    load_engine()
    from napari_segsize.engine.edge_stages import current_edge_network, edges_of_plane

    with Project.open(folder) as project:
        yield edges_of_plane(project, plane, current_edge_network(project))


def training_edges(
    folder: Path, config: EdgeConfig, *, resume: bool = False, threads: int = 0
) -> Generator[Event, None, Any]:
    """Teach the edge network the outlines of the project; with `resume`, go on with the stopped training."""
    load_engine()
    from napari_segsize.engine import device
    from napari_segsize.engine.edge_stages import train_edges

    device.leave_one_core(threads)
    with Project.open(folder) as project:
        yield from train_edges(project, config, resume=resume)


def training_alignment(
    folder: Path, config: AlignmentConfig, *, resume: bool = False, threads: int = 0
) -> Generator[Event, None, Any]:
    """Teach the network for rough outlines those of the project; with `resume`, go on with a stopped run."""
    load_engine()
    from napari_segsize.engine import device
    from napari_segsize.engine.alignment_stages import train_alignment

    device.leave_one_core(threads)
    with Project.open(folder) as project:
        yield from train_alignment(project, config, resume=resume)
