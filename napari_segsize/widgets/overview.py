"""What the pages show of a project; and the small part of it that one annotation changes."""

from __future__ import annotations

import math
import time
from typing import Any

from napari_segsize.project.annotation import ModelRecord, PlaneAnnotation, PlaneRef
from napari_segsize.project.project import Project
from napari_segsize.project.trained import kind_of
from napari_segsize.widgets.state import State
from napari_segsize.widgets.tally import ImageCounts, counted

__all__ = ["after_annotation", "overview"]


def overview(project: Project, state: State, plane: PlaneRef | None) -> dict[str, Any]:
    """Fields of the next `State`; `plane` is the one to show, or the first one when it is gone."""
    revision = project.revision()
    images = project.images()
    if plane is None or all(image.id != plane.image for image in images):
        plane = project.next_plane(None)
    model, aligner = project.current_model(), project.current_model("alignment")
    return {
        "images": images,
        "missing": frozenset(image.id for image in project.missing()),
        "counts": project.counts(),
        "revision": revision,
        "model": "" if model is None else _describe(model),
        "aligner": "" if aligner is None else _taught(aligner),
        "loss": _last_loss(project),
        "plane": plane,
        "annotation": None if plane is None else project.annotation(plane),
        "can_undo": project.can_undo,
        "can_redo": project.can_redo,
        "preview": state.preview if state.preview is not None and state.preview.plane == plane else None,
    }


def after_annotation(
    project: Project, state: State, annotation: PlaneAnnotation | None = None
) -> dict[str, Any]:
    """Fields that change when something was said about the plane on screen, and nothing else has.

    `annotation`: what is said now, if it is known; reading hundreds of outlines takes its time.
    """
    assert state.plane is not None
    image = state.plane.image
    annotation = annotation or project.annotation(state.plane)
    counts = counted(state.annotation, state.image_counts.get(image, ImageCounts()), -1)
    return {
        "counts": project.counts(),
        "image_counts": {**state.image_counts, image: counted(annotation, counts)},
        "revision": project.revision(),
        "annotation": annotation,
        "can_undo": project.can_undo,
        "can_redo": project.can_redo,
    }


def _last_loss(project: Project) -> str:
    for model in reversed(project.models()):
        loss = model.config.get("loss") if kind_of(model.stage) == "pixels" else None
        if isinstance(loss, str) and loss:
            return loss
    return ""


def _taught(model: ModelRecord) -> str:
    back = model.metrics.get("back", math.nan)
    known = "" if math.isnan(back) else f"; {100 * back:.0f} % of held-out displacements brought back"
    return f"model {model.id}, taught on {_when(model)}{known}"


def _when(model: ModelRecord) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(model.created))


def _describe(model: ModelRecord) -> str:
    what = "from masks and sizes" if model.stage == "finetune" else "from masks"
    iou = model.metrics.get("iou", math.nan)
    return f"model {model.id}, {what}, {_when(model)}" + ("" if math.isnan(iou) else f", IoU {iou:.3f}")
