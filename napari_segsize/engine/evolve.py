"""From clicks to contours: one object or hundreds, at once or as they are clicked."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Iterable, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import SegsizeError
from ..models.contour import ContourNet
from ..models.edges import EdgeNet
from ..models.levelset import WINDOW, LevelSetNet
from ..ops.levelset import check_step
from ..ops.outline import area, resample
from ..ops.validity import repair
from ..project import PlaneRef, Project
from .contour_config import EvolveConfig
from .contour_field import evolve_prompts
from .dataset import normalised
from .device import resolve
from .edge_stages import current_edge_network, edges_of_plane
from .events import ContourDone, ContourFailed, ContourStep
from .levelset_field import evolve_levelset_prompts
from .levelset_outlines import levelset_done
from .outline_networks import LEVELSET, POLYGON
from .prompt import Prompt
from .snake import snake

__all__ = ["Evolver", "evolve", "evolving"]

Result = ContourDone | ContourFailed
_TOGETHER = 32  # regions looked at in one pass: small enough that the first contours come soon
_LEAST = 1.0  # px²: what is smaller has collapsed
_TRIES = 5
_CROSSED = "The contour crossed itself and was cut to its largest part."
_COLLAPSED = "The contour collapsed; the start is shown instead."


class Inbox(Protocol):
    """What the queue of waiting prompts must be able to do: `queue.SimpleQueue` does."""

    def get(self, block: bool = True, timeout: float | None = None) -> Prompt | None:
        """Take the next prompt; None says that no more will come."""


class Evolver:
    """Outlines objects of a project; holds the network and the last images it looked at.

    Parameters
    ----------
    project : Project
    config : EvolveConfig

    Raises
    ------
    SegsizeError
        If the contour model that is asked for is not there, or cannot be read.
    """

    def __init__(self, project: Project, config: EvolveConfig | None = None) -> None:
        self.project, self.config = project, config or EvolveConfig()
        self._images: dict[PlaneRef, Tensor] = {}
        self._edge_maps: dict[PlaneRef, Tensor] = {}
        self.network: ContourNet | LevelSetNet | None = None
        self.edge_network: EdgeNet | None = None
        if self.config.engine == "network":
            self.network = _network(project, self.config.model).to(resolve(self.config.device))
        elif self.config.engine == "levelset":
            self.network = _levelset_network(project, self.config).to(resolve(self.config.device))
        elif self.config.snake_follows == "edges":
            self.edge_network = current_edge_network(project, self.config.device)

    def many(self, prompts: Sequence[Prompt]) -> Generator[Result, None, None]:
        """Outline objects; those of one plane go through the network together.

        Yields
        ------
        ContourDone or ContourFailed
            One a prompt; an image that cannot be read fails its own objects only.
        """
        by_plane = sorted(range(len(prompts)), key=lambda index: prompts[index].plane)
        for plane, indices in groupby(by_plane, key=lambda index: prompts[index].plane):
            asked = [prompts[index] for index in indices]
            try:
                image = self._image(plane)
            except SegsizeError as error:
                for prompt in asked:
                    yield ContourFailed(plane=plane, object=prompt.object, reason=str(error))
                continue
            for start in range(0, len(asked), _TOGETHER):
                yield from self._outline(image, asked[start : start + _TOGETHER])

    def _outline(self, image: Tensor, prompts: Sequence[Prompt]) -> Generator[Result, None, None]:
        if self.network is None:
            for prompt in prompts:
                yield self._by_snake(image, prompt)
            return
        if isinstance(self.network, LevelSetNet):
            yield from self._by_levelset(self.network, image, prompts)
            return
        begun = time.perf_counter()
        config = self.config
        found = evolve_prompts(
            self.network, image, prompts, vertices=config.vertices, iterations=config.iterations,
            views=config.views,
        )  # fmt: skip
        share = (time.perf_counter() - begun) / len(prompts)
        for index, prompt in enumerate(prompts):
            scale = float(found.rois.scale[index])
            centre = found.rois.centre[index].tolist()
            yield _done(
                prompt, _inside(found.contours[:, index], image), "network", share,
                field=(found.fields[index] * scale).numpy(), centre=(centre[0], centre[1]), scale=scale,
            )  # fmt: skip

    def _by_levelset(
        self, network: LevelSetNet, image: Tensor, prompts: Sequence[Prompt]
    ) -> Generator[Result, None, None]:
        begun = time.perf_counter()
        config = self.config
        found = evolve_levelset_prompts(
            network, image, prompts, vertices=config.vertices, steps=config.levelset_steps,
            dt=config.levelset_dt,
        )  # fmt: skip
        share = (time.perf_counter() - begun) / len(prompts)
        for index, prompt in enumerate(prompts):
            yield levelset_done(prompt, found, index, vertices=config.vertices, seconds=share)

    def _by_snake(self, image: Tensor, prompt: Prompt) -> Result:
        begun = time.perf_counter()
        config = self.config
        contours = torch.stack(
            list(
                snake(
                    image, prompt, steps=config.snake_steps, smoothing=config.smoothing,
                    vertices=config.vertices, edges=self._edges(prompt.plane),
                )
            )
        )  # fmt: skip
        return _done(prompt, _inside(contours, image), "snake", time.perf_counter() - begun)

    def _edges(self, plane: PlaneRef) -> Tensor | None:
        """What the edge network sees of the plane, if the snake is to follow it; the last few are kept."""
        if self.edge_network is None:
            return None
        if plane not in self._edge_maps:
            while len(self._edge_maps) >= 4:
                del self._edge_maps[next(iter(self._edge_maps))]
            found = edges_of_plane(self.project, plane, self.edge_network, thinned=False)
            self._edge_maps[plane] = torch.from_numpy(found)
        return self._edge_maps[plane]

    def _image(self, plane: PlaneRef) -> Tensor:
        """The plane's pixels, each channel brought to mean 0 and deviation 1; the last few are kept."""
        if plane not in self._images:
            while len(self._images) >= 4:
                del self._images[next(iter(self._images))]
            self._images[plane] = torch.from_numpy(normalised(self.project.pixels(plane)))
        return self._images[plane]


