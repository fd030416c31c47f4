"""The plane on screen: its image, read in the background, what is said about it, and napari's slider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_segsize.errors import SegsizeError
from napari_segsize.project.annotation import PlaneRef
from napari_segsize.widgets.canvas_words import CanvasWords
from napari_segsize.widgets.later import Later
from napari_segsize.widgets.layer_preview import LayerPreview
from napari_segsize.widgets.layer_tools import LayerTools
from napari_segsize.widgets.opening import Opening, Picture
from napari_segsize.widgets.placement import TRANSFORM_EVENTS, like, place
from napari_segsize.widgets.shelf import connected

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_segsize.project.annotation import PlaneAnnotation
    from napari_segsize.project.project import Project
    from napari_segsize.widgets.contour_state import Board
    from napari_segsize.widgets.desk import Launch

__all__ = ["LayerPlane"]

_SLIDER_MS = 60  # the slider has to rest this long before its plane counts as chosen


class LayerPlane(LayerTools, LayerPreview):
    """Puts one plane on screen, and follows the slider to another."""

    def __init__(self, viewer: Viewer, launch: Launch | None = None) -> None:
        super().__init__(viewer)
        words = CanvasWords(self._shelf)
        self._opening = Opening(self._on_opened, self.failed.emit, launch, words.say)
        self._awaited: tuple[Project, PlaneRef, str] | None = None  # and the tool that was in use
        self._slider = Later(_SLIDER_MS, self._on_slider_rested, restart=True)

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

    @property
    def opening(self) -> str:
        """What is being read before it is shown, for the status line; "" when nothing is."""
        return self._opening.words

    def settle(self) -> None:
        """Let the slice that the slider has just reached count as chosen."""
        self._slider.stop()
        self._on_slider_rested()

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

    # --- an image ---------------------------------------------------------------------------------------

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

    def _on_moved(self) -> None:
        """The user has changed the image's scale, say: what lies on it follows."""
        base = self._pictures.base
        for layer in (self.stamps.layer, self.masks.layer, self._shelf.get("cursor")):
            if base is not None and layer is not None and layer.ndim == base.ndim:
                place(layer, like(base))
        if base is not None:
            self.contours.place(base)
            self._draw_preview()

    # --- the slider -------------------------------------------------------------------------------------

    def _move_slider(self, number: int) -> None:
        base = self._pictures.base
        if base is None or base.ndim < 3 or self._slice_on_screen() == number:
            return
        place_in_world = base.data_to_world((number, 0, 0))[0]
        self.viewer.dims.set_point(self.viewer.dims.ndim - 3, place_in_world)

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
