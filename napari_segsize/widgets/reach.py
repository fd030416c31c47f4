"""What the keys reach on a page: everything that is seen, and nothing else."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QTableView, QWidget
from superqt import QCollapsible

__all__ = ["reachable"]


def reachable(page: QWidget) -> None:
    """Let Tab go through a page from top to bottom, and Enter press a button as Space does.

    Qt keeps Tab within a table, leads it through the editors of a folded section, and lets Enter press
    buttons of dialogs only.
    """
    for button in page.findChildren(QPushButton):
        button.setAutoDefault(True)
    for table in page.findChildren(QTableView):
        table.setTabKeyNavigation(False)  # the arrows go from cell to cell
    for section in page.findChildren(QCollapsible):
        content = section.content()
        content.setVisible(section.isExpanded())
        section.toggled.connect(content.setVisible)
