"""The dock widget in a real viewer: mouse and keys, a training, and what may go wrong meanwhile."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

pytest.importorskip("napari")
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton

from napari_segsize.engine.events import (
    Comparison,
    ComparisonRow,
    Ended,
    Loading,
    Preview,
    Started,
    StepDone,
    Validated,
)
from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef
from napari_segsize.widgets import recent, runs
from napari_segsize.widgets.main import TITLES, SegsizeWidget
from napari_segsize.widgets.network_choice import NetworkChoice

LEFT = Qt.MouseButton.LeftButton
TRAIN = TITLES.index("Train")


class Training:
    """Stands for the engine: made-up events, in the background thread, until it is let go."""

    def __init__(self, steps=10_000):
        self.steps, self.saved, self.raises = steps, [], None
        self.threads = set()

    def __call__(self, folder, pretrain, finetune, watch, **options):
        self.asked = (pretrain, finetune, options)
        done = 0
        try:
            yield Started(stage="pretrain", device="CPU", steps=self.steps, masks=3, sizes=4)
            for step in range(1, self.steps + 1):
                time.sleep(0.002)
                self.threads.add(threading.current_thread())
                if self.raises is not None:
                    raise self.raises
                done = step
                losses = {"total": 1 / step, "dice": 0.5 / step}
                yield StepDone(
                    stage="pretrain",
                    step=step,
                    steps=self.steps,
                    losses=losses,
                    seconds_left=60.0,
                    memory_mb=512.0,
                )
                if step % 10 == 0:
                    yield Validated(
                        stage="pretrain", step=step, metrics={"iou": 0.5, "size_error": 9.0}, best=True
                    )
                    if (plane := watch()) is not None:
                        yield Preview(plane=plane, probabilities=np.full((32, 32), 0.7, np.float32))
            rows = (
                ComparisonRow(name="masks only", iou=0.5, dice=0.6, size_error=9.0, images=4, model=1),
                ComparisonRow(
                    name="+ sizes and centres", iou=0.62, dice=0.7, size_error=4.0, images=4, model=2
                ),
            )
            table = Comparison(split="validation", rows=rows)
            yield Ended(stage="finetune", promoted=True, model=2, comparison=table)
        finally:
            self.saved.append((folder, done))


@pytest.fixture(autouse=True)
def no_torch(monkeypatch, tmp_path):
    """The widget is tested here, not the engine: nothing heavy is imported."""
    monkeypatch.setattr(runs, "warming", lambda threads: iter_of(runs.Ready(device="CPU, 1 thread")))
    monkeypatch.setattr(runs, "looking", lambda folder: iter_of(runs.Ready(device="CPU, 1 thread")))
    # the engine is only said to be there: asked for the memory it needs, it would be imported by the window
    monkeypatch.setattr(NetworkChoice, "_estimate", lambda *_: None)
    monkeypatch.setattr(recent, "_file", lambda: tmp_path / "config" / "recent.json")


def iter_of(*events):
    yield from events


@pytest.fixture
def training(monkeypatch):
    made = Training()
    monkeypatch.setattr(runs, "training", made)
    return made


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def widget(viewer, qtbot):
    made = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(made, name="Segsize")
    yield made
    made.controller.dispose()
    qtbot.waitUntil(lambda: not made.controller.state.busy, timeout=5000)


@pytest.fixture
def folder(shapes_project):
    return shapes_project.folder


@pytest.fixture
def opened(widget, folder, qtbot):
    assert widget.controller.open_project(folder)
    qtbot.waitUntil(lambda: len(widget.layers.viewer.layers) >= 3)
    return widget


def press(qtbot, page, text):
    (button,) = [each for each in page.findChildren(QPushButton) if each.text() == text]
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)
    return button


def begin(qtbot, widget):
    widget.tabs.setCurrentIndex(TRAIN)
    qtbot.waitUntil(widget.train_page.button.isEnabled)
    qtbot.mouseClick(widget.train_page.button, LEFT)
    qtbot.waitUntil(lambda: len(widget.controller.state.losses) > 15, timeout=5000)


def ended(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.controller.state.busy, timeout=5000)


def test_it_says_what_to_do_first(widget, qtbot):
    qtbot.waitUntil(lambda: widget.controller.state.engine == "ready")
    assert "Make a new one to begin" in widget.project_page._where.text()
    widget.tabs.setCurrentIndex(TRAIN)
    qtbot.waitUntil(lambda: "Open a project" in widget.train_page._used.text())
    assert not widget.train_page.button.isEnabled()


def test_torch_is_loaded_in_the_background(viewer, qtbot, monkeypatch):
    gate = threading.Event()

    def warming(threads):
        assert gate.wait(5)
        yield runs.Ready(device="CPU, 3 threads")

    monkeypatch.setattr(runs, "warming", warming)
    widget = SegsizeWidget(viewer)
    qtbot.addWidget(widget)
    assert "Loading torch" in widget.status.text()
    gate.set()
    qtbot.waitUntil(lambda: widget.controller.state.engine == "ready")
    qtbot.waitUntil(lambda: "Loading" not in widget.status.text())
    widget.controller.dispose()


def test_new_project_from_the_layers_on_screen(widget, viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "mine"), ""))
    press(qtbot, widget.project_page, "New…")
    assert (tmp_path / "mine" / "project.segsize").exists()
    layer = viewer.add_image(
        np.random.default_rng(0).random((40, 30)), name="cells", scale=(0.5, 0.5), units="um"
    )
    viewer.layers.selection = {layer}
    press(qtbot, widget.project_page, "Selected layers")
    qtbot.waitUntil(lambda: len(widget.controller.state.images) == 1)
    (image,) = widget.controller.state.images
    assert (image.name, image.shape) == ("cells", (40, 30))
    qtbot.waitUntil(lambda: widget.controller.state.plane is not None and not widget.controller.state.busy)
    assert recent.recent_projects() == (tmp_path / "mine",)


def test_the_table_shows_counts_and_opens_images(opened, qtbot):
    page, controller = opened.project_page, opened.controller
    controller.put_stamp(8, centre=(10, 10))
    model = page.table.model()
    qtbot.waitUntil(lambda: model.index(0, 4).data() == "1")
    second = model.index(1, 0)
    page.table.selectRow(1)
    qtbot.waitUntil(lambda: [image.id for image in page.table.selected()] == [controller.state.images[1].id])
    place = page.table.visualRect(second).center()
    qtbot.mouseClick(page.table.viewport(), LEFT, pos=place)
    qtbot.mouseDClick(page.table.viewport(), LEFT, pos=place)
    qtbot.waitUntil(lambda: controller.state.plane == PlaneRef(controller.state.images[1].id))


def test_a_long_group_leaves_room_for_the_name_of_its_image(opened, qtbot):
    controller, table = opened.controller, opened.project_page.table
    controller.set_group([controller.state.images[0].id], "a group with a name that is longer than the table")
    qtbot.waitUntil(lambda: controller.state.images[0].group.startswith("a group"))
    table.resize(420, 200)
    qtbot.waitUntil(lambda: abs(table.columnWidth(0) - table.columnWidth(1)) <= 1)


def test_the_table_counts_contours_and_what_is_begun(opened, qtbot):
    controller, model = opened.controller, opened.project_page.table.model()
    plane = controller.state.plane
    with controller.project.step("two"):
        controller.project.put_contour(plane, rings=[((2, 2), (2, 9), (9, 9))], source="drawn")
        controller.project.put_contour(plane, points=[(20, 10)])
    controller.poll()
    qtbot.waitUntil(lambda: model.index(0, 5).data() == "1 + 1", timeout=60_000)  # in the background
    assert model.index(1, 5).data() == "0"
    assert model.headerData(5, Qt.Orientation.Horizontal) == "Contours"


def test_parts_are_assigned_by_selection_and_at_random(opened, qtbot):
    page, controller = opened.project_page, opened.controller
    page.table.selectRow(0)
    page._on_split("test")
    assert controller.state.images[0].split == "test"
    page._validation.setValue(50)
    press(qtbot, page, "Deal out")
    assert sum(image.split == "validation" for image in controller.state.images) == 6
    page.table.clearSelection()
    press(qtbot, page, "Remove")
    qtbot.waitUntil(lambda: "No image is selected" in opened.status.text())


def test_groups_are_edited_in_the_table(opened, qtbot):
    table = opened.project_page.table
    assert table.model().setData(table.model().index(0, 1), "subject 7")
    assert opened.controller.state.images[0].group == "subject 7"


def test_a_missing_file_is_red_and_found_again(opened, qtbot, tmp_path, monkeypatch):
    controller = opened.controller
    image = controller.state.images[3]
    file = controller.state.folder / image.path
    file.rename(tmp_path / file.name)
    controller.reload()
    qtbot.waitUntil(lambda: "missing" in opened.project_page._hints.text())
    controller.show(PlaneRef(image.id))
    qtbot.waitUntil(lambda: "not there any more" in opened.status.text())
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: str(tmp_path))
    opened.project_page.table.clearSelection()
    press(qtbot, opened.project_page, "Relink…")
    qtbot.waitUntil(lambda: not controller.state.missing, timeout=30_000)
    qtbot.waitUntil(lambda: opened.layers.plane == PlaneRef(image.id))
    qtbot.waitUntil(lambda: opened.project_page.links.isHidden())


def test_a_changed_file_is_orange_and_used_when_that_is_agreed_to(opened, qtbot, monkeypatch):
    controller, page = opened.controller, opened.project_page
    image, other = controller.state.images[3], controller.state.images[0]
    folder, asked, answers = controller.state.folder, [], []
    (folder / image.path).write_bytes((folder / other.path).read_bytes())
    controller.show(PlaneRef(image.id))
    qtbot.waitUntil(lambda: "has changed since it was added" in opened.status.text())
    qtbot.waitUntil(lambda: "changed since being added" in page._hints.text())
    model = page.table.model()
    assert model.index(3, 0).data() == f"≠ {image.name}"
    assert "Use changed file" in model.index(3, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert page.links.relink.isHidden()

    def question(_parent, _title, text, *_):
        asked.append(text)
        return answers.pop(0)

    monkeypatch.setattr(QMessageBox, "question", question)
    page.table.clearSelection()
    press(qtbot, page, "Use changed file…")
    qtbot.waitUntil(lambda: "No image whose file has changed is selected" in opened.status.text())
    page.table.selectRow(3)
    answers[:] = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    press(qtbot, page, "Use changed file…")
    assert controller.state.changed == {image.id}
    press(qtbot, page, "Use changed file…")
    qtbot.waitUntil(lambda: not controller.state.changed, timeout=30_000)
    qtbot.waitUntil(lambda: opened.layers.plane == PlaneRef(image.id))
    qtbot.waitUntil(lambda: page.links.isHidden())
    assert all(image.name in text for text in asked)
    assert model.index(3, 0).data() == image.name


def test_a_file_that_has_moved_and_changed(opened, qtbot, tmp_path, monkeypatch):
    controller, page = opened.controller, opened.project_page
    image, other = controller.state.images[3], controller.state.images[0]
    (controller.state.folder / image.path).unlink()
    controller.reload()
    new = tmp_path / "new.tif"
    new.write_bytes((controller.state.folder / other.path).read_bytes())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(new), ""))
    monkeypatch.setattr(QMessageBox, "question", lambda *a, **k: QMessageBox.StandardButton.Yes)
    qtbot.waitUntil(lambda: not page.links.isHidden())
    page.table.selectRow(3)
    press(qtbot, page, "Relink…")
    qtbot.waitUntil(lambda: "its content differs" in opened.status.text(), timeout=30_000)
    press(qtbot, page, "Use changed file…")
    qtbot.waitUntil(lambda: not controller.state.missing, timeout=30_000)
    assert controller.project.file_of(image.id) == new


def test_errors_are_red_and_notified(opened, qtbot):
    before = len(notification_manager.records)
    opened.controller.put_stamp(-3, centre=(4, 4))
    qtbot.waitUntil(lambda: "cannot be negative" in opened.status.text())
    assert "#e05050" in opened.status.text()
    assert len(notification_manager.records) == before + 1
    opened.controller.put_stamp(6, centre=(4, 4))
    qtbot.waitUntil(lambda: "Saved" in opened.status.text())
    assert "#e05050" not in opened.status.text()


# --- training


def test_the_train_page_counts_what_there_is(opened, qtbot):
    plane = next(p for p in opened.controller.project.planes("train"))
    image = opened.controller.project.image(plane.image)
    opened.controller.show(plane)
    opened.controller.put_mask(plane, np.eye(*image.shape, dtype=np.int32))
    learn = opened.controller.state.counts.by_split["train"]
    said = ", ".join(
        f"1 {word}" if count == 1 else f"{count} {word}s"
        for count, word in ((learn.masks, "mask"), (learn.sizes, "size"))
    )
    assert 1 in (learn.masks, learn.sizes)
    qtbot.waitUntil(lambda: opened.train_page._used.text().startswith(f"To learn from: {said}. "))


def test_train_watch_stop_resume(opened, training, qtbot, monkeypatch):
    page, controller = opened.train_page, opened.controller

    def looking(folder):  # as the engine finds it on the disk
        left = runs.Resume(stage="pretrain", step=training.saved[-1][1], steps=training.steps)
        yield runs.Ready(device="CPU, 1 thread", resumable=left)

    monkeypatch.setattr(runs, "looking", looking)
    begin(qtbot, opened)
    qtbot.waitUntil(lambda: page.button.text() == "Stop")
    qtbot.waitUntil(lambda: opened.layers.preview is not None)
    qtbot.waitUntil(lambda: len(page.curves._lines) == 4)  # total, dice, IoU, size error
    assert "0.5 GiB" in page._facts.text()
    assert "60 s left" in page._facts.text()
    assert opened._activity.is_shown
    begun = time.perf_counter()
    qtbot.mouseClick(page.button, LEFT)
    assert controller.state.job == "stopping"
    ended(qtbot, opened)
    assert time.perf_counter() - begun < 1
    assert threading.main_thread() not in training.threads
    done = controller.state.step
    assert training.saved == [(controller.state.folder, done)]
    qtbot.waitUntil(lambda: page.button.text() == f"Resume from step {done}")
    assert not opened._activity.is_shown
    assert f"step {done} of" in page.button.toolTip()
    assert "previous model is untouched" in opened.status.text()
    begin(qtbot, opened)
    qtbot.waitUntil(lambda: training.asked[2]["resume"] is True)
    controller.stop()
    ended(qtbot, opened)


def test_the_images_that_are_read_are_counted(opened, qtbot, monkeypatch):
    gate = threading.Event()

    def training(*_args, **_options):
        yield Loading(stage="pretrain", done=3, total=20)
        assert gate.wait(5)

    monkeypatch.setattr(runs, "training", training)
    opened.tabs.setCurrentIndex(TRAIN)
    opened.controller.train()
    try:
        qtbot.waitUntil(lambda: "reading image 3 of 20" in opened.status.text())
        assert "reading image 3 of 20" in opened.train_page._bar.format()
    finally:
        gate.set()
    ended(qtbot, opened)


def test_the_end_is_a_table(opened, training, qtbot):
    training.steps = 20
    begin(qtbot, opened)
    ended(qtbot, opened)
    page = opened.train_page
    qtbot.waitUntil(lambda: page._table.rowCount() == 2)
    assert [page._table.item(row, 0).text() for row in range(2)] == ["masks only", "+ sizes and centres"]
    assert page._table.item(1, 3).text() == "2.0 px"
    assert page._table.item(1, 1).font().bold()
    assert "0.120 IoU better than masks only" in page._verdict.text()
    assert page.button.text() == "Train"
    training.steps = 10_000
    begin(qtbot, opened)  # the table of the last training goes
    qtbot.waitUntil(lambda: page._table.isHidden())
    opened.controller.stop()
    ended(qtbot, opened)


def test_settings_reach_the_training(opened, training, qtbot):
    page = opened.train_page
    page.pretrain.editor("learning_rate").setValue(1e-4)
    page.finetune.editor("samples").setValue(8)
    page._device.setCurrentText("cpu")
    page._what.setCurrentText("Masks only")
    begin(qtbot, opened)
    pretrain, finetune, options = training.asked
    assert (pretrain.learning_rate, pretrain.device) == (1e-4, "cpu")
    assert (finetune.samples, finetune.device) == (8, "cpu")
    assert options["what"] == "pretrain"
    qtbot.waitUntil(lambda: not page._settings.isEnabled())
    opened.controller.stop()
    ended(qtbot, opened)
    qtbot.waitUntil(page._settings.isEnabled)


def test_settings_that_do_not_fit_are_refused(opened, training, qtbot):
    page = opened.train_page
    for name in ("size_weight", "centre_weight", "mask_batch_size", "extent_weight"):
        page.finetune.editor(name).setValue(0)
    qtbot.waitUntil(page.button.isEnabled)
    qtbot.mouseClick(page.button, LEFT)
    assert "do not fit together" in opened.controller.state.error
    assert not opened.controller.state.busy


def test_annotating_goes_on_while_training(opened, training, qtbot):
    begin(qtbot, opened)
    assert opened.controller.put_stamp(8, centre=(8, 8)) is not None
    opened.controller.next()
    plane = opened.controller.state.plane
    qtbot.waitUntil(lambda: opened.layers.preview is not None and opened.layers.preview[0] == plane)
    opened.controller.stop()
    ended(qtbot, opened)


def test_what_was_segmented_is_shown_whatever_training_shows(opened, qtbot, monkeypatch):
    def segmenting(folder, config, watch):
        yield Started(stage="predict", device="CPU", steps=1)
        yield Preview(plane=watch(), probabilities=np.full((32, 32), 0.7, np.float32))
        time.sleep(0.3)  # it is drawn while the job still goes on
        yield Ended(stage="predict", message="1 label images in labels")

    monkeypatch.setattr(runs, "segmenting", segmenting)
    opened.train_page._preview.setChecked(False)
    opened.controller.predict()
    ended(qtbot, opened)
    qtbot.waitUntil(lambda: opened.layers.preview is not None)
    qtbot.waitUntil(lambda: "Prediction" in opened.layers.viewer.layers)
    qtbot.waitUntil(lambda: "1 label images" in opened.status.text())


def test_the_layer_of_previews_is_there_before_the_work_begins(opened, viewer, qtbot, monkeypatch):
    there = []

    def failing(*_args, **_options):
        there.append("Prediction" in viewer.layers)
        raise SegsizeError("No masks at all.")
        yield

    monkeypatch.setattr(runs, "training", failing)
    opened.train_page.button.click()
    ended(qtbot, opened)
    assert there == [True]
    qtbot.waitUntil(lambda: "Prediction" not in viewer.layers)  # nothing was predicted


def test_without_previews_no_layer_is_made_for_them(opened, viewer, training, qtbot):
    opened.train_page._preview.setChecked(False)
    begin(qtbot, opened)
    assert "Prediction" not in viewer.layers
    opened.controller.stop()
    ended(qtbot, opened)


def test_layers_deleted_while_training(opened, viewer, training, qtbot):
    begin(qtbot, opened)
    qtbot.waitUntil(lambda: opened.layers.preview is not None)
    viewer.layers.clear()
    steps = opened.controller.state.step
    qtbot.waitUntil(lambda: opened.controller.state.step > steps + 30, timeout=5000)
    opened.controller.next()
    qtbot.waitUntil(lambda: len(viewer.layers) >= 3)
    opened.controller.stop()
    ended(qtbot, opened)
    assert not opened.controller.state.error


def test_project_switched_while_training(opened, training, qtbot, tmp_path):
    old = opened.controller.state.folder
    begin(qtbot, opened)
    assert opened.controller.create_project(tmp_path / "other")
    ended(qtbot, opened)
    assert training.saved[0][0] == old
    assert training.saved[0][1] > 15
    state = opened.controller.state
    assert (state.name, state.losses, state.preview) == ("other", (), None)
    qtbot.waitUntil(lambda: opened.layers.preview is None)
    qtbot.waitUntil(lambda: opened.train_page.button.text() == "Train")


def test_dock_closed_while_training(opened, viewer, training, qtbot):
    begin(qtbot, opened)
    controller = opened.controller
    viewer.window.remove_dock_widget(opened)
    opened.deleteLater()
    qtbot.waitUntil(lambda: bool(training.saved), timeout=5000)
    qtbot.waitUntil(lambda: controller.project is None)
    viewer.add_image(np.zeros((4, 4)))  # nobody listens any more


def test_window_closed_while_training(make_napari_viewer, training, folder, qtbot):
    viewer = make_napari_viewer()
    widget = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segsize")
    widget.controller.open_project(folder)
    begin(qtbot, widget)
    viewer.close()
    qtbot.waitUntil(lambda: bool(training.saved), timeout=5000)
    assert training.saved[0][1] > 15


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SegsizeError("The loss is not a number: choose a smaller learning rate."), "choose a smaller"),
        (RuntimeError("CUDA error: out of memory"), "Out of memory"),
        (MemoryError(), "Out of memory"),
    ],
)
def test_a_failed_training_says_why(opened, training, qtbot, error, words):
    training.raises = error
    opened.tabs.setCurrentIndex(TRAIN)
    qtbot.waitUntil(opened.train_page.button.isEnabled)
    qtbot.mouseClick(opened.train_page.button, LEFT)
    qtbot.waitUntil(lambda: words in opened.status.text(), timeout=5000)
    assert not opened.controller.state.busy
    qtbot.waitUntil(lambda: opened.train_page.button.text() == "Train")


def test_out_of_memory_on_a_gpu_offers_the_cpu(opened, training, qtbot):
    opened.tabs.setCurrentIndex(TRAIN)
    opened.controller.fail("Out of memory.", offer_cpu=True)
    page = opened.train_page
    qtbot.waitUntil(lambda: page._on_cpu.isVisible())
    qtbot.mouseClick(page._on_cpu, LEFT)
    qtbot.waitUntil(lambda: len(opened.controller.state.losses) > 1)
    assert training.asked[0].device == "cpu"
    assert not opened.controller.state.offer_cpu
    opened.controller.stop()
    ended(qtbot, opened)


def test_an_unforeseen_error_is_shown_by_napari(opened, training, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr(notification_manager, "receive_error", lambda kind, error, trace: shown.append(error))
    training.raises = KeyError("weights")
    opened.tabs.setCurrentIndex(TRAIN)
    qtbot.waitUntil(opened.train_page.button.isEnabled)
    qtbot.mouseClick(opened.train_page.button, LEFT)
    qtbot.waitUntil(lambda: "unexpected error" in opened.status.text(), timeout=5000)
    assert isinstance(shown[0], KeyError)


def test_two_viewers_on_one_project(make_napari_viewer_proxy, opened, folder, qtbot):
    other = SegsizeWidget(make_napari_viewer_proxy())
    qtbot.addWidget(other)
    other.controller.open_project(folder)
    stamp = opened.controller.put_stamp(8, centre=(9, 9))
    qtbot.waitUntil(lambda: other.controller.state.annotation.stamps == (stamp,), timeout=4000)
    qtbot.waitUntil(lambda: len(other.layers.stamps.layer.data) == 1)
    other.controller.dispose()


def test_drawing_is_throttled(opened, training, qtbot, monkeypatch):
    drawn = []
    render = opened.train_page.render
    monkeypatch.setattr(
        opened.train_page, "render", lambda state: (drawn.append(time.monotonic()), render(state))
    )
    begin(qtbot, opened)
    drawn.clear()
    qtbot.wait(1000)
    assert 2 <= len(drawn) <= 12
    opened.controller.stop()
    ended(qtbot, opened)


def test_nothing_is_left_of_a_deleted_widget(make_napari_viewer, folder, qtbot):
    viewer = make_napari_viewer()
    widget = SegsizeWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segsize")
    widget.controller.open_project(folder)
    qtbot.waitUntil(lambda: len(viewer.layers) >= 3)
    controller = weakref.ref(widget.controller)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    QApplication.processEvents()
    del widget
    qtbot.wait(200)

    def gone():
        gc.collect()
        return controller() is None or controller().project is None

    qtbot.waitUntil(gone, timeout=3000)


def test_pages_are_not_cut_off(opened, qtbot):
    for index in range(len(TITLES)):
        opened.tabs.setCurrentIndex(index)
        qtbot.wait(50)
        scroll = opened.tabs.widget(index)
        assert scroll.widget().minimumSizeHint().width() <= scroll.viewport().width()


def test_choosing_the_papers_recipe_brings_its_values(make_napari_viewer, qtbot) -> None:
    from napari_segsize.engine.config import FineTuneConfig

    widget = SegsizeWidget(make_napari_viewer())
    qtbot.addWidget(widget)
    form = widget.train_page.finetune
    form.set_config(FineTuneConfig(steps=77, recipe="paper"))
    assert form.config() == FineTuneConfig.paper(steps=77)
    form.set_config(FineTuneConfig.paper(steps=77).with_recipe("segsize"))
    assert form.config() == FineTuneConfig(steps=77)


def test_a_project_opens_with_the_loss_it_was_trained_with_last(widget, folder, qtbot, tmp_path):
    loss = widget.train_page.loss
    assert widget.controller.open_project(folder)
    fresh = loss.recipe()
    project = widget.controller.opened()
    for number, (stage, config) in enumerate(
        (("pretrain", {"loss": "dice + 0.01*boundary"}), ("edges", {"loss": "bce"}), ("finetune", {}))
    ):
        file = project.models_folder / f"{number}.pt"
        file.touch()
        project.add_model(file, stage=stage, metrics={}, config=config)
    assert loss.recipe() == fresh
    assert widget.controller.create_project(tmp_path / "other")
    qtbot.waitUntil(lambda: widget.train_page._folder == tmp_path / "other")
    loss.set_recipe("focal")
    assert widget.controller.open_project(folder)
    qtbot.waitUntil(lambda: loss.recipe() == "dice + 0.01*boundary")
    assert loss.line.text() == loss.recipe()


def test_the_loss_on_the_page_is_what_is_trained_on(opened, training, qtbot):
    page = opened.train_page
    opened.tabs.setCurrentIndex(TRAIN)
    qtbot.waitUntil(page.loss.button.isEnabled)
    qtbot.mouseClick(page.loss.button, LEFT)
    assert page.loss.is_open
    page.loss._edit.selectAll()
    qtbot.keyClicks(page.loss._edit, "dice + 0.01*bondary")
    qtbot.mouseClick(page.button, LEFT)
    assert "did you mean boundary?" in opened.controller.state.error
    assert not opened.controller.state.busy
    page.loss._edit.selectAll()
    qtbot.keyClicks(page.loss._edit, "dice + 0.01*boundary")
    begin(qtbot, opened)
    pretrain, finetune, _ = training.asked
    assert pretrain.loss == finetune.loss == "dice + 0.01*boundary"
    assert not page.loss.isEnabled()
    qtbot.mouseClick(page.button, LEFT)
    ended(qtbot, opened)
