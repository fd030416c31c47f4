"""All that the dock widget does with napari's layers, in terms of planes, stamps and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets.layer_plane import LayerPlane
from napari_segsize.widgets.masks import plane_of
from napari_segsize.widgets.overlays import INSPECTED
from napari_segsize.widgets.pictures import layer_image
from napari_segsize.widgets.shelf import connected, role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Labels, Layer
    from napari.viewer import Viewer

    from napari_segsize.engine.microscope import Inspection
    from napari_segsize.project.project import Project
    from napari_segsize.widgets.desk import Launch
    from napari_segsize.widgets.runs import LayerImage

__all__ = ["SegsizeLayers"]


class SegsizeLayers(LayerPlane):
    """The layers of one dock widget in one viewer.

    Parameters
    ----------
    viewer : napari Viewer
        Where the layers live. Nothing but public API is used, and no layer is subclassed.
    launch : Launch, optional
        Reads images in the background. None: they are read at once.
    """

    def __init__(self, viewer: Viewer, launch: Launch | None = None) -> None:
        super().__init__(viewer, launch)
        self._closed = False
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

    def use(self, tool: str, project: Project | None = None) -> None:
        """Take up "stamp", "select", "paint", "points" or "repair"; a removed layer comes back.

        "" moves the camera again.
        """
        self.flush()
        if project is not None and self._plane is not None:
            self.show_plane(project, self._plane)
        self._take_up(tool)

    # --- layers of the user's ---------------------------------------------------------------------------

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

    # --- inspection -------------------------------------------------------------------------------------

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

    # --- what the layers tell ---------------------------------------------------------------------------

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
