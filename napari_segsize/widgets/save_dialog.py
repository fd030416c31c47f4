"""Asking where to write: the ending follows the type that is chosen, and an existing file is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

__all__ = ["file_to_write"]


def file_to_write(
    parent: QWidget, title: str, proposed: Path, types: Mapping[str, str], *, type_chosen: str = ""
) -> tuple[Path, str] | None:
    """Return the file that the user has chosen, with its ending, and its type; None if there is none.

    Parameters
    ----------
    proposed : Path
        Where to begin, without an ending.
    types : mapping from the name of a type to its ending
        In the order in which they are offered. An ending that is typed is left as it is.
    type_chosen : str, optional
        The type that is chosen at first. "": the first one.
    """
    dialog = QFileDialog(parent, title, str(proposed.parent))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    filters = {f"{name} (*{ending})": (name, ending) for name, ending in types.items()}
    dialog.setNameFilters(list(filters))

    def follow(chosen: str) -> None:
        """Let a name without an ending get that of the type, before Qt looks whether the file exists."""
        dialog.setDefaultSuffix(filters[chosen][1].lstrip("."))

    dialog.filterSelected.connect(follow)
    first = next((text for text, (name, _) in filters.items() if name == type_chosen), next(iter(filters)))
    dialog.selectNameFilter(first)
    follow(first)
    dialog.selectFile(proposed.name + filters[first][1])
    accepted = dialog.exec()
    files, name = dialog.selectedFiles(), filters[dialog.selectedNameFilter()][0]
    dialog.deleteLater()
    return (Path(files[0]), name) if accepted and files else None
