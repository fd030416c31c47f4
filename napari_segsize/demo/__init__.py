"""The main job on bundled MRI slices, start to end: `run.demo` is a generator of events like every stage."""

from __future__ import annotations
