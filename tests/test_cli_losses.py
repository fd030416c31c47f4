"""The catalogue of losses and the microscope on the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from napari_segsize.cli import app
from napari_segsize.cli.command import EXIT_USER
from napari_segsize.losses import LOSSES
from napari_segsize.losses.microscope import microscope
from napari_segsize.losses.recipe import PRESETS

SHAPE = (12, 15)


def truth() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 4:10] = 1
    return mask


def probabilities() -> np.ndarray:
    moved = np.roll(truth(), 2, 1) * 0.7 + 0.1
    moved[0, 0] = 0.6  # a ghost
    return moved.astype(np.float32)


@pytest.fixture
def files(tmp_path):
    """Prediction and target in several formats, by name."""
    tifffile.imwrite(tmp_path / "prob.tif", probabilities())
    np.save(tmp_path / "prob.npy", probabilities())
    Image.fromarray(np.round(255 * probabilities()).astype(np.uint8)).save(tmp_path / "prob.png")
    Image.fromarray(255 * truth()).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", truth().astype(bool))
    tifffile.imwrite(tmp_path / "mask.tif", truth())
    return tmp_path


@pytest.fixture
def look(files):
    def run(name: str, prediction: str = "prob.tif", target: str | None = "mask.png", *more: str):
        wanted = [] if target is None else ["--target", str(files / target)]
        words = ["loss", name, "--prediction", str(files / prediction), *wanted, *more]
        return CliRunner().invoke(app, words)

    return run


def seen(done) -> dict:
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert found["result"] == "loss"
    return found


def sentence(done) -> str:
    assert done.exit_code == EXIT_USER, done.output
    assert not done.stdout
    return " ".join(done.stderr.split())


def test_the_catalogue_is_complete_for_programs_and_whole_for_people():
    done = CliRunner().invoke(app, ["losses", "--json"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    presets = [line for line in lines if line["result"] == "presets"]
    assert [(row["loss"], row["advice"]) for row in presets] == list(PRESETS.values())
    rows = [line for line in lines if line["result"] == "losses"]
    assert [row["name"] for row in rows] == list(LOSSES)
    for row in rows:
        info = LOSSES[row["name"]]
        assert (row["acts_on"], row["advice"]) == (info.acts_on, info.advice)
        assert row["needs"] == (", ".join(info.needs) or "nothing")
    text = CliRunner().invoke(app, ["losses"], env={"COLUMNS": "80"}).stdout
    assert "…" not in text
    for word in [*LOSSES, *LOSSES["topology"].advice.split()]:
        assert word in text


@pytest.mark.parametrize("prediction", ["prob.tif", "prob.npy"])
@pytest.mark.parametrize("target", ["mask.png", "mask.npy", "mask.tif"])
def test_every_format_gives_what_the_microscope_gives(look, prediction, target):
    expected = microscope("boundary", probabilities(), truth())
    found = seen(look("boundary", prediction, target, "--json"))
    assert found["value"] == expected.value
    assert found["maps"] == list(expected.maps)
    assert found["files"] == []


def test_people_get_the_value_and_the_notices(look, files):
    np.save(files / "empty.npy", np.zeros(SHAPE, bool))
    done = look("boundary", "prob.tif", "empty.npy")
    expected = microscope("boundary", probabilities(), np.zeros(SHAPE, bool))
    assert done.stdout.splitlines() == [f"boundary: {expected.value:.6g}", *expected.notices]
    assert expected.notices


def test_files_hold_the_gradient_the_maps_and_their_pictures(look, files):
    found = seen(
        look("hausdorff_erosion", "prob.tif", "mask.png", "--out", str(files / "new" / "o"), "--json")
    )
    view = microscope("hausdorff_erosion", probabilities(), truth())
    folder = files / "new" / "o"
    steps = len(view.maps["residues"])
    names = ["gradient.tif", "gradient.png", "non-overlap.tif", "non-overlap.png", "residues.tif"]
    names += [f"residues-{number}.png" for number in range(1, steps + 1)]
    assert found["files"] == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name, expected in {"gradient": view.gradient, **view.maps}.items():
        numbers = tifffile.imread(folder / f"{name}.tif")
        assert numbers.dtype == np.float32
        np.testing.assert_array_equal(numbers, expected)
    for name in names:
        if name.endswith(".png"):
            assert np.asarray(Image.open(folder / name)).shape == (*SHAPE, 3)
    colours = np.asarray(Image.open(folder / "gradient.png")).astype(int)
    assert np.all(colours[view.gradient > 1e-2][:, 0] > colours[view.gradient > 1e-2][:, 2])  # red
    assert np.all(colours[view.gradient < -1e-2][:, 0] < colours[view.gradient < -1e-2][:, 2])  # blue
    assert (view.gradient > 1e-2).any()
    assert (view.gradient < -1e-2).any()


def test_dots_of_a_diagram_are_said_and_drawn(look, files):
    found = seen(look("topology", "prob.tif", "mask.png", "--out", str(files), "--json"))
    view = microscope("topology", probabilities(), truth())
    assert [tuple(dot["birth_pixel"]) for dot in found["dots"]] == [dot.birth_pixel for dot in view.dots]
    colours = np.asarray(Image.open(files / "dots.png"))
    ghost = next(dot for dot in view.dots if not dot.wanted and dot.birth_pixel == (0, 0))
    assert tuple(colours[ghost.birth_pixel]) == (213, 94, 0)


def test_what_the_numbers_are(look, files):
    np.save(files / "logits.npy", 4 * probabilities() - 2)
    as_logits = seen(look("dice", "prob.tif", "mask.png", "--as", "logits", "--json"))
    assert as_logits["value"] == microscope("dice", probabilities(), truth(), kind="logits").value
    assert "--as probabilities" in as_logits["notices"][0]
    as_mask = seen(look("dice", "prob.tif", "mask.png", "--as", "mask", "--json"))
    assert as_mask["value"] == microscope("dice", probabilities(), truth(), kind="mask").value
    assert "--as logits" in sentence(look("dice", "logits.npy", "mask.png", "--as", "probabilities"))


def test_a_picture_of_probabilities(look):
    shares = np.round(255 * probabilities()).astype(np.uint8) / 255
    found = seen(look("dice", "prob.png", "mask.png", "--as", "probabilities", "--json"))
    assert found["value"] == microscope("dice", shares, truth()).value
    guessed = seen(look("dice", "prob.png", "mask.png", "--json"))
    assert guessed["value"] == microscope("dice", shares > 0, truth()).value
    assert "taken for a mask" in guessed["notices"][0]
    assert not seen(look("dice", "mask.png", "mask.png", "--json"))["notices"]


def test_targets_that_are_no_masks(look, files):
    np.save(files / "centre.npy", np.array([5.5, 6.5]))
    colours = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    Image.fromarray(colours).save(files / "colours.png")
    found = seen(look("centroid", "prob.tif", "centre.npy", "--json"))
    assert found["marks"]["true centre"] == [[5.5, 6.5]]
    image = np.moveaxis(colours, -1, 0)
    value = microscope("chan_vese", probabilities(), image).value
    assert seen(look("chan_vese", "prob.tif", "colours.png", "--json"))["value"] == pytest.approx(value)


def test_a_mask_says_what_a_loss_without_masks_learns_from(look, files):
    for name, target, word in (
        ("centroid", np.array([5.5, 6.5]), "centre"),
        ("size", np.array(6.0), "size"),
        ("area_bounds", np.array([32.4, 39.6]), "bounds"),
        ("projection", np.array([3.0, 4, 8, 9]), "extreme points"),
    ):
        np.save(files / "said.npy", target)
        found = seen(look(name, "prob.tif", "mask.png", "--json"))
        assert any(word in each for each in found["notices"])
        if name in ("centroid", "area_bounds"):  # a sampled gradient, and points that say more than a box
            assert found["value"] == pytest.approx(
                seen(look(name, "prob.tif", "said.npy", "--json"))["value"]
            )
    np.save(files / "contour.npy", np.array([[2.0, 3.0], [2.0, 11.0], [10.0, 11.0], [10.0, 3.0]]))
    assert "extreme points" in seen(look("extreme_points", "contour.npy", "mask.png", "--json"))["notices"][0]
    np.save(files / "three.npy", np.zeros(3))
    np.save(files / "wide.npy", np.zeros((12, 16), bool))
    np.save(files / "empty.npy", np.zeros(SHAPE, bool))
    assert "the centre of the object, 2 numbers (y, x)" in sentence(look("centroid", "prob.tif", "three.npy"))
    assert "12 x 16" in sentence(look("centroid", "prob.tif", "wide.npy"))
    assert "empty" in sentence(look("centroid", "prob.tif", "empty.npy"))


def test_a_contour_has_a_gradient_and_the_picture_of_its_mask(look, files):
    contour = np.array([[2.0, 3.0], [2.0, 11.0], [10.0, 11.0], [10.0, 3.0]])
    np.save(files / "contour.npy", contour)
    more = ("--shape", "12", "15", "--out", str(files / "o"), "--json")
    found = seen(look("balloon", "contour.npy", None, *more))
    view = microscope("balloon", contour, shape=SHAPE)
    assert found["value"] == view.value
    names = ["gradient.tif", "rendered-mask.tif", "rendered-mask.png", "outside.tif", "outside.png"]
    assert found["files"] == [str(files / "o" / name) for name in names]
    assert tifffile.imread(files / "o" / "gradient.tif").shape == (4, 2)
    np.testing.assert_array_equal(tifffile.imread(files / "o" / "gradient.tif"), view.gradient)
    assert "needs --shape" in sentence(look("balloon", "contour.npy", None))
    assert "no option shape" in sentence(look("dice", "prob.tif", "mask.png", "--shape", "12", "15"))


def test_bad_input_gets_one_sentence(look, files):
    np.save(files / "wide.npy", np.zeros((12, 16), bool))
    np.save(files / "stack.npy", np.zeros((3, *SHAPE)))
    np.save(files / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez(files / "two", a=truth(), b=truth())
    (files / "two.npz").rename(files / "two.npy")
    (files / "text.npy").write_text("not an array")
    tifffile.imwrite(files / "stack.tif", np.zeros((3, *SHAPE), np.float32), photometric="minisblack")
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(files / "colours.png")
    assert 'Did you mean "boundary"?' in sentence(look("bondary"))
    assert "(12, 15)" in sentence(look("dice", "prob.tif", "wide.npy"))
    assert "(12, 16)" in sentence(look("dice", "prob.tif", "wide.npy"))
    assert "needs the mask" in sentence(look("dice", "prob.tif", None))
    assert "2-D image" in sentence(look("dice", "stack.npy"))
    assert "3 planes" in sentence(look("dice", "stack.tif"))
    assert "3 channels" in sentence(look("dice", "prob.tif", "colours.png"))
    assert "numpy.save" in sentence(look("dice", "text.npy"))
    assert "numpy.save" in sentence(look("dice", "objects.npy"))
    assert "several arrays" in sentence(look("dice", "two.npy"))
    assert "gone.tif" in sentence(look("dice", "gone.tif"))
    assert "gone.npy" in sentence(look("dice", "gone.npy"))
    (files / "taken").write_text("a file")
    assert "taken" in sentence(look("dice", "prob.tif", "mask.png", "--out", str(files / "taken")))


def test_help_needs_no_torch():
    code = (
        "import sys; from napari_segsize.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    for said in (["losses", "--help"], ["loss", "--help"]):
        assert subprocess.run([sys.executable, "-c", code, *said], capture_output=True).returncode == 0


def test_a_recipe_and_a_preset_reach_the_training(shapes_project):
    from napari_segsize.samples import synthetic_shapes

    for plane, mask in zip(shapes_project.planes(), synthetic_shapes(12, (32, 32)).masks, strict=True):
        shapes_project.put_mask(plane, mask.astype(np.int32))
    few = ["--steps", "1", "--batch-size", "2", "--validate-every", "9", "--device", "cpu", "--json"]
    for said, terms in (
        (["--loss", "dice + 0.01*boundary"], {"dice", "boundary", "total"}),
        (["--preset", "noisy-masks"], {"cross-entropy", "active contour", "total"}),
    ):
        done = CliRunner().invoke(app, ["pretrain", str(shapes_project.folder), *said, *few])
        assert done.exit_code == 0, done.output
        (losses,) = [
            line["losses"]
            for line in map(json.loads, done.stdout.splitlines())
            if line["event"] == "StepDone"
        ]
        assert set(losses) == terms
