"""Stop, resume, failing and running out of memory: the loop's promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_arrays import squares
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision

from napari_segsize.engine import checkpoint, loop, runs
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.events import Notice, Saved, StepDone, Validated
from napari_segsize.engine.loop import Outcome, Run, fit
from napari_segsize.engine.runs import finetuning, pretraining
from napari_segsize.errors import SegsizeError
from napari_segsize.models.unet import build_unet

PRETRAIN = PretrainConfig(steps=8, batch_size=4, validate_every=4, patience=0, device="cpu")
FINETUNE = FineTuneConfig(
    steps=6, batch_size=3, mask_batch_size=2, validate_every=3, patience=0, device="cpu"
)
ENTRY = checkpoint.network_entry("small", 1, "volume", 256)


def make(tmp_path: Path, stage: str, **changes: object) -> Run:
    file = tmp_path / f"{stage}.pt"
    if stage == "pretrain":
        return pretraining(squares(6), squares(3, seed=1), replace(PRETRAIN, **changes), file)
    network = build_unet("small", seed=0)
    train = squares(8, masks=3)
    return finetuning(train, squares(3, seed=1), network, ENTRY, replace(FINETUNE, **changes), file)


def drained(run: Run) -> tuple[list[object], Outcome]:
    events, generator = [], fit(run)
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return events, end.value


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_stopped_and_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path, stage: str) -> None:
    whole, outcome = drained(make(tmp_path, stage))
    for stop_after in (3, 4, 5):  # before, at and after a validation
        run = make(tmp_path, stage)
        events = fit(run)
        early = []
        for event in events:
            early.append(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                break
        events.close()
        resumed = make(tmp_path, stage)
        resumed.restore(checkpoint.load(run.file))
        assert resumed.step == stop_after
        late, again = drained(resumed)
        losses = [e.losses for e in (*early, *late) if isinstance(e, StepDone)]
        assert losses == [e.losses for e in whole if isinstance(e, StepDone)]
        looks = [(e.step, e.metrics) for e in (*early, *late) if isinstance(e, Validated)]
        assert looks == [(e.step, e.metrics) for e in whole if isinstance(e, Validated)]
        assert same_weights(outcome.weights, again.weights)


def test_closing_in_the_middle_of_a_validation_repeats_it_after_resume(tmp_path: Path) -> None:
    run = make(tmp_path, "finetune")
    events = fit(run)
    next(events)  # the first look at the held-out images has begun
    events.close()
    resumed = make(tmp_path, "finetune")
    resumed.restore(checkpoint.load(run.file))
    late, _ = drained(resumed)
    assert [e.step for e in late if isinstance(e, Validated)] == [0, 3, 6]


def test_every_validation_is_saved(tmp_path: Path) -> None:
    run = make(tmp_path, "pretrain")
    for event in fit(run):
        if isinstance(event, Saved):
            assert checkpoint.load(run.file)["step"] == event.step


def test_patience_ends_a_run_that_does_not_improve(tmp_path: Path) -> None:
    events, _ = drained(make(tmp_path, "finetune", learning_rate=0.0, steps=60, patience=2, average=0.0))
    assert max(e.step for e in events if isinstance(e, StepDone)) == 6


def test_the_outcome_is_the_best_validation_not_the_last(tmp_path: Path) -> None:
    run = make(tmp_path, "finetune", learning_rate=0.5, average=0.0)
    start = {name: value.clone() for name, value in run.network.state_dict().items()}
    run.criterion = lambda metrics: -run.step  # the start is the best there is
    _, outcome = drained(run)
    assert same_weights(start, outcome.weights)


def test_training_learns(tmp_path: Path) -> None:
    run = make(
        tmp_path, "pretrain", steps=100, validate_every=50, batch_size=6, average=0.9, learning_rate=5e-3
    )
    events, outcome = drained(run)
    assert outcome.metrics["iou"] > 0.8
    losses = [e.losses["total"] for e in events if isinstance(e, StepDone)]
    assert losses[-1] < losses[0] / 2


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_step(tmp_path: Path) -> None:
    run = make(tmp_path, "pretrain")
    objective = run.objective

    def spoiled(logits: torch.Tensor, batch: object, step: int, teacher: object) -> dict[str, torch.Tensor]:
        terms = objective(logits, batch, step, teacher)
        return {**terms, "dice": terms["dice"] * torch.nan} if step == 3 else terms

    run.objective = spoiled
    with pytest.raises(SegsizeError, match=r"loss \(dice\) is not a number at step 3.*smaller learning rate"):
        drained(run)
    assert not run.file.exists()  # resuming would fail at the same step
    assert all(value.isfinite().all() for value in run.network.state_dict().values())


def test_a_gradient_that_is_no_number_does_not_reach_the_weights(tmp_path: Path) -> None:
    run = make(tmp_path, "pretrain")
    objective = run.objective

    def spoiled(logits: torch.Tensor, batch: object, step: int, teacher: object) -> dict[str, torch.Tensor]:
        terms = objective(logits, batch, step, teacher)
        return {**terms, "odd": (logits * 0).sum().sqrt()}  # 0, with an infinite slope

    run.objective = spoiled
    with pytest.raises(SegsizeError, match=r"gradient \(odd\) is not a number at step 1, in every image"):
        drained(run)
    assert all(value.isfinite().all() for value in run.network.state_dict().values())


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
@pytest.mark.parametrize("slope", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_no_number_names_the_term_and_the_image(
    tmp_path: Path, stage: str, slope: bool, parts: int
) -> None:
    run = make(tmp_path, stage)
    run.parts = parts
    run.name_of = lambda plane: f"square_{plane.slice}"
    objective = run.objective
    batch = run.source(1)
    odd = batch.planes[1]
    assert set(batch.planes) > {odd}

    def spoiled(logits: torch.Tensor, batch: object, step: int, teacher: object) -> dict[str, torch.Tensor]:
        terms = objective(logits, batch, step, teacher)
        rows = [row for row, plane in enumerate(batch.planes) if plane == odd]
        for row in rows:
            zero = (logits[row] * 0).sum()
            terms["dice"] = terms.get("dice", 0) + (zero.sqrt() if slope else zero * torch.nan)
        return terms

    run.objective = spoiled
    what = "gradient" if slope else "loss"
    with pytest.raises(
        SegsizeError, match=rf"The {what} \(dice\) is not a number at step 1, in square_{odd.slice}\. The"
    ):
        drained(run)


def half(scale: float) -> Fabric:
    """Fabric with 16-mixed as a GPU has it, on a CPU."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler))


