"""Learn to segment from object sizes.

Where everything lives: `ops` is image geometry on tensors (distances, sizes, centroids), `losses` and
`models` are what a network learns with, `metrics` says how well it did; `project` keeps what the user has
said on disk; `engine` trains, predicts and evaluates as generators of frozen events; `widgets` is the only
folder that knows there is a window, and `cli` is the same engine without one. `samples` holds a real data
set and synthetic shapes, `reader` opens project files in napari, `errors` what a user can fix. Importing
this package imports none of them: no torch, no Qt.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
