from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.exchange import read_sizes_csv
from napari_segsize.reader import get_reader, read_project, read_sizes
from napari_segsize.samples import synthetic_shapes

HEADER = "image,slice,object,y,x,size,unit\n"


@pytest.fixture
def csv_file(tmp_path: Path):
    def write(text: str, name: str = "sizes.csv") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_other_files_are_left_to_other_readers(tmp_path: Path, csv_file):
    assert get_reader(csv_file("a,b\n1,2\n")) is None
    assert get_reader(csv_file("", "empty_sizes.csv")) is None
    assert get_reader(str(tmp_path / "missing_sizes.csv")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(tmp_path / "a.segsize")]) is None
    (tmp_path / "binary_sizes.csv").write_bytes(b"\xff\xfe\x00\x81")
    assert get_reader(str(tmp_path / "binary_sizes.csv")) is None


def test_each_image_of_a_csv_becomes_a_points_layer_of_squares(csv_file):
    path = csv_file(HEADER + "b,1,o1,5,6,8,px\na,0,o2,1.5,2,4,\nb,2,o3,7,8,10,px\n")
    assert get_reader(path) is read_sizes
    (b, b_options, _), (a, a_options, kind) = read_sizes(path)
    assert kind == "points"
    assert np.array_equal(b, [[1, 5, 6], [2, 7, 8]])
    assert np.array_equal(a, [[0, 1.5, 2]])
    assert np.array_equal(b_options["size"], [8, 10])
    assert a_options["symbol"] == "square"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_is_read_as_the_project_reads_it(shapes_project: Project, tmp_path: Path, separator, encoding):
    name = shapes_project.images()[0].name
    decimal = "." if separator == "," else ","
    rows = [("Image", "y ", "X", "size", "unit", "object"), (name, f"3{decimal}5", "4", "5", "", "größer")]
    (tmp_path / "sizes.csv").write_bytes("\n".join(map(separator.join, rows)).encode(encoding))
    read_sizes_csv(shapes_project, tmp_path / "sizes.csv")
    path = str(tmp_path / "sizes.csv")
    assert get_reader(path) is read_sizes
    ((points, options, _),) = read_sizes(path)
    stored = {kind: (data, shown) for data, shown, kind in read_project(str(shapes_project.folder))}["points"]
    assert np.array_equal(points, stored[0])
    assert np.array_equal(points, [[0, 3.5, 4]])
    for key in ("size", "object"):
        assert list(options["features"][key]) == list(stored[1]["features"][key])
    assert list(options["size"]) == [6]  # as it is stored: even


def test_what_the_project_refuses_is_not_drawn(csv_file):
    with pytest.raises(SegsizeError, match=r"2 bad rows\. Line 2: .*negative.* Line 3: y: expected a number"):
        read_sizes(csv_file(HEADER + "a,0,,1,1,-2,px\na,0,,,1,2,px\na,0,,1,1,2,px\n"))


def test_sizes_without_a_place_are_sent_to_the_project(csv_file):
    with pytest.raises(SegsizeError, match="Import the file"):
        read_sizes(csv_file(HEADER + "a,0,,,,8,px\nb,0,,1,1,2.5,mm\n"))


def test_words_where_numbers_belong_are_named(csv_file):
    with pytest.raises(SegsizeError, match="big"):
        read_sizes(csv_file(HEADER + "a,0,,1,1,big,px\n"))


def test_a_project_opens_by_its_file_and_by_its_folder(shapes_project: Project):
    for path in (shapes_project.file, shapes_project.folder):
        assert get_reader(str(path)) is read_project
        ((image, options, kind),) = read_project(str(path))
        assert kind == "image"
        assert np.array_equal(np.asarray(image), synthetic_shapes(12, (32, 32)).images)
        assert options["metadata"]["planes"]["split"].count("validation") == 4


def test_masks_and_stamps_stand_on_their_planes(shapes_project: Project):
    first, second = shapes_project.planes()[:2]
    mask = np.zeros((32, 32), np.int32)
    mask[3:9, 4:10] = 1
    shapes_project.put_mask(second, mask)
    shapes_project.put_stamp(first, 8, centre=(10.0, 12.0))
    layers = {kind: (data, options) for data, options, kind in read_project(str(shapes_project.folder))}
    assert np.array_equal(layers["labels"][0][1], mask)
    assert np.array_equal(layers["points"][0], [[0, 10, 12]])
    assert np.array_equal(layers["points"][1]["size"], [8])
    assert layers["points"][1]["scale"] == layers["image"][1]["scale"]


def test_images_of_other_kinds_become_layers_of_their_own(tmp_path: Path):
    with Project.create(tmp_path / "mixed") as project:
        project.add_array("grey", np.zeros((20, 30), np.uint8) + np.arange(30, dtype=np.uint8), kind="image")
        project.add_array(
            "colour",
            np.zeros((20, 30, 3), np.uint8) + np.arange(30, dtype=np.uint8)[:, None],
            kind="image",
            rgb=True,
        )
        project.add_array(
            "volume",
            np.arange(2 * 20 * 30, dtype=np.uint16).reshape(2, 20, 30),
            kind="stack",
            spacing=(3.0, 1.0, 1.0),
            unit="um",
        )
    layers = {options["name"]: (data, options) for data, options, _ in read_project(str(tmp_path / "mixed"))}
    assert layers["grey"][0].shape == (1, 20, 30)
    assert layers["colour"][0].shape == (1, 20, 30, 3)
    assert layers["colour"][1]["rgb"]
    assert layers["volume"][1]["scale"] == (3.0, 1.0, 1.0)
    assert layers["volume"][1]["units"] == ("um", "um", "um")
    assert [options["visible"] for _, options in layers.values()] == [True, False, False]


def test_an_image_that_vanished_is_left_out(shapes_project: Project):
    gone = shapes_project.images()[0]
    (shapes_project.folder / gone.path).unlink()
    ((image, _, _),) = read_project(str(shapes_project.file))
    assert image.shape == (11, 32, 32)


def test_an_empty_project_says_what_to_do(tmp_path: Path):
    Project.create(tmp_path / "empty").close()
    with pytest.raises(SegsizeError, match="add one"):
        read_project(str(tmp_path / "empty"))


def test_planes_are_read_only_when_looked_at(shapes_project: Project):
    ((image, _, _),) = read_project(str(shapes_project.file))
    plane = PlaneRef(shapes_project.images()[3].id, 0)
    assert np.array_equal(np.asarray(image[3]), shapes_project.pixels(plane)[0])
