"""Stands for the engine of contours: circles that grow to their points, at once and without torch."""

from __future__ import annotations

import queue

import numpy as np

from napari_segsize.engine.events import ContourDone, ContourFailed

STEPS = 3


def grown(prompt, vertices=16, steps=STEPS):
    """All steps of a circle that grows to half the extent of the prompt; (steps + 1, vertices, 2)."""
    if prompt.start:
        start = np.array(prompt.start, np.float32)
        return np.stack([start] * (steps + 1))
    if prompt.stamp is not None:
        y, x, size = prompt.stamp
        centre, radius = np.array([y, x]), np.full(2, size / 2)
    else:
        points = np.array(prompt.points)
        centre, radius = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0) / 2
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    ring = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    growth = np.linspace(0.5, 1, steps + 1)
    return (centre + growth[:, None, None] * radius * ring).astype(np.float32)


class FakeEngine:
    """Called as `contour_runs.evolving`; remembers what it was asked for."""

    def __init__(self):
        self.asked, self.runs = [], []
        self.fails: dict[str, str] = {}
        self.raises = None
        self.notice = ""

    def __call__(self, folder, inbox, config):
        self.runs.append((folder, config))
        while True:
            try:
                prompt = inbox.get(timeout=0.01)
            except queue.Empty:
                yield None
                continue
            if prompt is None:
                return
            self.asked.append(prompt)
            if self.raises is not None:
                raise self.raises
            yield self.answer(prompt, config)

    def answer(self, prompt, config):
        if prompt.object in self.fails:
            return ContourFailed(plane=prompt.plane, object=prompt.object, reason=self.fails[prompt.object])
        contours = grown(prompt, config.vertices)
        return ContourDone(
            plane=prompt.plane,
            object=prompt.object,
            contours=contours,
            engine=config.engine,
            seconds=0.01,
            field=np.zeros((2, 8, 8), np.float32),
            centre=(10.0, 10.0),
            scale=1.0,
            notice=self.notice,
        )
