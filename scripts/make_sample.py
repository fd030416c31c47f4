"""Make the bundled hippocampus sample: python scripts/make_sample.py hippocampus.npz (the development data).

One volume of each of 26 subjects, every second slice: neighbouring slices say nearly the same, other people
do not. Training subjects come from the training part of the data set, validation and test subjects from its
validation part, so a network trained on either part of the sample has seen no subject of the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

SUBJECTS = {"train": 16, "validation": 4, "test": 6}
SPLITS = tuple(SUBJECTS)
PART = {"train": 0, "validation": 1, "test": 1}  # `split` in the data set
EVERY = 2  # slices; they are 1 mm apart in the data set, so 2 mm in the sample
SEED = 2022
TARGET = Path(__file__).parents[1] / "napari_segsize" / "data" / "hippocampus_sample.npz"


def choose(data: dict[str, np.ndarray], rng: np.random.Generator) -> list[tuple[str, int]]:
    """(split, volume) of the sample; no subject is chosen twice."""
    chosen: list[tuple[str, int]] = []
    used: set[int] = set()
    for split, number in SUBJECTS.items():
        here = data["split"] == PART[split]
        subjects = [s for s in rng.permutation(np.unique(data["subject"][here])) if s not in used][:number]
        used.update(subjects)
        chosen += [
            (split, rng.choice(np.unique(data["volume_id"][here & (data["subject"] == s)]))) for s in subjects
        ]
    return chosen


def to_8_bits(images: np.ndarray) -> np.ndarray:
    """One linear map per volume; the brightest 0.1 % are clipped, as single bright pixels cost contrast."""
    low, high = float(images.min()), float(np.quantile(images, 0.999))
    return np.round(np.clip((images - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def main() -> None:
    """Write the sample into the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("npz", type=Path, help="hippocampus.npz of the development data")
    parser.add_argument("--target", type=Path, default=TARGET)
    args = parser.parse_args()

    rng = np.random.default_rng(SEED)
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("images", "masks", "subject", "volume", "slice_index", "split")
    }
    with np.load(args.npz) as data:
        arrays = {
            name: data[name] for name in ("images", "masks", "subject", "volume_id", "slice_index", "split")
        }
    for split, volume in choose(arrays, rng):
        rows = np.flatnonzero(arrays["volume_id"] == volume)
        rows = rows[np.argsort(arrays["slice_index"][rows])][::EVERY]
        parts["images"].append(to_8_bits(arrays["images"][rows]))
        parts["masks"].append(arrays["masks"][rows])
        parts["subject"].append(arrays["subject"][rows].astype(np.int16))
        parts["volume"].append(arrays["volume_id"][rows].astype(np.int16))
        parts["slice_index"].append(arrays["slice_index"][rows].astype(np.int16))
        parts["split"].append(np.full(len(rows), SPLITS.index(split), np.int8))

    sample = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    masks = sample.pop("masks")
    np.savez_compressed(args.target, **sample, masks=np.packbits(masks, axis=-1))  # 32 columns are 4 bytes
    counts = ", ".join(f"{(sample['split'] == number).sum()} {name}" for number, name in enumerate(SPLITS))
    subjects = len(np.unique(sample["subject"]))
    print(f"{args.target}: {args.target.stat().st_size} bytes, slices: {counts}, {subjects} subjects")


if __name__ == "__main__":
    main()
