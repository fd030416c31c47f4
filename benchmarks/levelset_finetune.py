"""Fine-tune a level-set network on close-ups as a project does, for `levelset.py finetune`."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch

from napari_segsize.engine.closeup import CloseUp
from napari_segsize.engine.contour_runs import contour_score
from napari_segsize.engine.events import Validated
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.levelset_runs import levelset_training
from napari_segsize.engine.loop import fit
from napari_segsize.models.levelset import LevelSetNet

__all__ = ["fine_tuned"]

MOST_DECIDING = 200


def fine_tuned(network: LevelSetNet, items: list[CloseUp], config: LevelSetConfig) -> str:
    """Teach `network` these objects; a fifth of them decides which step is kept: the sentence says which."""
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(config.seed)).tolist()
    fifth = max(1, len(items) // 5)
    decide, learn = [items[i] for i in order[:fifth]][:MOST_DECIDING], [items[i] for i in order[fifth:]]
    kept, looks = 0, []
    with tempfile.TemporaryDirectory() as folder, torch.enable_grad():
        run = levelset_training(
            learn, decide, network, config, Path(folder) / "run.pt", entry={}, look_first=True
        )
        for event in fit(run):
            if isinstance(event, Validated):
                kept = event.step if event.best else kept
                looks.append(f"{contour_score(event.metrics):.4f}")
    network.load_state_dict(run.best_weights)
    network.eval()
    known = (f"{name} {value:.4f}" for name, value in run.best_metrics.items() if not math.isnan(value))
    return f"{' '.join(looks)}: step {kept} of {run.step} kept, {', '.join(known)}"
