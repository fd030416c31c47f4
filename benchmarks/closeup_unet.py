"""A U-Net on the close-ups of the level-set network: the same body, prompts and objects, logits for forces.

    python benchmarks/closeup_unet.py DATA --out FILE [--steps 5000] [--minutes 25]

It sees what the level-set network sees (region, heat map of the clicks, mask of the start contour), begins
with the same body, and learns from the same objects, by cross-entropy and Dice. `benchmarks/levelset.py sets
--unet FILE` compares the two. What step to keep is decided as for the level-set network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch
from monai.networks.nets import SegResNet
from safetensors import safe_open
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from train_levelset_starter import CC0, material

from napari_segsize.engine.closeup import SIDE, CloseUp, in_three_channels, normalised_rois
from napari_segsize.engine.contour_batch import ContourBatch, ContourSource, prompted
from napari_segsize.engine.contour_field import regions, start_contours
from napari_segsize.engine.device import launch
from napari_segsize.engine.events import Event, Validated
from napari_segsize.engine.levelset_config import LevelSetConfig
from napari_segsize.engine.levelset_field import LevelSetEvolution
from napari_segsize.engine.loop import Run, fit
from napari_segsize.engine.prompt import Prompt
from napari_segsize.engine.starter import load_starter, save_starter
from napari_segsize.losses import bce_loss, dice_loss
from napari_segsize.metrics import dice, iou
from napari_segsize.models.levelset import Forces
from napari_segsize.models.unet import SegmentationNet
from napari_segsize.ops.roi import cut_rois

__all__ = ["CloseUpUNet", "load_unet", "seen_by"]

KIND = "close-up U-Net"
PROMPTS, CHANNELS, VERTICES, TOGETHER = 2, 3, 32, 64


class CloseUpUNet(nn.Module):
    """Logits ``(N, 1, S, S)`` of regions with prompts ``(N, 5, S, S)``."""

    def __init__(self) -> None:
        super().__init__()
        body = SegResNet(spatial_dims=2, init_filters=8, in_channels=CHANNELS + PROMPTS, out_channels=1)
        self.network = SegmentationNet(body, stride=8, smallest=16)

    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.network(inputs)
        return logits


def load_unet(file: Path) -> CloseUpUNet:
    """Read a network that this script wrote."""
    with safe_open(file, framework="pt") as opened:
        header = opened.metadata() or {}
        if json.loads(header.get("network", "{}")).get("kind") != KIND:
            raise SystemExit(f"{file}: expected a file of benchmarks/closeup_unet.py")
        weights = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
    network = CloseUpUNet()
    network.load_state_dict(weights)
    return network.eval()


def seen_by(network: CloseUpUNet, image: Tensor, prompts: Sequence[Prompt]) -> LevelSetEvolution:
    """The logits of some objects as a level set that does not move: the way to the rings is the same."""
    rois, starts = regions(prompts), start_contours(prompts, VERTICES)
    points = torch.tensor([prompt.points for prompt in prompts], dtype=torch.float32)
    images = normalised_rois(cut_rois(in_three_channels(image), rois, SIDE))
    logits = network(prompted(images, rois.inside(points, SIDE), rois.inside(starts, SIDE), PROMPTS))
    still = Forces.of(torch.zeros(len(logits), 4, SIDE, SIDE))
    return LevelSetEvolution(logits[None, :, 0], still, starts, rois, torch.zeros(len(logits)))


def objective(
    logits: Tensor, batch: ContourBatch, _step: int, _teacher: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Cross-entropy and Dice."""
    target = batch.target.clamp(0, 1)
    return {"cross-entropy": bce_loss(logits, target), "dice": dice_loss(logits, target)}


def scored(network: nn.Module, items: Sequence[CloseUp]) -> dict[str, float]:
    """Mean IoU and Dice in the pixels of the regions."""
    source = ContourSource(items, batch_size=1, vertices=VERTICES, augment=False)
    found: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(items), TOGETHER):
        batch = source.batch(items[start : start + TOGETHER], None)
        with torch.no_grad():
            masks = network(batch.inputs) > 0
        truth = batch.target > 0.5
        found.append((iou(masks, truth).flatten(), dice(masks, truth).flatten()))
    return {
        name: float(torch.cat([pair[index] for pair in found]).mean())
        for index, name in enumerate(("iou", "dice"))
    }


def training(arguments: argparse.Namespace, network: CloseUpUNet, file: Path) -> Run:
    """A run with the sampling and the loop of the level-set network."""
    train, weights, deciding = material(arguments.data, CC0, arguments.drawn, arguments.seed)
    config = LevelSetConfig(
        steps=arguments.steps, learning_rate=1e-3, batch_size=32, validate_every=250, patience=0,
        average=0.99, seed=arguments.seed, device="cpu",
    )  # fmt: skip

    def look(candidate: nn.Module) -> Generator[Event, None, dict[str, float]]:
        yield from ()
        return scored(candidate, deciding)

    return Run(
        stage="levelset",
        config=config,
        fabric=launch("cpu", "32-true"),
        network=network.train(),
        source=ContourSource(
            train, batch_size=config.batch_size, vertices=VERTICES, weights=weights, seed=config.seed
        ),
        objective=objective,
        look=look,
        criterion=lambda metrics: metrics["iou"],
        file=file,
        entry={},
    )


def main() -> None:
    """Train, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--drawn", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=25.0, help="of processor time, at most")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    network = CloseUpUNet()
    own = network.state_dict()
    body = load_starter()[0].state_dict()
    network.load_state_dict(
        own | {name: value for name, value in body.items() if value.shape == own[name].shape}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = training(arguments, network, Path(folder) / "run.pt")
        for event in fit(run):
            if not isinstance(event, Validated):
                continue
            passed = time.process_time()
            print(f"{passed:6.0f} s", event.step, dict(event.metrics), flush=True)
            if event.best:  # whoever ends the process has the best so far
                best = CloseUpUNet()
                best.load_state_dict(run.best_weights)
                facts = {
                    "steps": str(event.step),
                    **{name: str(value) for name, value in event.metrics.items()},
                }
                save_starter(arguments.out, best, {"kind": KIND}, facts)
            if passed > 60 * arguments.minutes:
                break
    print(f"wrote {arguments.out}: {run.best_metrics}")


if __name__ == "__main__":
    main()
