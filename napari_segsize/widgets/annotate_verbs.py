"""The verbs that annotate, each on disk when it returns, and those that lead from plane to plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_segsize.errors import SegsizeError
from napari_segsize.widgets.overview import after_annotation
from napari_segsize.widgets.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_segsize.project.annotation import Change, PlaneAnnotation, PlaneRef, SizeStamp

__all__ = ["AnnotateVerbs"]


class AnnotateVerbs(Session):
    """What the page Annotate can ask for."""

    # --- saying

    def put_stamp(
        self,
        size: float | str,
        *,
        centre: tuple[float, float] | None = None,
        object: str | None = None,
        unit: str = "px",
        plane: PlaneRef | None = None,
    ) -> SizeStamp | None:
        """Store the size of an object on the current plane; size 0 without a centre means there is none.

        `object` replaces the stamp of that identity (moved, resized). `size` may be text: "12", "3.5 mm".
        """
        with self.reporting():
            target = plane or self._plane()
            stamp = self.opened().put_stamp(target, size, centre=centre, object=object, unit=unit)
            self.annotated(target, f"Saved: size {stamp.size:g} px.")
            return stamp
        return None

    def sync_stamps(
        self, plane: PlaneRef, stamps: Sequence[SizeStamp], *, base: Sequence[SizeStamp] | None = None
    ) -> bool:
        """Make the plane's stamps equal to these, in one transaction: what the Points layer shows.

        `base`: the stamps from which these were made, by default those of the plane on screen. What somebody
        else has said since stays.
        """
        with self.reporting():
            if base is None and plane == self.state.plane:
                base = self._stamps(plane)
            self.opened().sync_stamps(plane, stamps, base=base)
            count = len(stamps)
            self.annotated(
                plane, f"Saved: {count} size{'' if count == 1 else 's'} on this image.", shown=tuple(stamps)
            )
            return True
        return False

    def put_mask(self, plane: PlaneRef, labels: NDArray[np.integer[Any]]) -> bool:
        """Store the painted mask; one without any foreground takes the plane's mask away."""
        with self.reporting():
            project = self.opened()
            project.put_mask(plane, labels)
            message = "Saved: the mask." if labels.any() else "Saved: no mask on this image."
            self.annotated(plane, message, shown=self._stamps(plane))
            return True
        return False

    def put_no_object(self) -> bool:
        """Say that the current plane holds no object."""
        with self.reporting():
            plane = self._plane()
            self.opened().put_no_object(plane)
            self.annotated(plane, "Saved: no object here.")
            return True
        return False

    def skip(self) -> bool:
        """Leave the current plane out, and go to the next one without a label."""
        with self.reporting():
            plane = self._plane()
            self.opened().put_skip(plane)
            self.annotated(plane, "Saved: skipped.")
            self.next_unlabelled()
            return True
        return False

    def delete(self, what: str) -> bool:
        """Take back a stamp (its `object`), or "mask", "no_object", "skip" of the current plane."""
        with self.reporting():
            plane = self._plane()
            self.opened().delete(plane, what)
            self.annotated(plane, "Saved: deleted.")
            return True
        return False

    def undo(self) -> Change | None:
        """Take the last change back, and go to its plane."""
        with self.reporting():
            return self._turned(self.opened().undo(), "There is nothing to undo.")
        return None

    def redo(self) -> Change | None:
        """Make the change again that was taken back last, and go to its plane."""
        with self.reporting():
            return self._turned(self.opened().redo(), "There is nothing to redo.")
        return None

    def annotated(
        self,
        plane: PlaneRef,
        message: str,
        *,
        shown: tuple[SizeStamp, ...] | None = None,
        said: PlaneAnnotation | None = None,
    ) -> None:
        """Tell what was stored.

        `shown`: the stamps the layers show, when they need no new drawing. `said`: what is said about the
        plane now, if nobody else has said anything meanwhile.
        """
        project = self.opened()
        alone = project.revision() <= self.state.revision + 1  # nobody else has said anything meanwhile
        if not alone or plane != self.state.plane:
            self.reload(message=message)
            self._desk.survey(project.folder)
            return
        changes = after_annotation(project, self.state, said)
        echo = shown is not None and _as_drawn(shown) == _as_drawn(changes["annotation"].stamps)
        redraw = self.state.redraw + (not echo)
        self.update(error="", message=message, **changes, redraw=redraw)

    # --- going from plane to plane

    def show(self, plane: PlaneRef) -> None:
        """Put a plane on screen."""
        with self.reporting():
            project = self.opened()
            image = project.image(plane.image)
            if not 0 <= plane.slice < image.planes:
                raise SegsizeError(f"{image.name} has {image.planes} slices, so no slice {plane.slice + 1}.")
            self._watch.plane = plane
            self.update(
                plane=plane,
                annotation=project.annotation(plane),
                preview=None,
                redraw=self.state.redraw + 1,
                error="",
            )

    def next(self) -> None:
        """Go to the next plane."""
        self._go(1, unlabelled=False)

    def previous(self) -> None:
        """Go to the previous plane."""
        self._go(-1, unlabelled=False)

    def next_unlabelled(self) -> None:
        """Go to the next plane about which nothing has been said."""
        self._go(1, unlabelled=True)

    # --- inside

    def _stamps(self, plane: PlaneRef) -> tuple[SizeStamp, ...]:
        said = self.state.annotation
        return said.stamps if said is not None and said.plane == plane else ()

    def _go(self, step: int, *, unlabelled: bool) -> None:
        with self.reporting():
            project = self.opened()
            plane = project.next_plane(self.state.plane, unlabelled=unlabelled, step=step)
            if plane is not None:
                self.show(plane)
                self.update(error="", message="")
            elif unlabelled:
                self.update(error="", message="Every image from here on has a label: nothing is left to do.")
            else:
                self.update(error="", message=f"This is the {'last' if step > 0 else 'first'} image.")

    def _turned(self, change: Change | None, nothing: str) -> Change | None:
        if change is not None and change.plane is not None:
            self._watch.plane = change.plane
        text = nothing if change is None else f"{change.description}."
        self.reload(message=text)
        if self.project is not None:
            self._desk.survey(self.project.folder)
        return change


def _as_drawn(stamps: Iterable[SizeStamp]) -> dict[str, tuple[float, tuple[float, float] | None]]:
    return {stamp.object: (stamp.size, stamp.centre) for stamp in stamps}
