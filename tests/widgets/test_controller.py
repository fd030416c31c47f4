"""The controller against a real project and generators of made-up events; no Qt, no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_segsize.engine.events import (
    Comparison,
    ComparisonRow,
    Ended,
    Loading,
    Preview,
    Started,
    StepDone,
    Validated,
    Validating,
)
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project, SizeStamp
from napari_segsize.widgets import contour_runs, refine_runs, runs
from napari_segsize.widgets.controller import Controller
from napari_segsize.widgets.state import after


class Loop:
    """A launch that drains at once, in this thread, as far as it is told to."""

    def __init__(self):
        self.held = []
        self.hold = False

    def __call__(self, events, on_event, on_end):
        job = Held(events, on_event, on_end)
        if self.hold:
            self.held.append(job)
        else:
            job.finish()
        return job


class Held:
    def __init__(self, events, on_event, on_end):
        self.events, self.on_event, self.on_end = events, on_event, on_end
        self.stopped = self.closed = False

    def stop(self):
        self.stopped = True

    def step(self, count=1):
        for _ in range(count):
            self.on_event(next(self.events))

    def finish(self):
        error = None
        try:
            if not self.stopped:
                for event in self.events:
                    self.on_event(event)
                    if self.stopped:
                        break
            self.events.close()
        except Exception as raised:
            error = raised
        self.closed = True
        self.on_end(error)


def step(number, stage="pretrain", steps=10):
    return StepDone(
        stage=stage,
        step=number,
        steps=steps,
        losses={"total": 1.0 / number},
        seconds_left=5.0,
        memory_mb=100.0,
    )


def fake_training(saved=None, steps=10, raises=None):
    def training(folder, *_args, **_options):
        done = 0
        try:
            yield Started(stage="pretrain", device="CPU", steps=steps, masks=3)
            for number in range(1, steps + 1):
                done = number
                yield step(number, steps=steps)
                if raises is not None and number == 3:
                    raise raises
            yield Validated(stage="pretrain", step=steps, metrics={"iou": 0.5}, best=True)
            row = ComparisonRow(name="masks only", iou=0.5, dice=0.6, size_error=4.0, images=4)
            yield Ended(
                stage="pretrain",
                promoted=True,
                model=1,
                comparison=Comparison(split="validation", rows=(row,)),
            )
        finally:
            if saved is not None:
                saved.append(done)

    return training


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def controller(loop, shapes_project):
    made = Controller(loop)
    failures = []
    made.failed.connect(failures.append)
    made.failures = failures
    made.open_project(shapes_project.folder)
    yield made
    made.dispose()


def test_needs_neither_qt_nor_torch():
    code = (
        "import sys, napari_segsize.widgets.controller; "
        "print(sorted({'torch', 'monai', 'qtpy', 'napari', 'PyQt6', 'PySide6'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_shows_the_first_plane_and_the_counts(controller):
    state = controller.state
    assert state.is_open
    assert state.plane == PlaneRef(state.images[0].id)
    assert state.counts.images == len(state.images) == 12
    assert not state.busy


def test_a_verb_without_a_project_says_so(loop):
    controller = Controller(loop)
    assert controller.put_stamp(12) is None
    assert "No project is open" in controller.state.error
    controller.train()
    assert not controller.state.busy


def test_a_stamp_is_on_disk_when_the_verb_returns(controller):
    stamp = controller.put_stamp(11, centre=(5, 6))
    assert stamp.size == 12  # odd widths are rounded up
    assert "12 px" in controller.state.message
    with Project.open(controller.state.folder) as other:
        (said,) = other.annotations()
    assert said.stamps == (stamp,)
    assert controller.state.annotation.stamps == (stamp,)
    assert controller.state.counts.sizes == 1
    assert controller.state.image_counts[stamp_image(controller)].sizes == 1


def stamp_image(controller):
    return controller.state.plane.image


@pytest.mark.parametrize("size", [-2, float("nan"), 0, 999, "wide", "3 mm"])
def test_bad_sizes_get_a_sentence_and_nothing_is_stored(controller, size):
    assert controller.put_stamp(size, centre=(5, 5)) is None
    assert controller.state.error == controller.failures[-1] != ""
    assert controller.state.annotation.stamps == ()
    controller.put_stamp(8)
    assert controller.state.error == ""


def test_size_zero_without_a_place_means_no_object(controller):
    controller.put_stamp(0)
    assert controller.state.annotation.no_object


def test_changed_stamps_are_one_step_of_undo(controller):
    plane = controller.state.plane
    first, second = (controller.put_stamp(8, centre=(5, x)) for x in (5, 20))
    moved = SizeStamp(object=first.object, size=10, centre=(6, 6), entered=10)
    redraw = controller.state.redraw
    assert controller.sync_stamps(plane, [moved])
    assert controller.state.annotation.stamps == (moved,)
    assert controller.state.redraw == redraw  # the layers show it already
    change = controller.undo()
    assert change is not None
    assert set(controller.state.annotation.stamps) == {first, second}
    assert controller.state.redraw > redraw
    controller.redo()
    assert controller.state.annotation.stamps == (moved,)


def test_a_rounded_size_is_drawn_again(controller):
    stamp = controller.put_stamp(8, centre=(5, 5))
    redraw = controller.state.redraw
    odd = SizeStamp(object=stamp.object, size=11, centre=(5, 5), entered=11)
    controller.sync_stamps(controller.state.plane, [odd])
    assert controller.state.annotation.stamps[0].size == 12
    assert controller.state.redraw > redraw


def test_masks_and_no_object(controller):
    plane = controller.state.plane
    mask = np.zeros((32, 32), int)
    mask[4:10, 4:10] = 1
    assert controller.put_mask(plane, mask)
    assert controller.state.counts.masks == 1
    assert not controller.put_no_object()
    assert "contradicts" in controller.state.error
    assert controller.delete("mask")
    assert controller.put_no_object()
    assert controller.state.annotation.no_object


def test_moving_about(controller):
    first, second, *_ = [image.id for image in controller.state.images]
    controller.previous()
    assert "first" in controller.state.message
    controller.next()
    assert controller.state.plane == PlaneRef(second)
    controller.previous()
    controller.put_stamp(8)
    controller.next_unlabelled()
    assert controller.state.plane == PlaneRef(second)
    controller.skip()
    assert controller.state.plane not in (PlaneRef(first), PlaneRef(second))


def test_undo_goes_to_its_plane(controller):
    first = controller.state.plane
    controller.put_stamp(8)
    controller.next()
    controller.undo()
    assert controller.state.plane == first
    assert controller.state.annotation.stamps == ()
    assert controller.undo() is None
    assert "nothing to undo" in controller.state.message


def test_two_viewers_on_one_project(controller, loop):
    other = Controller(loop)
    other.open_project(controller.state.folder)
    mine = controller.put_stamp(8, centre=(4, 4))
    other.poll()
    assert other.state.annotation.stamps == (mine,)
    assert other.state.counts.sizes == 1
    theirs = other.put_stamp(10, centre=(20, 20))
    # not polled yet: a stamp of mine must not take theirs away
    new = SizeStamp(object="new", size=6, centre=(9, 9), entered=6)
    controller.sync_stamps(controller.state.plane, [mine, new])
    assert {stamp.object for stamp in controller.state.annotation.stamps} == {
        mine.object,
        theirs.object,
        "new",
    }
    other.dispose()


@pytest.mark.parametrize("told", [False, True], ids=["counted", "counted and told"])
@pytest.mark.parametrize("here", [False, True], ids=["elsewhere", "here"])
def test_what_is_said_during_a_survey_is_counted_after_it(loop, shapes_project, told, here):
    images = [image.id for image in shapes_project.images()]
    shapes_project.put_stamp(PlaneRef(images[2]), 6, centre=(10, 10))
    loop.hold, controller = True, Controller(loop)
    controller.open_project(shapes_project.folder)
    survey = loop.held[0]
    counted = next(survey.events)
    if told:
        survey.on_event(counted)
    if here:
        controller.put_stamp(6, centre=(10, 10))
    else:
        shapes_project.put_stamp(PlaneRef(images[0]), 6, centre=(10, 10))
        controller.poll()
    if not told:
        survey.on_event(counted)
    for _ in range(5):  # and not in an endless row
        if loop.held:
            loop.held.pop(0).finish()
    assert not loop.held
    assert {image: counts.sizes for image, counts in controller.state.image_counts.items()} == {
        images[0]: 1,
        images[2]: 1,
    }
    controller.dispose()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_another_process_says_at_the_same_moment_stays(controller, monkeypatch, elsewhere):
    plane, project = controller.state.plane, controller.project
    mine, other = controller.put_stamp(8, centre=(4, 4)), controller.put_stamp(8, centre=(20, 20))
    if elsewhere:  # the layers tell of a plane that was left a moment ago
        controller.next()
    sync = project.sync_stamps

    def sync_late(*args, **options):
        with Project.open(project.folder) as theirs:
            theirs.put_stamp(plane, 10, centre=(9, 9), object="theirs")
        sync(*args, **options)

    monkeypatch.setattr(project, "sync_stamps", sync_late)
    assert controller.sync_stamps(plane, [other], base=(mine, other))
    assert {stamp.object for stamp in project.annotation(plane).stamps} == {other.object, "theirs"}


def test_an_unplugged_drive_is_told_once_until_it_is_back(controller, monkeypatch):
    project = controller.project
    unplugged = SegsizeError("The drive is gone: plug it in again.")

    def revision():
        raise unplugged

    for _ in range(2):
        with monkeypatch.context() as gone:
            gone.setattr(project, "revision", revision)
            for _ in range(3):
                controller.poll()
        assert controller.failures == [str(unplugged)]
        controller.poll()
        assert "again" in controller.state.message
        assert not controller.state.error
        controller.failures.clear()
    controller.poll()
    assert controller.failures == []


def test_splits_move_whole_groups(controller):
    ids = [image.id for image in controller.state.images[:2]]
    controller.set_group(ids, "twins")
    controller.set_splits(ids[:1], "test")
    assert [image.split for image in controller.state.images[:2]] == ["test", "test"]
    controller.assign_splits(validation=0.5)
    assert {image.split for image in controller.state.images} == {"train", "validation"}
    assert controller.state.message.startswith("Dealt out by group: ")
    held = sum(image.split != "train" for image in controller.state.images)
    assert controller.state.message.endswith(f"{held} held out.")


def test_one_image_cannot_be_dealt_out(controller):
    controller.remove_images([image.id for image in controller.state.images[1:]])
    controller.assign_splits(validation=0.5)
    assert controller.state.message.startswith("Nothing is held out: there is one image only")


def test_sizes_of_a_spreadsheet(controller, tmp_path):
    image = controller.state.images[0]
    text = f"image;y;x;size\r\n{image.name};3,5;4;6\r\n"
    (tmp_path / "sizes.csv").write_bytes(text.encode("utf-16"))
    assert controller.import_sizes(tmp_path / "sizes.csv"), controller.state.error
    assert controller.opened().annotation(PlaneRef(image.id)).stamps[0].centre == (3.5, 4)


def test_adding_goes_on_after_a_bad_file(controller, tmp_path):
    from tifffile import imwrite

    good, bad = tmp_path / "good.tif", tmp_path / "bad.tif"
    imwrite(good, np.zeros((8, 8), np.uint8) + np.arange(8, dtype=np.uint8))
    bad.write_bytes(b"nonsense")
    controller.add_files([bad, good])
    assert [image.name for image in controller.state.images][-1].startswith("good")
    assert controller.state.error.startswith("1 image added; 1 not")
    assert not controller.state.busy


def test_what_a_folder_has_that_is_no_image_is_named(controller, tmp_path):
    from tifffile import imwrite

    (tmp_path / "folder").mkdir()
    imwrite(tmp_path / "folder" / "good.tif", np.eye(8, dtype=np.uint8))
    for name in ("bad.tif", "worse.tif"):
        (tmp_path / "folder" / name).write_bytes(b"nonsense")
    controller.add_files([tmp_path / "folder"])
    assert [image.name for image in controller.state.images][-1] == "good"
    said = controller.state.error
    assert said.startswith("1 image added; 2 not: bad.tif, worse.tif. The first: ")


def test_adding_layers(controller):
    pixels = np.random.default_rng(0).random((3, 16, 20)).astype(np.float32)
    controller.add_layers(
        [runs.LayerImage(name="stack", pixels=pixels, kind="stack", spacing=(2, 1, 1), unit="mm")]
    )
    image = controller.state.images[-1]
    assert (image.planes, image.shape, image.unit) == (3, (16, 20), "mm")
    controller.add_layers([])
    assert "No image layer" in controller.state.error


def test_a_missing_image_is_told_and_found_again(controller, tmp_path):
    image = controller.state.images[0]
    file = controller.state.folder / image.path
    file.rename(tmp_path / file.name)
    controller.reload()
    assert controller.state.missing == {image.id}
    controller.relink(image.id, controller.state.folder / controller.state.images[1].path)
    assert "content differs" in controller.state.error
    assert controller.state.missing
    drawn = controller.state.redraw
    controller.relink_folder(tmp_path)
    assert not controller.state.missing
    assert controller.state.message == "The missing image is found again."
    assert controller.state.redraw > drawn


def test_what_is_not_found_is_told(controller, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for image in controller.state.images[:2]:
        file = controller.state.folder / image.path
        file.rename(tmp_path / "elsewhere" / file.name)
    controller.reload()
    controller.relink_folder(tmp_path / "nothing")
    assert "No file in" in controller.state.message
    image = controller.state.images[0]
    controller.relink(image.id, tmp_path / "elsewhere" / image.path.split("/")[-1])
    assert controller.state.message.startswith("Found again: ")
    controller.relink_folder(tmp_path)
    assert not controller.state.missing


def test_a_changed_file_is_told_and_used_as_it_is(controller):
    image, other = controller.state.images[:2]
    controller.put_stamp(6, centre=(4, 4))
    file = controller.state.folder / image.path
    file.write_bytes((controller.state.folder / other.path).read_bytes())
    assert controller.state.changed == frozenset()
    controller.files.look()
    assert controller.state.changed == {image.id}
    drawn = controller.state.redraw
    controller.accept_changed([image.id])
    assert controller.state.changed == frozenset()
    assert controller.state.error == ""
    assert controller.state.message.startswith(f"The changed file of {image.name} is used now")
    assert controller.state.redraw > drawn
    assert controller.state.annotation.stamps[0].size == 6


def test_one_of_two_changed_files_has_another_shape(controller):
    from tifffile import imwrite

    image, other = controller.state.images[:2]
    folder = controller.state.folder
    imwrite(folder / image.path, np.eye(7, dtype=np.uint8))
    imwrite(folder / other.path, np.zeros(other.shape, np.uint8) + np.arange(other.shape[1], dtype=np.uint8))
    controller.accept_changed([image.id, other.id])
    assert controller.state.error.startswith("1 of 2 changed files are used as they are; ")
    assert "put the old file back, or save the new one under another name" in controller.state.error
    assert controller.state.changed == {image.id}
    controller.close_project()
    assert controller.state.changed == frozenset()


def test_what_was_found_of_a_project_that_was_left_is_not_told(controller, loop):
    image, other = controller.state.images[:2]
    file = controller.state.folder / image.path
    file.write_bytes((controller.state.folder / other.path).read_bytes())
    loop.hold = True
    controller.files.look()
    controller.close_project()
    (job, *_) = loop.held
    assert job.stopped
    job.finish()
    assert controller.state.changed == frozenset()


def test_looking_for_images_is_a_job_of_its_own(controller, loop, tmp_path):
    image = controller.state.images[0]
    file = controller.state.folder / image.path
    file.rename(tmp_path / file.name)
    controller.reload()
    loop.hold = True
    controller.relink(image.id, tmp_path / file.name)
    assert controller.state.busy
    assert controller.state.message == "Finding moved images…"
    assert controller.state.missing == {image.id}
    controller.close_project()  # nobody listens any more, and it is told to stop
    (job,) = loop.held
    assert job.stopped
    job.finish()
    assert (controller.state.job, controller.state.folder) == ("idle", None)


# --- jobs


def test_training_from_start_to_comparison(controller, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    controller.train()
    state = controller.state
    assert state.job == "idle"
    assert [point.step for point in state.losses] == list(range(1, 11))
    assert state.metrics[0].metrics["iou"] == 0.5
    assert state.comparison.rows[0].name == "masks only"
    assert "current one" in state.message
    assert state.resumable is None


def test_images_that_are_read_are_no_steps(controller, loop, monkeypatch):
    def training(*_args, **_options):
        yield Loading(stage="pretrain", done=3, total=20)
        yield Started(stage="pretrain", device="CPU", steps=10)

    monkeypatch.setattr(runs, "training", training)
    loop.hold = True
    controller.train()
    loop.held[-1].step(1)
    assert controller.state.checking == "reading image 3 of 20"
    assert (controller.state.step, controller.state.steps) == (0, 0)
    aligning = Loading(stage="edges", done=2, total=6, doing="aligning")
    assert after(controller.state, aligning).checking == "aligning image 2 of 6"
    checking = Validating(stage="edges", done=2, total=6)
    assert after(controller.state, checking).checking == "checking 2/6 held-out images"
    aligning = Validating(stage="edges", done=2, total=6, doing="aligning")
    assert after(controller.state, aligning).checking == "aligning 2/6 training images"
    controller.stop()
    loop.held[-1].finish()
    assert controller.state.message == "Stopped."
    assert controller.state.resumable is None


def test_stop_keeps_the_step_and_offers_to_resume(controller, loop, monkeypatch):
    saved = []
    monkeypatch.setattr(runs, "training", fake_training(saved))
    loop.hold = True
    controller.train()
    job = loop.held[-1]
    job.step(4)
    assert controller.state.job == "running"
    controller.stop()
    assert controller.state.job == "stopping"
    job.finish()
    assert saved == [3]
    assert controller.state.job == "idle"
    assert controller.state.resumable == runs.Resume(stage="pretrain", step=3, steps=10)
    assert "previous model is untouched" in controller.state.message


def test_a_stopped_training_of_contours_does_not_hide_one_of_pixels(controller, loop, monkeypatch):
    pixels = runs.Resume(stage="pretrain", step=3, steps=10)
    contours = runs.Resume(stage="contour", step=2, steps=9)
    edges = runs.Resume(stage="edges", step=1, steps=5)
    ready = runs.Ready(device="CPU", resumable=pixels, resumable_contours=contours, resumable_edges=edges)
    monkeypatch.setattr(runs, "warming", lambda threads: iter_of(ready))
    monkeypatch.setattr(runs, "looking", lambda folder: iter_of(ready))
    controller.warm_up()
    assert (controller.state.resumable, controller.state.resumable_contours) == (pixels, contours)
    assert controller.state.resumable_edges == edges
    monkeypatch.setattr(runs, "segmenting_plane", lambda *a, **k: iter_of())
    controller.predict_plane()  # no training: what can go on still can
    assert (controller.state.resumable, controller.state.resumable_contours) == (pixels, contours)
    monkeypatch.setattr(contour_runs, "finetuning", lambda *a, **k: iter_of(Ended(stage="contour")))
    monkeypatch.setattr(runs, "looking", lambda folder: iter_of())
    controller.finetune_contours(resume=True)
    assert (controller.state.resumable, controller.state.resumable_contours) == (pixels, None)
    assert controller.state.resumable_edges == edges
    monkeypatch.setattr(refine_runs, "training_edges", lambda *a, **k: iter_of(Ended(stage="edges")))
    controller.train_edges(resume=True)
    assert (controller.state.resumable, controller.state.resumable_edges) == (pixels, None)


def test_stop_during_launch(loop, controller, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    loop.hold = True
    unsubscribe = controller.state_changed.connect(lambda state: state.job == "running" and controller.stop())
    controller.train()
    controller.state_changed.disconnect(unsubscribe)
    assert not loop.held  # it was never launched
    assert controller.state.job == "idle"


def loading_for_long(told):
    def training(folder, *_args, **_options):
        try:
            yield Loading(stage="pretrain", done=0, total=2)
            yield Started(stage="pretrain", device="CPU", steps=10)
            yield step(1)
        finally:
            told.append("closed")

    return training


def test_stop_does_not_wait_for_a_file_that_is_being_read(controller, loop, monkeypatch):
    told = []
    monkeypatch.setattr(runs, "training", loading_for_long(told))
    loop.hold = True
    controller.train()
    first = loop.held.pop()
    first.step()  # and now it decodes a volume, and hears nothing
    controller.stop()
    assert first.stopped
    assert (controller.state.job, controller.state.message) == ("idle", "Stopped.")
    controller.train()  # the next one waits its turn
    assert controller.state.job == "running"
    assert "waiting for the reading" in controller.state.checking
    assert not loop.held
    first.step()  # what comes late is not listened to
    assert controller.state.steps == 0
    first.finish()
    assert told == ["closed"]
    (second,) = loop.held
    second.step(3)
    assert (controller.state.step, controller.state.checking) == (1, "")
    controller.stop()  # this one has a step to keep
    assert controller.state.job == "stopping"
    second.finish()
    assert controller.state.job == "idle"


@pytest.mark.parametrize("how", ["stop", "project left"])
def test_what_waits_for_a_reading_to_end_can_be_stopped_too(controller, loop, monkeypatch, how):
    monkeypatch.setattr(runs, "training", loading_for_long([]))
    loop.hold = True
    controller.train()
    first = loop.held.pop()
    first.step()
    controller.stop()
    controller.train()
    if how == "stop":
        controller.stop()
    else:
        controller.close_project()
    assert controller.state.job == "idle"
    first.finish()
    assert not loop.held
    assert controller.state.job == "idle"


def test_a_reading_that_was_stopped_and_fails_says_nothing(controller, loop, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    loop.hold = True
    controller.train()
    first = loop.held.pop()
    controller.stop()
    first.on_end(RuntimeError("late"))
    assert (controller.state.job, controller.state.error) == ("idle", "")
    controller.train()
    assert loop.held


def test_adding_images_is_waited_for_and_tells_what_went_wrong(controller, loop, monkeypatch):
    """Images that came before Stop are there to stay, and so is what the user should know."""

    def adding(*_args, **_options):
        yield Started(stage="add", device="", steps=2)

    monkeypatch.setattr(runs, "adding", adding)
    loop.hold = True
    controller.add_files(["x.png"])
    job = loop.held.pop()
    controller.stop()
    assert job.stopped
    assert controller.state.job == "stopping"
    job.on_end(SegsizeError("x.png: the disk is full."))
    assert (controller.state.job, controller.state.error) == ("idle", "x.png: the disk is full.")


def test_two_long_jobs_exclude_each_other(controller, loop, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    loop.hold = True
    controller.train()
    for verb in (controller.train, controller.predict, controller.evaluate, controller.predict_plane):
        verb()
        assert "press Stop first" in controller.state.error
    controller.add_files(["x.png"])
    assert "press Stop first" in controller.state.error
    assert len(loop.held) == 1
    loop.held[0].step(2)
    controller.stop()
    controller.train()
    assert "still stopping" in controller.state.error
    loop.held[-1].finish()
    loop.hold = False
    controller.train()
    assert controller.state.comparison is not None


def test_switching_the_project_while_training(controller, loop, monkeypatch, tmp_path):
    saved = []
    monkeypatch.setattr(runs, "training", fake_training(saved))
    loop.hold = True
    controller.train()
    job = loop.held[-1]
    job.step(3)
    loop.hold = False
    assert controller.create_project(tmp_path / "other")
    assert job.stopped
    before = controller.state
    job.on_event(step(99))  # one that was on its way
    assert controller.state is before
    assert controller.state.job == "stopping"  # the old one still holds the engine
    assert controller.state.losses == ()
    loop.hold = True
    controller.train()
    assert "still stopping" in controller.state.error
    job.finish()
    assert saved == [2]
    assert controller.state.job == "idle"
    assert controller.state.name == "other"
    assert controller.state.resumable is None


def test_events_after_dispose_are_dropped(controller, loop, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    loop.hold = True
    controller.train()
    job = loop.held[-1]
    job.step(2)
    controller.dispose()
    assert job.stopped
    before = controller.state
    job.on_event(step(3))
    assert controller.state is before
    job.finish()
    assert controller.project is None


def test_a_sentence_from_the_engine(controller, monkeypatch):
    monkeypatch.setattr(
        runs, "training", fake_training(raises=SegsizeError("The loss is not a number: lower it."))
    )
    controller.train()
    assert controller.state.error == "The loss is not a number: lower it."
    assert controller.failures == ["The loss is not a number: lower it."]
    assert not controller.state.busy


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    "error", [OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("MPS backend out of memory")]
)
def test_out_of_memory_offers_the_cpu(controller, monkeypatch, error):
    monkeypatch.setattr(runs, "training", fake_training(raises=error))
    crashes = []
    controller.crashed.connect(crashes.append)
    controller.update(device="")
    controller.train()
    assert "Out of memory" in controller.state.error
    assert not crashes
    # it ran on the CPU: there is nothing else to offer
    assert not controller.state.offer_cpu


def test_out_of_memory_on_a_gpu(controller, monkeypatch):
    def training(*_args, **_options):
        yield Started(stage="pretrain", device="Some GPU", steps=10)
        raise OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(runs, "training", training)
    controller.train()
    assert controller.state.offer_cpu


def test_an_unforeseen_error_is_told_and_passed_on(controller, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training(raises=KeyError("weights")))
    crashes = []
    controller.crashed.connect(crashes.append)
    controller.train()
    assert "unexpected error (KeyError: 'weights')" in controller.state.error
    assert "untouched" in controller.state.error
    assert isinstance(crashes[0], KeyError)


def test_resume_keeps_the_curves(controller, loop, monkeypatch):
    monkeypatch.setattr(runs, "training", fake_training())
    loop.hold = True
    controller.train()
    loop.held[-1].step(4)
    controller.stop()
    loop.held[-1].finish()
    controller.train(resume=True)
    assert len(controller.state.losses) == 3
    controller.stop()
    loop.held[-1].finish()


def test_a_preview_of_another_plane_goes_when_the_plane_does(controller, monkeypatch):
    plane = controller.state.plane

    def segmenting_plane(folder, plane, *, mirrored):
        yield Started(stage="predict", device="CPU", steps=1)
        yield Preview(plane=plane, probabilities=np.zeros((32, 32), np.float32))
        yield Ended(stage="predict")

    monkeypatch.setattr(runs, "segmenting_plane", segmenting_plane)
    controller.predict_plane()
    assert controller.state.preview.plane == plane
    controller.next()
    assert controller.state.preview is None


def test_warming_up_says_what_it_does(loop, monkeypatch):
    monkeypatch.setattr(runs, "warming", lambda threads: iter_of(runs.Ready(device="CPU, 1 thread")))
    controller = Controller(loop)
    seen = []
    controller.state_changed.connect(lambda state: seen.append(state.engine))
    controller.warm_up()
    assert seen[0] == "loading"
    assert controller.state.engine == "ready"
    assert controller.state.device == "CPU, 1 thread"


def test_torch_that_cannot_be_loaded(loop, monkeypatch):
    def warming(threads):
        raise ImportError("no torch")
        yield

    monkeypatch.setattr(runs, "warming", warming)
    controller = Controller(loop)
    controller.warm_up()
    assert controller.state.engine == "failed"
    assert "annotating is" in controller.state.error


def iter_of(*events):
    yield from events


def test_long_histories_are_thinned():
    from napari_segsize.widgets.state import HISTORY, State, after

    state = State()
    for number in range(1, HISTORY + 50):
        state = after(state, step(number))
    assert len(state.losses) < HISTORY
    assert state.losses[-1].step == HISTORY + 49