def test_a_scale_too_large_for_16_bits_is_halved_and_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(runs, "launch", lambda *_: half(2.0**40))
    run = make(tmp_path, "pretrain", steps=3, validate_every=9)
    before = loop._copy_of(run.network)
    drained(run)
    assert same_weights(before, run.network.state_dict())  # three steps that did not fit
    again = make(tmp_path, "pretrain", steps=40, validate_every=99)
    again.restore(checkpoint.load(run.file))
    assert again.fabric.strategy.precision.scaler.get_scale() == 2.0**37
    drained(again)
    assert not same_weights(before, again.network.state_dict())


def test_a_gradient_that_fits_16_bits_at_no_scale_ends_the_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(runs, "launch", lambda *_: half(4.0))
    run = make(tmp_path, "pretrain", steps=8)
    first = next(run.network.parameters())
    first.register_hook(lambda grad: grad * torch.nan)
    with pytest.raises(SegsizeError, match="gradient is not a number at step 3"):
        drained(run)


def test_a_network_that_overflows_blames_no_single_image(tmp_path: Path) -> None:
    run = make(tmp_path, "pretrain")
    with torch.no_grad():
        next(run.network.parameters()).fill_(torch.nan)
    with pytest.raises(
        SegsizeError, match=r"cross-entropy, dice\) is not a number .*, in every image of the"
    ):
        drained(run)


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory"),
)


def short_of_memory(run: Run, most: int, error: RuntimeError = OUT_OF_MEMORY[0]) -> None:
    """Let the forward pass fail for more than `most` images, as a full GPU would."""
    forward = run.network.forward

    def limited(images: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() and len(images) > most:
            raise error
        return forward(images)

    run.network.forward = limited


@pytest.mark.parametrize(
    ("stage", "error"), list(zip(["pretrain", "finetune", "finetune"], OUT_OF_MEMORY, strict=True))
)
def test_out_of_memory_halves_the_batch_and_changes_no_number(
    tmp_path: Path, stage: str, error: RuntimeError
) -> None:
    whole, _ = drained(make(tmp_path, stage))
    run = make(tmp_path, stage)
    short_of_memory(run, 2, error)
    parts, _ = drained(run)
    notices = [e.text for e in parts if isinstance(e, Notice)]
    assert len(notices) >= 1
    assert "Out of memory" in notices[0]
    one = [e.losses["total"] for e in whole if isinstance(e, StepDone)]
    other = [e.losses["total"] for e in parts if isinstance(e, StepDone)]
    assert one == pytest.approx(other, rel=1e-3)


def test_memory_for_not_even_one_image_offers_the_cpu(tmp_path: Path) -> None:
    run = make(tmp_path, "pretrain")
    short_of_memory(run, 0)
    with pytest.raises(SegsizeError, match="device: cpu"):
        drained(run)


def test_a_full_disk_leaves_the_old_state_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.pt"
    checkpoint.save(file, {"value": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(SegsizeError, match=r"No space left.*untouched"):
        checkpoint.save(file, {"value": 2})
    monkeypatch.undo()
    assert checkpoint.load(file)["value"] == 1
    assert list(tmp_path.iterdir()) == [file]


def test_unreadable_checkpoints_are_named(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    with pytest.raises(SegsizeError, match="no such model file"):
        checkpoint.load(file)
    checkpoint.save(file, {"value": 1})
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SegsizeError, match="cannot be read"):
        checkpoint.load(file)
    torch.save([1], file)
    with pytest.raises(SegsizeError, match="another kind of file"):
        checkpoint.load(file)
    torch.save({"format": 99}, file)
    with pytest.raises(SegsizeError, match="newer"):
        checkpoint.load(file)


def test_a_checkpoint_runs_no_foreign_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"format": 1, "weights": Evil()}, tmp_path / "model.pt")
    with pytest.raises(SegsizeError):
        checkpoint.load(tmp_path / "model.pt")
    assert not (tmp_path / "touched").exists()


def test_previews_come_at_most_twice_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100_000))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock) * 0.1)
    asked = []
    run = make(tmp_path, "pretrain")
    for _ in fit(run, lambda _run: asked.append(1)):
        pass
    assert 0 < len(asked) < run.step


def test_slow_previews_leave_most_of_the_time_to_training(tmp_path: Path, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    run = make(tmp_path, "pretrain")

    def preview(_run: object) -> None:
        clock[0] += 10.0

    spent = []
    for event in fit(run, preview):
        if isinstance(event, StepDone):
            spent.append(clock[0])
            clock[0] += 5.0  # a step
    assert 0 < clock[0] - 5.0 * len(spent) <= 10.0 + clock[0] / 5