def evolve(
    project: Project, prompts: Iterable[Prompt], config: EvolveConfig | None = None
) -> Generator[ContourStep | Result, None, None]:
    """Outline objects, one event an iteration and one when an object is done.

    Raises
    ------
    SegsizeError
        If the contour model cannot be read.
    """
    evolver = Evolver(project, config)
    for result in evolver.many(list(prompts)):
        if isinstance(result, ContourDone):
            steps = len(result.contours) - 1
            for step, vertices in enumerate(result.contours):
                yield ContourStep(
                    plane=result.plane, object=result.object, step=step, steps=steps, vertices=vertices
                )
        yield result


def evolving(
    project: Project, inbox: Inbox, config: EvolveConfig | None = None, *, patience: float = 0.05
) -> Generator[Result | None, None, None]:
    """Outline objects as they are put into `inbox`, all that wait at a time; None in it ends the work.

    Between two looks into an empty inbox it yields None, so that whoever drains it can stop it.
    """
    evolver: Evolver | None = None
    while True:
        try:
            first = inbox.get(timeout=patience)
        except queue.Empty:
            yield None
            continue
        if first is None:
            return
        waiting, ended = _waiting(first, inbox)
        evolver = evolver or Evolver(project, config)
        yield from evolver.many(waiting)
        if ended:
            return


def _waiting(first: Prompt, inbox: Inbox) -> tuple[list[Prompt], bool]:
    """All prompts that are there now, and whether the end was among them.

    An object that was asked for again while it waited is outlined once, as it was asked for last.
    """
    found = {(first.plane, first.object): first}
    while len(found) < _TOGETHER:
        try:
            prompt = inbox.get(block=False)
        except queue.Empty:
            return list(found.values()), False
        if prompt is None:
            return list(found.values()), True
        found.pop((prompt.plane, prompt.object), None)
        found[prompt.plane, prompt.object] = prompt
    return list(found.values()), False


def _levelset_network(project: Project, config: EvolveConfig) -> LevelSetNet:
    """The level-set network of that number, for steps that are stable."""
    try:
        check_step(2, dt=config.levelset_dt, motion=1.0, width=WINDOW)
    except ValueError as error:
        raise SegsizeError(f"levelset_{error}") from error
    network = LEVELSET.numbered(project, config.model)
    assert isinstance(network, LevelSetNet)
    return network


def _network(project: Project, number: int) -> ContourNet:
    """The contour network of that number; 0 is the current one of the project, or the one that ships."""
    network = POLYGON.numbered(project, number)
    assert isinstance(network, ContourNet)
    return network


def _inside(contours: Tensor, image: Tensor) -> Tensor:
    """Contours (T, K, 2) kept within the outer edge of an image (C, H, W), as by eq. 3 of the paper."""
    return torch.minimum(contours.clamp(min=-0.5), torch.tensor(image.shape[1:]) - 0.5)


def _done(
    prompt: Prompt,
    contours: Tensor,
    engine: str,
    seconds: float,
    *,
    field: NDArray[np.float32] | None = None,
    centre: tuple[float, float] | None = None,
    scale: float = 1.0,
) -> ContourDone:
    """Keep the last contour valid, and say so where it had to be mended."""
    iterations = contours.numpy().astype(np.float32)
    last, notice = _valid(iterations[-1], iterations[0])
    iterations = np.concatenate([iterations[:-1], last[None]])
    return ContourDone(
        plane=prompt.plane, object=prompt.object, contours=iterations, engine=engine, seconds=seconds,
        field=field, centre=centre, scale=scale, notice=notice,
    )  # fmt: skip


def _valid(last: NDArray[np.float32], start: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
    """The last contour as a valid one of as many vertices, and what had to be done to it."""
    count, notice = len(last), ""
    for _ in range(_TRIES):  # where a part is thin, vertices at even distances may cross it again
        mended, changed = repair(last)
        if not changed:
            return last, notice
        ring = torch.from_numpy(mended.astype(np.float32))[None]
        if float(area(ring)) < _LEAST:
            break
        last, notice = resample(ring, count)[0].numpy(), _CROSSED
    return start, _COLLAPSED
