"""The verbs about what is in the project: its images, their groups and splits, tables of sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_segsize.widgets import project_runs, runs
from napari_segsize.widgets.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_segsize.project.annotation import ImageRecord, Split

__all__ = ["ProjectVerbs"]


class ProjectVerbs(Session):
    """What the page Project can ask for."""

    # --- images

    def add_files(
        self, paths: Iterable[Path | str], *, group: runs.Group = None, split: Split | None = None
    ) -> None:
        """Add images, stacks, volumes or whole folders; in the background.

        Without a `split` an image goes where the others of its group are, else to training.
        """
        self._add([Path(path) for path in paths], group=group, split=split)

    def add_layers(self, layers: Sequence[runs.LayerImage], *, split: Split | None = None) -> None:
        """Add the pixels of layers; in the background."""
        if not layers:
            self.fail("No image layer is selected: select one or more in the layer list, then try again.")
            return
        self._add(layers, group=None, split=split)

    def remove_images(self, ids: Iterable[int]) -> bool:
        """Take images out of the project; their files and annotations stay, and come back with them."""
        with self.reporting():
            project, count = self.opened(), 0
            for image_id in ids:
                project.remove_image(image_id)
                count += 1
            self.reload(message=f"Took {count} image{'' if count == 1 else 's'} out of the project.")
            return True
        return False

    def relink(self, image_id: int, path: Path | str, *, force: bool = False) -> None:
        """Say where an image has gone; in the background. The content must be the same, unless `force`."""
        with self.reporting():
            folder = self.opened().folder
            self._desk.begin("relink", project_runs.relinking(folder, image_id, Path(path), force=force))

    def relink_folder(self, folder: Path | str) -> None:
        """Look for all missing images in a folder, by name and content; in the background."""
        with self.reporting():
            self._desk.begin("relink", project_runs.searching(self.opened().folder, Path(folder)))

    def accept_changed(self, ids: Iterable[int]) -> None:
        """Use image files that have changed as they are now; in the background. What was said stays."""
        with self.reporting():
            self._desk.begin("accept", project_runs.accepting(self.opened().folder, list(ids)))

    # --- groups and splits

    def set_group(self, ids: Iterable[int], group: str) -> bool:
        """Say which subject (patient, eye, …) images belong to."""
        with self.reporting():
            for image_id in ids:
                self.opened().set_group(image_id, group)
            self.reload(message=f"Group: {group}.")
            return True
        return False

    def set_splits(self, ids: Iterable[int], split: Split) -> bool:
        """Put images into the part to train on, to validate on, or to test on."""
        with self.reporting():
            project, before = self.opened(), {image.id: image.split for image in self.state.images}
            for image_id in ids:
                project.set_split(image_id, split)  # its group goes with it
            moved = sum(before.get(image.id) != image.split for image in project.images())
            what = f"{moved} image{'' if moved == 1 else 's'}"
            self.reload(message=f"Moved {what} to {split}; groups stay together.")
            return True
        return False

    def assign_splits(
        self,
        *,
        validation: float = 0.2,
        test: float = 0.0,
        by: Literal["group", "image"] = "group",
        seed: int = 0,
    ) -> bool:
        """Deal the images (or their groups, never torn apart) out at random."""
        with self.reporting():
            project = self.opened()
            project.assign_splits(validation=validation, test=test, by=by, seed=seed)
            self.reload(message=_dealt(project.images(), by))
            return True
        return False

    # --- tables

    def import_sizes(self, file: Path | str) -> bool:
        """Read a table of sizes (columns image, slice, object, y, x, size, unit)."""
        from napari_segsize.project.exchange import read_sizes_csv

        with self.reporting():
            read_sizes_csv(self.opened(), Path(file))
            self.reload(message=f"Read the sizes in {Path(file).name}.")
            return True
        return False

    def export_sizes(self, file: Path | str) -> bool:
        """Write every size to a table."""
        from napari_segsize.project.exchange import write_sizes_csv

        with self.reporting():
            write_sizes_csv(self.opened(), Path(file))
            self.update(message=f"Wrote the sizes to {file}.", error="")
            return True
        return False

    # --- inside

    def _add(
        self, sources: Sequence[Path | runs.LayerImage], *, group: runs.Group, split: Split | None
    ) -> None:
        with self.reporting():
            self._desk.begin("add", runs.adding(self.opened().folder, sources, group=group, split=split))


def _dealt(images: Sequence[ImageRecord], by: str) -> str:
    """Say how many images went where; one alone cannot be divided."""
    held = [image for image in images if image.split != "train"]
    if held or not images:
        return f"Dealt out by {by}: {len(images) - len(held)} to learn from, {len(held)} held out."
    units = len({image.group if by == "group" else image.id for image in images})
    if units > 1:
        return f"Dealt out by {by}: all {len(images)} to learn from, none held out."
    what = "all images are of one group" if by == "group" and len(images) > 1 else "there is one image only"
    return f"Nothing is held out: {what}, and it cannot be divided. Add another one."
