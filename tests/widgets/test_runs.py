"""What runs in the background, with the real engine on tiny shapes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segsize.engine import checkpoint
from napari_segsize.engine.config import FineTuneConfig, PredictConfig, PretrainConfig
from napari_segsize.engine.contour_config import ContourConfig
from napari_segsize.engine.events import Ended, Notice, Preview, Started, StepDone, Validating
from napari_segsize.engine.option import from_dict
from napari_segsize.engine.run_files import state_file
from napari_segsize.project import PlaneRef, Project, object_size_of
from napari_segsize.samples import synthetic_shapes
from napari_segsize.widgets import contour_runs, runs

pytest.importorskip("torch")

SHORT = PretrainConfig(steps=3, batch_size=2, validate_every=2, device="cpu")
SHORT_SIZES = FineTuneConfig(steps=3, batch_size=2, mask_batch_size=1, validate_every=2, device="cpu")


@pytest.fixture
def annotated(shapes_project):
    sample = synthetic_shapes(12, (32, 32))
    for number, (plane, mask) in enumerate(zip(shapes_project.planes(), sample.masks, strict=True)):
        if number < 4 or number >= 8:
            shapes_project.put_mask(plane, mask.astype(int))
        else:
            shapes_project.put_stamp(plane, object_size_of(mask))
    return shapes_project.folder


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_masks_then_sizes_then_a_comparison(annotated):
    watch = runs.Watch(plane=PlaneRef(1))
    events = list(runs.training(annotated, SHORT, SHORT_SIZES, watch))
    assert [event.stage for event in kinds(events, Started)] == ["pretrain", "finetune"]
    assert [event.stage for event in kinds(events, Ended)] == ["pretrain", "finetune"]
    assert kinds(events, Ended)[-1].comparison is not None
    assert {event.plane for event in kinds(events, Preview)} <= {watch.plane}


def test_stop_leaves_something_to_resume(annotated):
    events = runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch())
    for event in events:
        if isinstance(event, StepDone) and event.step == 2:
            break
    events.close()
    (ready,) = runs.looking(annotated)
    assert ready.resumable == runs.Resume(stage="pretrain", step=2, steps=3)
    assert from_dict(PretrainConfig, ready.resumable.config) == SHORT  # which the page shows
    rest = list(runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch(), resume=True))
    assert kinds(rest, StepDone)[0].step == 3
    assert [event.stage for event in kinds(rest, Ended)] == ["pretrain", "finetune"]
    assert next(runs.looking(annotated)).resumable is None


def test_resume_in_the_second_stage(annotated):
    events = runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch())
    for event in events:
        if isinstance(event, StepDone) and event.stage == "finetune":
            break
    events.close()
    rest = list(runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch(), resume=True))
    assert {event.stage for event in kinds(rest, StepDone)} == {"finetune"}


def test_without_sizes_it_learns_from_masks_and_says_so(annotated):
    with Project.open(annotated) as project:
        for said in list(project.annotations()):
            for stamp in said.stamps:
                project.delete(said.plane, stamp.object)
    events = list(runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch()))
    assert [event.stage for event in kinds(events, Ended)] == ["pretrain"]
    assert any("Stamp some sizes" in event.text for event in kinds(events, Notice))


def test_one_plane_is_segmented(annotated):
    list(runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch(), what="pretrain"))
    events = list(runs.segmenting_plane(annotated, PlaneRef(2)))
    (preview,) = kinds(events, Preview)
    assert preview.plane == PlaneRef(2)
    assert preview.probabilities.shape == (32, 32)


@pytest.mark.parametrize(("gone_on", "mirrored"), [(False, False), (True, False), (True, True)])
def test_of_many_the_plane_on_screen_is_shown(annotated, tmp_path, gone_on, mirrored):
    list(runs.training(annotated, SHORT, SHORT_SIZES, runs.Watch(), what="pretrain"))
    watch = runs.Watch(plane=PlaneRef(5))
    events = []
    config = PredictConfig(folder=str(tmp_path / "labels"), mirrored=mirrored)
    for event in runs.segmenting(annotated, config, watch):
        events.append(event)
        if gone_on and isinstance(event, Validating) and event.done == 11:
            watch.plane = PlaneRef(2)
    shown = kinds(events, Preview)
    assert [each.plane.image for each in shown] == ([5, 2] if gone_on else [5])
    assert shown[-1].plane == watch.plane  # the last picture stays on screen
    assert isinstance(events[-1], Ended)
    assert [event.done for event in kinds(events, Validating)] == list(range(1, 13))
    assert len(list((tmp_path / "labels").iterdir())) == 12
    (alone,) = kinds(runs.segmenting_plane(annotated, watch.plane, mirrored=mirrored), Preview)
    np.testing.assert_allclose(shown[-1].probabilities, alone.probabilities, atol=1e-5)
    (other,) = kinds(runs.segmenting_plane(annotated, watch.plane, mirrored=not mirrored), Preview)
    assert np.abs(other.probabilities - alone.probabilities).max() > 1e-4


def test_groups_are_read_from_paths(tmp_path):
    path = tmp_path / "patient7" / "eye_left_003.nii.gz"
    found = {name: group(path) if group else None for name, group in runs.GROUPINGS.items()}
    assert found == {
        "each file its own": None,
        "its folder": "patient7",
        "name before the first _": "eye",
        "name before the last _": "eye_left",
    }


def test_a_survey_counts_every_image(annotated):
    (found,) = runs.surveying(annotated)
    assert sum(counts.masks for counts in found.image_counts.values()) == 8
    assert sum(counts.sizes for counts in found.image_counts.values()) == 4
    assert found.contradictions == ()


def test_a_stopped_training_of_contours_is_found_beside_one_of_pixels(annotated):
    events = contour_runs.finetuning(annotated, ContourConfig(steps=3, batch_size=2, device="cpu"))
    for event in events:
        if isinstance(event, StepDone) and event.step == 2:
            break
    events.close()
    (ready,) = runs.looking(annotated)
    assert ready.resumable is None
    assert ready.resumable_contours == runs.Resume(stage="contour", step=2, steps=3)
    assert ready.resumable_edges is None
    with Project.open(annotated) as project:
        left = {"stage": "levelset", "step": 1, "config": {"steps": 4}}
        checkpoint.save(state_file(project, "levelset"), left)
    (ready,) = runs.looking(annotated)
    assert ready.resumable_levelsets == runs.Resume(stage="levelset", step=1, steps=4)
    with Project.open(annotated) as project:
        checkpoint.save(state_file(project, "edges"), {"stage": "edges", "step": 3, "config": {"steps": 9}})
    (ready,) = runs.looking(annotated)
    assert ready.resumable_edges == runs.Resume(stage="edges", step=3, steps=9)


def test_getting_ready_renders_a_polygon_so_that_the_first_contour_does_not_wait(monkeypatch):
    from napari_segsize.ops import polygon

    rendered, render = [], polygon.polygon_mask
    monkeypatch.setattr(polygon, "polygon_mask", lambda *a, **k: rendered.append(render(*a, **k)))
    assert list(contour_runs.getting_ready()) == []
    assert float(rendered[0].sum()) == pytest.approx(12.5)
