"""A page of the dock widget in a window of napari, drawn as the dock widget draws it; no job ever runs."""

from __future__ import annotations

from contextlib import contextmanager

from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.layers import SegsizeLayers


class Idle:
    def stop(self):
        pass


def idle(events, on_event, on_end):
    events.close()
    return Idle()


@contextmanager
def shown(page_type, viewer, qtbot, folder):
    """Show a page of the project in `folder`, with its `controller` and `layers`; both are closed after."""
    controller, layers = Controller(idle), SegsizeLayers(viewer)
    page = page_type(controller, layers)
    qtbot.addWidget(page)
    page.controller, page.layers = controller, layers
    drawn = []

    def draw(_state):
        state = controller.state
        if controller.project is not None and drawn[-1:] != [(state.plane, state.redraw)]:
            drawn.append((state.plane, state.redraw))
            layers.show_plane(controller.project, state.plane)
        page.render(controller.state)

    controller.state_changed.connect(draw)
    controller.open_project(folder)
    page.show()
    try:
        yield page
    finally:
        controller.state_changed.disconnect()
        controller.dispose()
        layers.close()
