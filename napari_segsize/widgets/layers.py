"""All that the dock widget does with napari's layers, in terms of planes, stamps and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pint
from numpy.typing import NDArray
from psygnal import Signal

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets.contour_layers import ContourLayers
from napari_segsize.widgets.cursor import Cursor
from napari_segsize.widgets.keys import Keys
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.loss_layers import LossLayers
from napari_segsize.widgets.masks import Masks, plane_of
from napari_segsize.widgets.opening import Opening, Picture
from napari_segsize.widgets.overlays import INSPECTED, Overlays
from napari_segsize.widgets.pictures import Pictures, layer_image
from napari_segsize.widgets.placement import TRANSFORM_EVENTS, like, place
from napari_segsize.widgets.refine_layers import RefineLayers
from napari_segsize.widgets.shelf import Shelf, connected, role_of
from napari_segsize.widgets.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari.layers import Labels, Layer
    from napari.viewer import Viewer

    from napari_segsize.engine.microscope import Inspection
    from napari_segsize.project.annotation import PlaneAnnotation
    from napari_segsize.project.project import Project
    from napari_segsize.widgets.contour_state import Board
    from napari_segsize.widgets.desk import Launch
    from napari_segsize.widgets.runs import LayerImage

__all__ = ["SegsizeLayers"]

_SLIDER_MS = 60  # the slider has to rest this long before its plane counts as chosen
_MODES = {"stamp": "add", "select": "select", "paint": "paint", "points": "add", "repair": "select"}
_PREVIEW_MS = 100  # at most ten redraws a second: more cost a training a multiple of its time


class SegsizeLayers:
    """The layers of one dock widget in one viewer.

    Parameters
    ----------
    viewer : napari Viewer
        Where the layers live. Nothing but public API is used, and no layer is subclassed.
    launch : Launch, optional
        Reads images in the background. None: they are read at once.
    """

    plane_changed = Signal(PlaneRef)
    """The user has moved the slider to another plane."""
    stamps_changed = Signal(PlaneRef, object, object)
    """(plane, stamps that are new or different, identities that are gone)"""
    mask_changed = Signal(PlaneRef, object)
    """(plane, (H, W) labels)"""
    side_changed = Signal(float)
    """The side of the square, in pixels: of the selected stamps, or of the next one."""
    tool_changed = Signal(str)
    """"stamp", "select", "paint" or "" when another layer or tool is in use."""
    refused = Signal(str)
    """A sentence for the user."""
    removed = Signal(str)
    """The user has removed the layer of this role."""
    inspectable_changed = Signal()
    """Layers that can be inspected have come, gone or been renamed."""
    pixels_changed = Signal(object)
    """The labels in this layer have changed, or another slice of them is shown."""

    opened = Signal()
    """An image that had to be read first is on screen now."""
    failed = Signal(str)
    """It cannot be shown: a sentence for the user."""
    unsaved = Signal()
    """The user is painting: what is on screen is not on disk."""

    def __init__(self, viewer: Viewer, launch: Launch | None = None) -> None:
        self.viewer = viewer
        # Pint reads its units when they are first asked for, and is not safe for threads then: napari's
        # status bar asks from another one, and the first image would fail with "'pixel' is not defined".
        pint.Unit("pixel")
        self._closed = False
        self._plane: PlaneRef | None = None
        self.project_file: Path | None = None  # whose plane is shown: its number means nothing elsewhere
        self._preview: tuple[PlaneRef, NDArray[np.float32]] | None = None
        self._shelf = Shelf(viewer)
        self._pictures = Pictures(self._shelf)
        self._opening = Opening(self._on_opened, self.failed.emit, launch)
        self._awaited: tuple[Project, PlaneRef, str] | None = None  # and the tool that was in use
        self.stamps = Stamps(self._shelf)
        self.masks = Masks(self._shelf, self._slice_on_screen)
        self._cursor = Cursor(self._shelf, self.stamps)
        self._overlays = Overlays(self._shelf)
        self.contours = ContourLayers(self._shelf)
        self.losses = LossLayers(self._shelf)
        self.refine = RefineLayers(self._shelf)
        self.keys = Keys()
        self._slider = Later(_SLIDER_MS, self._on_slider_rested, restart=True)
        self._drawing = Later(_PREVIEW_MS, self._draw_preview)
        self._connect()

    def _connect(self) -> None:
        self.viewer.dims.events.current_step.connect(self._on_step)
        self.viewer.layers.selection.events.active.connect(self._on_tool)
        for name in ("inserted", "removed", "reordered"):
            getattr(self.viewer.layers.events, name).connect(self._on_layers)
        self.stamps.changed.connect(self._on_stamps)
        self.stamps.side_changed.connect(self.side_changed.emit)
        self.stamps.mode_changed.connect(self._on_tool)
        self.stamps.refused.connect(self.refused.emit)
        self.masks.changed.connect(self._on_mask)
        self.masks.unsaved.connect(self.unsaved.emit)
        self.masks.mode_changed.connect(self._on_tool)
        self.contours.mode_changed.connect(self._on_tool)
        self._shelf.removed.connect(self._on_removed)
        self._on_layers()

    def close(self) -> None:
        """Save what is unsaved, unbind keys, stop listening. The layers stay for the user; the ghost goes."""
        if self._closed:
            return
        self._closed = True
        self._opening.close()
        self.masks.close()
        self._slider.close()
        self._drawing.close()
        self.keys.unbind()
        self.refine.keys.unbind()
        self._cursor.dispose()
        self.contours.dispose()
        self._shelf.dispose()
        self.viewer.dims.events.current_step.disconnect(self._on_step)
        self.viewer.layers.selection.events.active.disconnect(self._on_tool)
        for name in ("inserted", "removed", "reordered"):
            getattr(self.viewer.layers.events, name).disconnect(self._on_layers)

    # --- the plane on screen ------------------------------------------------------------------------------

    @property
    def plane(self) -> PlaneRef | None:
        """The plane that was shown last."""
        return self._plane

    def show_plane(self, project: Project, plane: PlaneRef) -> None:
        """Put a plane on screen with all that is said about its image; cheap when it is there already.

        An image that has to be read first comes later (`opened`, `failed`); until then nothing is shown.

        Raises
        ------
        SegsizeError
            When the image has vanished, has changed or cannot be read.
        """
        self.flush()
        self.project_file = project.file
        shown, base = self._pictures.record, self._pictures.base
        try:
            if shown is None or shown.id != plane.image or base is None:
                picture = self._opening.picture(project, plane)
                if picture is None:
                    self._wait_for(project, plane)
                    return
                self._show_image(project, plane, picture)
            elif self.stamps.layer is None or self.masks.layer is None:
                self._show_annotations(project, plane.image)
            said = project.annotation(plane)
        except SegsizeError:
            self.clear()  # never the old image under the new one's name
            raise
        self._plane = plane
        self._move_slider(plane.slice)
        self.stamps.update(plane.slice, said.stamps)
        self.masks.update(plane.slice, said.mask)

    def show_contours(self, board: Board, said: PlaneAnnotation | None) -> None:
        """Draw the objects of the plane on screen."""
        if board.plane is not None and board.plane == self._plane:
            self.contours.show(board, board.plane.slice, said)

    def settle(self) -> None:
        """Let the slice that the slider has just reached count as chosen."""
        self._slider.stop()
        self._on_slider_rested()

    def flush(self) -> None:
        """Hand over what is painted and not yet saved. Called before anything else happens."""
        self.masks.flush()

    @property
    def opening(self) -> str:
        """What is being read before it is shown, for the status line; "" when nothing is."""
        return self._opening.words

    def clear(self) -> None:
        """Take all our layers away: the project is closed."""
        self.wait_no_longer()
        self._remove_all()

    def wait_no_longer(self) -> None:
        """Let go of the image that is being read: its project is being left."""
        self._opening.cancel()
        self._awaited = None

    def _remove_all(self) -> None:
        self.masks.clear()
        self.stamps.clear()
        self.contours.clear()
        self._preview = None
        self._overlays.remove_prediction()
        self._overlays.remove_inspection()
        self.losses.remove()
        self._shelf.remove("cursor")
        self._pictures.clear()
        self._plane = self.project_file = None

    def image_layers_for_add(self) -> tuple[LayerImage, ...]:
        """Return the selected image layers of the user's as pixels for a project; say why one is left out."""
        from napari.layers import Image

        chosen = [layer for layer in self.viewer.layers if layer in self.viewer.layers.selection]
        found = []
        for layer in chosen:
            if isinstance(layer, Image) and role_of(layer) is None:
                try:
                    found.append(layer_image(layer))
                except SegsizeError as error:
                    self.refused.emit(str(error))
        return tuple(found)

    # --- the prediction -----------------------------------------------------------------------------------

    def show_preview(self, plane: PlaneRef, probabilities: NDArray[np.float32]) -> None:
        """Draw a prediction, at most ten times a second; the newest wins."""
        self._preview = (plane, probabilities)
        self._drawing.ask()

    def expect_preview(self) -> None:
        """Have an empty layer for the predictions to come, if there is none."""
        base, record, plane = self._pictures.base, self._pictures.record, self._plane
        if base is None or record is None or plane is None:
            return
        if not self._overlays.has_prediction:
            self._overlays.show_prediction(base, plane.slice, np.zeros(record.shape, np.float32))

    def remove_preview(self) -> None:
        """Take the prediction away."""
        self._preview = None
        self._drawing.stop()
        self._overlays.remove_prediction()

    @property
    def preview(self) -> tuple[PlaneRef, NDArray[np.float32]] | None:
        """The newest prediction, if it belongs to the plane on screen."""
        return self._preview if self._preview is not None and self._preview[0] == self._plane else None

    def _draw_preview(self) -> None:
        base, preview = self._pictures.base, self._preview
        if base is None or preview is None or self._pictures.record is None:
            return
        plane, probabilities = preview
        if plane.image == self._pictures.record.id:
            self._overlays.show_prediction(base, plane.slice, probabilities)
            self.inspectable_changed.emit()

    # --- tools --------------------------------------------------------------------------------------------

    @property
    def tool(self) -> str:
        """What a click would do, see `use`; "" for napari's own business."""
        active = self.viewer.layers.selection.active
        if active is not None and active is self.stamps.layer:
            return {"add": "stamp", "select": "select"}.get(self.stamps.mode, "")
        if active is not None and active is self.masks.layer:
            return "" if self.masks.mode in ("pan_zoom", "transform", "pick") else "paint"
        if active is not None and active is self.contours.layer:
            return {"add": "points", "select": "repair"}.get(self.contours.points.mode, "")
        return ""

    def use(self, tool: str, project: Project | None = None) -> None:
        """Take up "stamp", "select", "paint", "points" or "repair"; a removed layer comes back.

        "" moves the camera again.
        """
        self.flush()
        if project is not None and self._plane is not None:
            self.show_plane(project, self._plane)
        self._take_up(tool)

    def _take_up(self, tool: str) -> None:
        layer: Layer | None = self.masks.layer if tool == "paint" else self.stamps.layer
        if tool in ("points", "repair"):
            layer = self.contours.wake()
        elif not tool:
            layer = self.viewer.layers.selection.active if self.tool else layer
        if layer is None:
            return
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = _MODES.get(tool, "pan_zoom")
        self._on_tool()

    # --- inspection ---------------------------------------------------------------------------------------

    def inspectable(self) -> tuple[Labels, ...]:
        """Return the Labels layers that can be looked at: the user's and our mask."""
        from napari.layers import Labels

        return tuple(
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Labels) and role_of(layer) not in INSPECTED
        )

    def users_labels(self) -> tuple[Labels, ...]:
        """Return the Labels layers of the user's: masks that can be taken over."""
        return tuple(layer for layer in self.inspectable() if role_of(layer) is None)

    def labels_to_start_from(self) -> Labels | None:
        """Return the Labels layer that is meant: the active one, else the only one with a label on screen."""
        active = self.viewer.layers.selection.active
        layers = tuple(layer for layer in self.inspectable() if role_of(layer) in (None, "mask"))
        if active in layers:
            return next(layer for layer in layers if layer is active)
        picked = [layer for layer in layers if (self.plane_of(layer)[0] == layer.selected_label).any()]
        return picked[0] if len(picked) == 1 else None

    def take_mask(self, source: Layer, project: Project) -> None:
        """Take over labels of the user's as the mask of this plane, or of every plane of the stack.

        Raises
        ------
        SegsizeError
            For labels of another shape.
        """
        self.flush()
        if self._plane is not None:
            self.show_plane(project, self._plane)
            self.masks.take(source, self._plane.slice)

    def plane_of(self, layer: Layer) -> tuple[NDArray[Any], tuple[int, ...]]:
        """Return the plane of a layer that is on screen, and its indices in the layer."""
        return plane_of(layer, tuple(self.viewer.dims.point))

    @property
    def base(self) -> Layer | None:
        """The image on screen, on which predictions lie."""
        return self._pictures.base

    def show_inspection(
        self,
        source: Layer,
        index: tuple[int, ...],
        seen: Inspection,
        *,
        samples: int,
        wanted: Iterable[str],
        only: Sequence[str] = INSPECTED,
    ) -> None:
        """Draw the wanted parts of an inspection of one plane of `source`; `only` those that are new."""
        self._overlays.show_inspection(source, index, seen, samples=samples, wanted=set(wanted), only=only)

    def remove_inspection(self) -> None:
        """Take the drawings of an inspection away."""
        self._overlays.remove_inspection()

    # --- inside -------------------------------------------------------------------------------------------

    def _wait_for(self, project: Project, plane: PlaneRef) -> None:
        """Show nothing until the image has been read: never the old one under the new one's name."""
        tool = self.tool or ("" if self._awaited is None else self._awaited[2])
        self._remove_all()
        self._awaited = (project, plane, tool)

    def _on_opened(self) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return
        project, plane, tool = awaited
        try:
            self.show_plane(project, plane)
        except SegsizeError as error:
            self.failed.emit(str(error))
            return
        if tool and self.tool != tool:
            self._take_up(tool)
        self._drawing.ask()  # a prediction may have come meanwhile
        self.opened.emit()

    def _show_image(self, project: Project, plane: PlaneRef, picture: Picture) -> None:
        record = project.image(plane.image)
        if self._pictures.record is not None and self._pictures.record.id != record.id:
            self.remove_preview()
            self._overlays.remove_inspection()
            self.losses.remove()
        tool = self.tool
        self._shelf.remove("cursor")
        old = self._pictures.record
        if old is not None and (old.unit, old.planes > 1) != (record.unit, record.planes > 1):
            self.stamps.clear()  # layers of two units at a time would switch the user's scale bar off
            self.masks.clear()
            self.contours.clear()
        self._pictures.show(record, picture.volume, picture.limits)
        base = self._pictures.base
        assert base is not None
        connected(base.events, dict.fromkeys(TRANSFORM_EVENTS, self._on_moved))
        self._show_annotations(project, plane.image)
        self.viewer.reset_view()
        if tool and self.tool != tool:
            self._take_up(tool)

    def _show_annotations(self, project: Project, image: int) -> None:
        record, base = project.image(image), self._pictures.base
        assert base is not None
        said = [project.annotation(PlaneRef(image, number)) for number in range(record.planes)]
        masks = {each.plane.slice: each.mask for each in said if each.mask is not None}
        mask = self.masks.show(base, (record.planes, *record.shape), masks)
        stamps = self.stamps.show(base, record.shape, {each.plane.slice: each.stamps for each in said})
        self.keys.bind(stamps, mask, base if base.metadata.get("napari-segsize-adopted") is None else None)
        contours = {each.plane.slice: each.contours for each in said}
        self.contours.begin(base, (record.planes, *record.shape), contours)
        if self.viewer.layers.selection.active in (None, base):
            self.viewer.layers.selection.active = stamps

    def _move_slider(self, number: int) -> None:
        base = self._pictures.base
        if base is None or base.ndim < 3 or self._slice_on_screen() == number:
            return
        place_in_world = base.data_to_world((number, 0, 0))[0]
        self.viewer.dims.set_point(self.viewer.dims.ndim - 3, place_in_world)

    def _slice_on_screen(self) -> int:
        base = self._pictures.base
        if base is None or base.ndim < 3:
            return 0
        return plane_index(base, tuple(self.viewer.dims.point))

    def _on_step(self) -> None:
        self._slider.ask()

    def _on_slider_rested(self) -> None:
        record, plane = self._pictures.record, self._plane
        if record is None or plane is None or self._pictures.base is None:
            return
        number = self._slice_on_screen()
        if number != plane.slice:
            self.flush()
            self._plane = PlaneRef(record.id, number)
            self.plane_changed.emit(self._plane)

    def _on_moved(self) -> None:
        """The user has changed the image's scale, say: what lies on it follows."""
        base = self._pictures.base
        for layer in (self.stamps.layer, self.masks.layer, self._shelf.get("cursor")):
            if base is not None and layer is not None and layer.ndim == base.ndim:
                place(layer, like(base))
        if base is not None:
            self.contours.place(base)
            self._draw_preview()

    def _on_stamps(self, number: int, put: object, gone: object) -> None:
        if self._pictures.record is not None:
            self.stamps_changed.emit(PlaneRef(self._pictures.record.id, number), put, gone)

    def _on_mask(self, number: int, labels: NDArray[np.int32]) -> None:
        if self._pictures.record is not None:
            self.mask_changed.emit(PlaneRef(self._pictures.record.id, number), labels)

    def _on_removed(self, role: str) -> None:
        self.contours.on_removed(role)
        self.removed.emit(role)
        self._on_tool()

    def _on_tool(self) -> None:
        self.tool_changed.emit(self.tool)

    def _on_layers(self) -> None:
        for layer in self.inspectable():
            connected(
                layer.events,
                {"name": self._on_name, "set_data": self._on_pixels, "labels_update": self._on_pixels},
            )
        self.inspectable_changed.emit()

    def _on_name(self) -> None:
        self.inspectable_changed.emit()

    def _on_pixels(self, event: Any) -> None:
        self.pixels_changed.emit(event.source)


def plane_index(layer: Layer, point: tuple[float, ...]) -> int:
    """Return the slice of a stack that is shown at a point of the world."""
    at = float(np.asarray(layer.world_to_data(point[-layer.ndim :]))[0])
    return int(np.clip(round(at), 0, layer.data.shape[0] - 1))
