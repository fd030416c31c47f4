"""Outlines out to other programs and in again: the same pixels, and what peers write is understood."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segsize.errors import SegsizeError
from napari_segsize.project import Contour, ImageRecord, PlaneRef, Project
from napari_segsize.project.contour_files import FORMATS, export_contours, import_contours
from napari_segsize.project.contour_files.exchange import _reading
from napari_segsize.project.contour_files.page import Page, as_one
from napari_segsize.project.contour_files.rle import decoded, lengths_of, mask_of_lengths
from napari_segsize.project.outlines import labels_of, mask_of, rings_of
from napari_segsize.project.rings import GRID, on_grid

SHAPE = (12, 15)
SQUARE = ((2.0, 3.0), (8.0, 3.0), (8.0, 9.0), (2.0, 9.0))
HOLE = ((4.0, 4.0), (4.0, 6.0), (6.0, 6.0))
EIGHT = ((2.0, 2.0), (9.0, 9.0), (9.0, 2.0), (2.0, 9.0))
RECORD = ImageRecord(
    id=1, name="cells", path="images/cells.tif", sha256="0", planes=1, channels=1, height=12, width=15,
    dtype="uint8", spacing=(1, 1, 1), unit="pixel", group="cells", split="train", rgb=False,
)  # fmt: skip

vertex = st.tuples(*(st.integers(-GRID, (side + 1) * GRID).map(lambda k: k / GRID) for side in SHAPE))


@st.composite
def star(draw: st.DrawFn) -> list[tuple[tuple[float, float], ...]]:
    """A simple polygon around a place, with a smaller one inside as its hole."""
    middle = np.array([draw(st.floats(3, side - 4)) for side in SHAPE])
    radii = np.array(draw(st.lists(st.floats(1.5, 9), min_size=3, max_size=12)))
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii)
    around = np.stack((np.sin(angles), np.cos(angles)), axis=1)
    rings = [middle + radii[:, None] * around]
    if draw(st.booleans()):
        rings.append(middle + radii[:, None] * around * draw(st.floats(0.3, 0.7)))
    return [tuple(map(tuple, on_grid(ring).tolist())) for ring in rings]


outlines = st.one_of(
    star(),
    arrays(bool, SHAPE).filter(lambda mask: bool(mask.any())).map(lambda mask: list(rings_of(mask))),
    st.lists(st.lists(vertex, min_size=3, max_size=7, unique=True).map(tuple), min_size=1, max_size=3).filter(
        lambda rings: all(shapely.convex_hull(shapely.MultiPoint(ring)).area > 0 for ring in rings)
    ),
)


def contour(name: str, *rings: Any) -> Contour:
    return Contour(object=name, rings=tuple(rings), source="drawn")


def written(suffix: str, *contours: Contour, record: ImageRecord = RECORD) -> Any:
    """The outlines of a file that these contours were written to."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"cells{suffix}"
        FORMATS[suffix].write([Page(record=record, slice=0, contours=contours)], file)
        reading = _reading(file)
    assert reading.bad == []
    return reading.outlines


@pytest.mark.parametrize("suffix", list(FORMATS))
@settings(deadline=None, max_examples=25)
@given(rings=outlines)
def test_an_outline_comes_back_with_the_same_pixels(suffix: str, rings: list[Any]) -> None:
    found = written(suffix, contour("a", *rings))
    mask = mask_of(rings, SHAPE)
    if suffix == ".tif" and not mask.any():
        assert found == []
        return
    (outline,) = found
    assert outline.object == "a"
    assert np.array_equal(mask_of(as_one(outline.polygons, SHAPE), SHAPE), mask)


@pytest.mark.parametrize("suffix", [".csv", ".geojson", ".zip", ".json"])
@settings(deadline=None, max_examples=15)
@given(rings=star())
def test_the_vertices_come_back(suffix: str, rings: list[Any]) -> None:
    if suffix == ".json":
        rings = rings[:1]  # holes are run lengths there
    (outline,) = written(suffix, contour("a", *rings))
    (polygon,) = outline.polygons
    assert [on_grid(ring).tolist() for ring in polygon] == [on_grid(ring).tolist() for ring in rings]


@settings(deadline=None, max_examples=25)
@given(st.lists(outlines, min_size=1, max_size=4))
def test_label_images_hold_whole_objects_in_order(drawn: list[list[Any]]) -> None:
    contours = [contour(f"{k}", *rings) for k, rings in enumerate(drawn)]
    found = written(".tif", *contours)
    labels = labels_of(contours, SHAPE)
    assert [int(outline.object) + 1 for outline in found] == [k for k in np.unique(labels) if k]
    for outline in found:
        assert np.array_equal(mask_of(outline.polygons[0], SHAPE), labels == int(outline.object) + 1)


@pytest.fixture
def annotated(project: Project) -> Project:
    """Contours on two planes of the volume and on the flat image, points on the third plane."""
    with project.step("Contours"):
        project.put_contour(PlaneRef(1, 0), object="left", rings=[SQUARE, HOLE], source="network")
        project.put_contour(PlaneRef(1, 0), rings=[np.array(SQUARE) + 8], source="snake")
        project.put_contour(PlaneRef(1, 1), object="1", points=((2.0, 3.0),))
        project.put_contour(PlaneRef(1, 2), object="näme/1", rings=rings_of(np.eye(9)), source="drawn")
        project.put_contour(PlaneRef(2), object="left", points=((1.0, 1.0),), rings=[HOLE], source="import")
    return project


@pytest.fixture
def other(annotated: Project, tmp_path: Path) -> Iterator[Project]:
    """Another project with the same images."""
    with Project.create(tmp_path / "other") as other:
        for record in annotated.images():
            other.add_files(annotated.file_of(record.id))
        yield other


def masks(project: Project) -> dict[tuple[PlaneRef, str], list[Any]]:
    found = {}
    for plane in project.planes():
        for each in project.annotation(plane).contours:
            if each.accepted:
                mask = mask_of(each.rings, project.image(plane.image).shape)
                found[plane, each.object] = mask.tolist()
    return found


@pytest.mark.parametrize("suffix", [*FORMATS, ".tiff"])
def test_a_project_goes_out_and_comes_in_again(
    annotated: Project, other: Project, tmp_path: Path, suffix: str
) -> None:
    kind = FORMATS.get(suffix, FORMATS[".tif"])
    target = tmp_path / f"all{suffix}" if kind.several else tmp_path / "out"
    done = export_contours(annotated, target, format="" if kind.several else suffix)
    assert done.contours == 4
    assert [file.name for file in done.files] == (
        [f"all{suffix}"] if kind.several else [f"{name}{suffix[:4] if suffix == '.tiff' else suffix}"
                                               for name in ("volume", "flat")]
    )  # fmt: skip
    before = other.revision()
    read = import_contours(other, target)
    assert (read.contours, read.notices) == (4, ())
    assert other.revision() == before + 1
    assert masks(other) == masks(annotated)
    assert {each.source for said in other.annotations() for each in said.contours} == {"import"}
    said = list(other.annotations())
    import_contours(other, target)  # again: the same objects
    import_contours(annotated, target)  # there: they are as they were, points and sources too
    assert list(other.annotations()) == said
    assert other.revision() == before + 1
    assert annotated.annotation(PlaneRef(2)).contours[0].points == ((1.0, 1.0),)
    assert [each.source for each in annotated.annotation(PlaneRef(1, 0)).contours] == ["network", "snake"]
    other.undo()
    assert list(other.annotations()) == []


def test_one_image_to_one_file(annotated: Project, other: Project, tmp_path: Path) -> None:
    with pytest.raises(SegsizeError, match=r"x\.geojson holds one image, but 2 images have contours"):
        export_contours(annotated, tmp_path / "x.geojson")
    assert list(tmp_path.glob("*.geojson")) == []
    done = export_contours(annotated, tmp_path / "x.geojson", images=[1])
    assert (done.contours, done.files) == (3, (tmp_path / "x.geojson",))
    import_contours(other, tmp_path / "x.geojson")  # whatever it is called, it says which image it is of
    assert other.counts().contours == 3


def test_the_image_of_a_file(annotated: Project, other: Project, tmp_path: Path) -> None:
    export_contours(annotated, tmp_path / "strange.zip", images=[2])
    with pytest.raises(SegsizeError, match="no image has such a name"):
        import_contours(other, tmp_path / "strange.zip")
    import_contours(other, tmp_path / "strange.zip", image=2)
    (tmp_path / "strange.zip").rename(tmp_path / "flat_rois.zip")
    assert import_contours(other, tmp_path / "flat_rois.zip").contours == 1
    assert other.counts().contours == 1
    with pytest.raises(SegsizeError, match="no image number 9"):
        import_contours(other, tmp_path / "flat_rois.zip", image=9)


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [("x.txt", "txt", "in a format of 'txt': expected a file that ends in one of .tif"),
     ("x", "", "format of the name x: expected"), (".", "", "is a folder: say which format"),
     ("x.csv", "zip", "ends in .csv, but the format is .zip")],
)  # fmt: skip
def test_names_that_say_no_format(
    annotated: Project, tmp_path: Path, name: str, format: str, words: str
) -> None:
    with pytest.raises(SegsizeError, match=words):
        export_contours(annotated, tmp_path / name, format=format)


def test_nothing_to_write(project: Project, tmp_path: Path) -> None:
    project.put_contour(PlaneRef(2), points=((1.0, 1.0),))
    with pytest.raises(SegsizeError, match="no accepted contours to write: accept some"):
        export_contours(project, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_failed_write_leaves_the_old_file(
    annotated: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    file = tmp_path / "out" / f"flat{suffix}"
    export_contours(annotated, tmp_path / "out", images=[2], format=suffix)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SegsizeError, match="is full"):
        export_contours(annotated, tmp_path / "out", images=[2], format=suffix)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_bad_outline_and_nothing_is_read(annotated: Project, other: Project, tmp_path: Path) -> None:
    export_contours(annotated, tmp_path / "x.csv")
    lines = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "x.csv").write_text(
        "\n".join((*lines, "flat,0,flat,0,0,1,1", "flat,0,flat,0,1,3,3")), "utf-8"
    )
    with pytest.raises(
        SegsizeError, match=r"1 bad row\. Line \d+: flat: the contour has 2 distinct vertices"
    ):
        import_contours(other, tmp_path / "x.csv")
    assert list(other.annotations()) == []
    assert not other.can_undo


class TestTable:
    def table(self, tmp_path: Path, *rows: str, header: str = "image,slice,object,ring,vertex,y,x") -> Path:
        (tmp_path / "x.csv").write_text("\n".join((header, *rows)), encoding="utf-8")
        return tmp_path / "x.csv"

    def test_what_is_written(self, annotated: Project, tmp_path: Path) -> None:
        export_contours(annotated, tmp_path / "x.csv", images=[2])
        assert (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines() == [
            "image,slice,object,ring,vertex,y,x",
            "flat,0,left,0,0,4.0,4.0", "flat,0,left,0,1,4.0,6.0", "flat,0,left,0,2,6.0,6.0",
        ]  # fmt: skip

    def test_rows_in_any_order_few_columns_and_decimal_commas(self, project: Project, tmp_path: Path) -> None:
        rows = ("flat;0;a;0;2;6;6,5", "flat;0;a;0;0;4;4", "flat;0;a;0;1;4;6,5")
        import_contours(project, self.table(tmp_path, *rows, header="image;slice;object;ring;vertex;y;x"))
        import_contours(project, self.table(tmp_path, "flat.tif,b,1,1", "flat.tif,b,1,9", "flat.tif,b,9,9",
                                            header="image,object,y,x"))  # fmt: skip
        a, b = project.annotation(PlaneRef(2)).contours
        assert a.rings == (((4, 4), (4, 6.5), (6, 6.5)),)
        assert b.rings == (((1, 1), (1, 9), (9, 9)),)

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("brain,0,a,0,0,1,1", "Line 2: the project has no image 'brain'"),
            ("flat,0,,0,0,1,1", "Line 2: object: expected a name"),
            ("flat,x,a,0,0,1,1", "Line 2: slice: expected a number, got 'x'"),
            ("flat,0,a,0.5,0,1,1", "Line 2: ring: expected a whole number, got '0.5'"),
            ("flat,0,a,0,0,nan,1", "Line 2: y: expected a number, got 'nan'"),
            ("flat,4,a,0,0,1,1", "expected a plane from 0 to 0, got 4"),
        ],
    )
    def test_bad_rows(self, project: Project, tmp_path: Path, row: str, words: str) -> None:
        with pytest.raises(SegsizeError) as caught:
            import_contours(project, self.table(tmp_path, row))
        assert words in str(caught.value)

    def test_no_table(self, project: Project, tmp_path: Path) -> None:
        with pytest.raises(SegsizeError, match="has no column object"):
            import_contours(project, self.table(tmp_path, header="image,y,x"))


class TestGeoJson:
    def imported(self, project: Project, tmp_path: Path, data: Any) -> Any:
        (tmp_path / "flat.geojson").write_text(json.dumps(data), encoding="utf-8")
        return import_contours(project, tmp_path / "flat.geojson")

    def test_what_is_written(self, annotated: Project, tmp_path: Path) -> None:
        export_contours(annotated, tmp_path / "x.geojson", images=[1])
        data = json.loads((tmp_path / "x.geojson").read_text(encoding="utf-8"))
        assert (data["type"], data["name"]) == ("FeatureCollection", "volume")
        left, plain, many = data["features"]
        geometry = left["geometry"]
        assert geometry["type"] == "Polygon"
        assert geometry["coordinates"][0] == [[3.5, 2.5], [3.5, 8.5], [9.5, 8.5], [9.5, 2.5], [3.5, 2.5]]
        assert len(geometry["coordinates"]) == 2
        assert geometry["plane"] == {"c": -1, "z": 0, "t": 0}
        assert left["properties"]["objectType"] == "annotation"
        assert left["properties"]["classification"]["name"]
        assert left["properties"]["name"] == "left"
        assert plain["id"].replace("-", "") == annotated.annotation(PlaneRef(1)).contours[1].object
        assert many["geometry"]["type"] == "MultiPolygon"
        assert many["geometry"]["plane"]["z"] == many["properties"]["z"] == 2
        for feature in data["features"]:
            assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid

    def test_crossing_contours_become_valid_and_this_is_told(self, project: Project, tmp_path: Path) -> None:
        project.put_contour(PlaneRef(2), object="a", rings=[EIGHT])
        done = export_contours(project, tmp_path / "x.geojson")
        assert done.notices == (
            "flat: 1 contour(s) cross themselves; written as the outline of their pixels.",
        )
        (feature,) = json.loads((tmp_path / "x.geojson").read_text(encoding="utf-8"))["features"]
        assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid

    def square(self, left: float, **more: Any) -> dict[str, Any]:
        ring = [[left, 1], [left, 4], [left + 3, 4], [left + 3, 1], [left, 1]]
        return {"type": "Polygon", "coordinates": [ring], **more}

    def test_what_qupath_writes(self, project: Project, tmp_path: Path) -> None:
        number = "0b2f3f7e-7f0a-4a51-9a4e-3a4b2a0f7c11"
        cell = {
            "type": "Feature", "id": number, "geometry": self.square(0),
            "nucleusGeometry": self.square(1),
            "properties": {"objectType": "cell", "name": "Tumor", "measurements": {"Area": 9.0}},
        }  # fmt: skip
        child = {"type": "Feature", "id": "PathDetectionObject", "geometry": self.square(5, isEllipse=False),
                 "properties": {"object_type": "detection"}}  # fmt: skip
        parent = {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [
            self.square(9)["coordinates"], self.square(12)["coordinates"]]},
            "properties": {"objectType": "annotation", "childObjects": [child]}}  # fmt: skip
        point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
        root = {"type": "Feature", "geometry": None, "properties": {"objectType": "root"}}
        done = self.imported(project, tmp_path, [cell, parent, point, root])
        assert done.contours == 3
        assert done.notices == ("flat.geojson: 1 object(s) without an area (Point) were left out.",)
        first, second, third = project.annotation(PlaneRef(2)).contours
        assert first.object == number.replace("-", "")
        assert first.vertices == ((0.5, -0.5), (3.5, -0.5), (3.5, 2.5), (0.5, 2.5))
        assert len(second.rings) == 2
        assert third.vertices[0] == (0.5, 4.5)

    def test_the_plane_of_a_stack(self, project: Project, tmp_path: Path) -> None:
        feature = {"type": "Feature", "geometry": self.square(1, plane={"c": -1, "z": 2, "t": 0}),
                   "properties": {}}  # fmt: skip
        (tmp_path / "volume.json").write_text(
            json.dumps({"type": "FeatureCollection", "features": [feature]})
        )
        import_contours(project, tmp_path / "volume.json")
        assert project.annotation(PlaneRef(1, 2)).contours
        feature["geometry"]["plane"]["z"] = 3
        (tmp_path / "volume.json").write_text(json.dumps(feature))
        with pytest.raises(SegsizeError, match=r"Feature 1: volume has 3 plane\(s\): .* from 0 to 2, got 3"):
            import_contours(project, tmp_path / "volume.json")

    def test_polygons_that_overlap_are_one_object(self, project: Project, tmp_path: Path) -> None:
        both = {"type": "MultiPolygon",
                "coordinates": [self.square(1)["coordinates"], self.square(2)["coordinates"]]}  # fmt: skip
        self.imported(project, tmp_path, {"type": "Feature", "geometry": both, "properties": {}})
        (read,) = project.annotation(PlaneRef(2)).contours
        assert mask_of(read.rings, (16, 16)).sum() == 3 * 4

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ({"type": "Topology"}, 'is not COCO: expected an object with lists "images" and "annotations"'),
            ([[[1, "a"], [2, 2], [3, 4]]], "Feature 1: its coordinates are not pairs"),
            ([[1, 2, 3]], "Feature 1: its coordinates are not pairs of numbers"),
            ([], "Feature 1: its coordinates are not rings of points"),
            (3, "Feature 1: its coordinates are not rings of points"),
            ([[[1, 1], [2, 2]]], "Feature 1: flat: the contour has 2 distinct vertices"),
            ([[[1, 1], [2, 2], [1e12, 3]]], "check its units"),
        ],
    )
    def test_bad_features(self, project: Project, tmp_path: Path, data: Any, words: str) -> None:
        if not isinstance(data, dict):
            data = [{"geometry": {"type": "Polygon", "coordinates": data}, "properties": {}}]
        with pytest.raises(SegsizeError) as caught:
            self.imported(project, tmp_path, data)
        assert words in str(caught.value)
        assert list(project.annotations()) == []

    def test_broken_json_is_told_by_line(self, project: Project, tmp_path: Path) -> None:
        (tmp_path / "flat.geojson").write_text('{\n"features": [\n')
        with pytest.raises(SegsizeError, match=r"flat\.geojson, line 3, is not JSON"):
            import_contours(project, tmp_path / "flat.geojson")


class TestCoco:
    def imported(self, project: Project, tmp_path: Path, *annotations: Any, **image: Any) -> Any:
        images = [{"id": 7, "file_name": "some/folder/flat.png", "width": 16, "height": 16, **image}]
        data = {"images": images, "annotations": list(annotations), "categories": []}
        (tmp_path / "x.json").write_text(json.dumps(data), encoding="utf-8")
        return import_contours(project, tmp_path / "x.json")

    def test_what_is_written(self, annotated: Project, tmp_path: Path) -> None:
        export_contours(annotated, tmp_path / "x.json")
        data = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
        assert data["images"] == [
            {"id": 1, "file_name": "volume.tif", "width": 30, "height": 20, "slice": 0},
            {"id": 2, "file_name": "volume.tif", "width": 30, "height": 20, "slice": 2},
            {"id": 3, "file_name": "flat.tif", "width": 16, "height": 16},
        ]
        assert data["categories"][0]["id"] == 1
        holed, plain, many, last = data["annotations"]
        assert [each["id"] for each in data["annotations"]] == [1, 2, 3, 4]
        assert holed["segmentation"]["size"] == [20, 30]
        assert (
            holed["area"]
            == sum(holed["segmentation"]["counts"][1::2])
            == mask_of([SQUARE, HOLE], (20, 30)).sum()
        )
        assert holed["bbox"] == [3, 2, 6, 6]
        assert plain["segmentation"] == [[11.5, 10.5, 11.5, 16.5, 17.5, 16.5, 17.5, 10.5]]
        assert (plain["area"], plain["bbox"], plain["iscrowd"]) == (36.0, [11.5, 10.5, 6, 6], 0)
        assert len(many["segmentation"]) == many["area"] == 9
        assert (last["image_id"], last["category_id"], last["area"]) == (3, 1, 2.0)

    def test_polygons_of_whole_and_real_numbers(self, project: Project, tmp_path: Path) -> None:
        done = self.imported(
            project, tmp_path,
            {"id": 4, "image_id": 7, "segmentation": [[1, 1, 1, 5, 5, 5.5]]},
            {"id": 5, "image_id": 7, "segmentation": [2, 2, 2, 9, 9, 9]},
            {"id": 6, "image_id": 7, "segmentation": [[1, 1, 1, 8, 8, 8], [3, 1, 3, 9, 9, 1]]},
            {"id": 7, "image_id": 7, "segmentation": [], "bbox": [1, 2, 3, 4]},
            {"id": 8, "image_id": 7, "iscrowd": 1, "segmentation": {"size": [16, 16], "counts": [256]}},
        )  # fmt: skip
        assert done.contours == 3
        assert set(done.notices) == {
            "x.json: 1 annotation(s) without an outline were left out.",
            "x.json: 1 annotation(s) of crowds were left out.",
        }
        first, second, both = project.annotation(PlaneRef(2)).contours
        assert first.vertices == ((0.5, 0.5), (4.5, 0.5), (5.0, 4.5))
        assert second.vertices[0] == (1.5, 1.5)
        parts = [mask_of([np.array(part).reshape(-1, 2)[:, ::-1] - 0.5], (16, 16))
                 for part in ([1, 1, 1, 8, 8, 8], [3, 1, 3, 9, 9, 1])]  # fmt: skip
        assert np.array_equal(mask_of(both.rings, (16, 16)), parts[0] | parts[1])  # not one without the other

    def test_run_lengths_of_all_kinds(self, project: Project, tmp_path: Path) -> None:
        mask = np.zeros((16, 16), bool)
        mask[1:6, 2:8], mask[3, 4], mask[9, 9] = True, False, True
        plain = {"size": [16, 16], "counts": lengths_of(mask)}
        self.imported(project, tmp_path, {"image_id": 7, "segmentation": plain, "object": "a"})
        (read,) = project.annotation(PlaneRef(2)).contours
        assert np.array_equal(mask_of(read.rings, (16, 16)), mask)

    def test_pycocotools_strings(self) -> None:
        """Written by pycocotools 2.0."""
        block = np.zeros((7, 9), bool)
        block[1:6, 2:8], block[3, 4] = True, False
        assert np.array_equal(mask_of_lengths(decoded("?5200MO01300006"), (7, 9)), block)
        rows = ["01110000000", "10101001111", "00010000011", "00110010101", "10101001011"]
        expected = np.array([[letter == "1" for letter in row] for row in rows])
        assert np.array_equal(mask_of_lengths(decoded("112120M10O1O0060J000O00011OO03"), (5, 11)), expected)
        assert mask_of_lengths(decoded("06"), (3, 2)).all()
        assert not mask_of_lengths(decoded("6"), (3, 2)).any()
        large = decoded("XR2^8n00")  # 2120 background, 270 foreground, 30, then the same again
        assert large == [2120, 270, 30, 270]

    @settings(deadline=None, max_examples=60)
    @given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
    def test_run_lengths_come_back(self, mask: np.ndarray) -> None:
        assert np.array_equal(mask_of_lengths(lengths_of(mask), mask.shape), mask)
        assert min([1, *lengths_of(mask)[1:]]) > 0

    def test_images_that_the_project_does_not_have(self, project: Project, tmp_path: Path) -> None:
        square = {"image_id": 7, "segmentation": [[1, 1, 1, 5, 5, 5]]}
        with pytest.raises(SegsizeError, match=r"about 1 image\(s\) .* such as 'brain.png': add them first"):
            self.imported(project, tmp_path, square, file_name="brain.png")
        data = json.loads((tmp_path / "x.json").read_text())
        data["images"].append({"id": 8, "file_name": "flat.tif"})
        data["annotations"].append({**square, "image_id": 8})
        (tmp_path / "x.json").write_text(json.dumps(data))
        done = import_contours(project, tmp_path / "x.json")
        assert done.contours == 1
        assert done.notices == (
            "x.json: 1 annotations of 1 image(s) that the project does not have were left out.",
        )

    @pytest.mark.parametrize(
        ("annotation", "words"),
        [
            ({"image_id": 9, "segmentation": [[1, 1, 2, 2, 3, 1]]}, "Annotation 3: the file lists no image"),
            ({"segmentation": [[1, 1, 2, 2, 3]]}, "Annotation 3: its coordinates are not pairs"),
            ({"segmentation": "abc"}, "neither polygons nor run lengths"),
            ({"segmentation": {"size": [16, 16], "counts": [1, 2]}}, "run lengths of 16 x 16 pixels"),
            ({"segmentation": {"size": [16, 16], "counts": "ü"}}, "run lengths are not COCO's"),
            ({"segmentation": {"size": [16, 16], "counts": "P"}}, "cut off"),
            ({"segmentation": {"counts": [256]}}, "run lengths are not COCO's"),
            ({"segmentation": {"size": [16, 16], "counts": [256]}}, "it has no vertices"),
        ],
    )  # fmt: skip
    def test_bad_annotations(self, project: Project, tmp_path: Path, annotation: Any, words: str) -> None:
        with pytest.raises(SegsizeError) as caught:
            self.imported(project, tmp_path, {"id": 3, "image_id": 7, **annotation})
        assert words in str(caught.value)

    def test_an_image_of_another_size(self, project: Project, tmp_path: Path) -> None:
        square = {"id": 3, "image_id": 7, "segmentation": [[1, 1, 1, 5, 5, 5]]}
        with pytest.raises(
            SegsizeError, match=r"does not fit flat: expected \(1, 16, 16\) .* got \(1, 32, 16\)"
        ):
            self.imported(project, tmp_path, square, height=32)
        with pytest.raises(SegsizeError, match=r"Annotation 1: expected an object"):
            self.imported(project, tmp_path, "x")
        with pytest.raises(SegsizeError, match=r"volume has 3 plane\(s\): expected a plane .* got none"):
            self.imported(project, tmp_path, square, file_name="volume", height=20, width=30)


class TestImageJ:
    def archive(self, tmp_path: Path, *rois: roifile.ImagejRoi) -> Path:
        roifile.roiwrite(tmp_path / "flat.zip", rois, name=[f"{k}" for k in range(len(rois))], mode="w")
        return tmp_path / "flat.zip"

    def masks(self, project: Project, file: Path) -> list[np.ndarray]:
        import_contours(project, file, image=2)
        return [mask_of(each.rings, (16, 16)) for each in project.annotation(PlaneRef(2)).contours]

    def test_what_is_written(self, annotated: Project, tmp_path: Path) -> None:
        export_contours(annotated, tmp_path / "x.zip", images=[1])
        holed, plain, many = roifile.roiread(tmp_path / "x.zip")
        assert (holed.name, many.name) == ("left", "näme/1")
        assert [roi.position for roi in (holed, plain, many)] == [1, 1, 3]
        assert plain.roitype == roifile.ROI_TYPE.POLYGON
        assert plain.coordinates().tolist() == [[11.5, 10.5], [11.5, 16.5], [17.5, 16.5], [17.5, 10.5]]
        assert holed.composite
        assert len(holed.coordinates(multi=True)) == 2
        assert len(many.coordinates(multi=True)) == 9
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            assert archive.namelist()[0] == "left.roi"

    def test_stacks_of_channels_have_positions_in_both(self, tmp_path: Path) -> None:
        record = replace(RECORD, planes=3, channels=2)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "x.zip"
            FORMATS[".zip"].write([Page(record=record, slice=2, contours=(contour("a", SQUARE),))], file)
            (roi,) = roifile.roiread(file)
        assert (roi.position, roi.z_position) == (3, 3)

    def test_rectangles_and_ovals(self, project: Project, tmp_path: Path) -> None:
        box = {"left": 2, "top": 3, "right": 12, "bottom": 9}
        rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, **box)
        oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, **box)
        sub = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, xd=1.25, yd=2.25, widthd=4, heightd=2,
                                options=roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION)  # fmt: skip
        first, second, third = self.masks(project, self.archive(tmp_path, rectangle, oval, sub))
        y, x = np.mgrid[:16, :16]
        assert np.array_equal(first, (y >= 3) & (y < 9) & (x >= 2) & (x < 12))
        assert np.array_equal(second, ((y + 0.5 - 6) / 3) ** 2 + ((x + 0.5 - 7) / 5) ** 2 < 1)
        assert np.array_equal(third, (y >= 2) & (y < 4) & (x >= 1) & (x < 5))

    def test_freehand_traced_and_polygons_of_whole_pixels(self, project: Project, tmp_path: Path) -> None:
        corners = np.array([[2, 3], [2, 9], [12, 9], [12, 3]], np.int32)
        rois = []
        for kind in (roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED, roifile.ROI_TYPE.POLYGON):
            roi = roifile.ImagejRoi.frompoints(corners)
            roi.roitype = kind
            rois.append(roi)
        for mask in self.masks(project, self.archive(tmp_path, *rois)):
            assert (mask.sum(), mask[3, 2], mask[9, 2]) == (60, True, False)

    def test_composites_with_curves(self, project: Project, tmp_path: Path) -> None:
        k = 4 * (np.sqrt(2) - 1) / 3 * 5  # a circle of radius 5 around (8, 8), in four cubic curves
        path = [0, 13, 8, 3, 13, 8 + k, 8 + k, 13, 8, 13, 3, 8 - k, 13, 3, 8 + k, 3, 8,
                3, 3, 8 - k, 8 - k, 3, 8, 3, 3, 8 + k, 3, 13, 8 - k, 13, 8, 4,
                0, 7, 7, 1, 7, 9, 2, 9.5, 9.5, 9, 7, 4]  # fmt: skip
        roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=3, top=3, right=13, bottom=13)
        roi.shape_roi_size, roi.multi_coordinates = len(path), np.array(path, np.float32)
        (mask,) = self.masks(project, self.archive(tmp_path, roi))
        y, x = np.mgrid[:16, :16]
        circle = (y + 0.5 - 8) ** 2 + (x + 0.5 - 8) ** 2 < 25
        assert not mask[8, 7]  # the hole
        assert np.array_equal(mask | ((y > 5) & (y < 10) & (x > 5) & (x < 10)), circle)

    def test_what_has_no_area_is_left_out(self, project: Project, tmp_path: Path) -> None:
        point = roifile.ImagejRoi.frompoints([[1, 2]])
        point.roitype = roifile.ROI_TYPE.POINT
        line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE)
        text = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, subtype=roifile.ROI_SUBTYPE.TEXT, version=228)
        box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, right=4, bottom=4, position=2)
        done = import_contours(project, self.archive(tmp_path, point, line, text, box))
        assert done.contours == 1  # its position is a channel, perhaps: the image has one plane
        assert done.notices == tuple(
            f"flat.zip: 1 region(s) without an area ({kind}) were left out."
            for kind in ("point", "line", "rect")
        )

    def test_a_stack_needs_positions(self, project: Project, tmp_path: Path) -> None:
        box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, right=4, bottom=4, name="a")
        with pytest.raises(SegsizeError, match=r"a: volume has 3 plane\(s\): .* got none"):
            import_contours(project, self.archive(tmp_path, box), image=1)
        box.t_position = 2
        import_contours(project, self.archive(tmp_path, box), image=1)
        assert project.annotation(PlaneRef(1, 1)).contours[0].object == "a"

    def test_names_that_several_have(self, project: Project, tmp_path: Path) -> None:
        boxes = [roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, right=k, bottom=4, name=name)
                 for k, name in ((3, "a"), (4, "a"), (4, "a"), (5, "mask"))]  # fmt: skip
        file = self.archive(tmp_path, *boxes)
        for _ in range(2):
            import_contours(project, file)
        names = [each.object for each in project.annotation(PlaneRef(2)).contours]
        assert len(set(names)) == 4
        assert not {"a", "mask"} & set(names)

    def test_one_region_and_other_files(self, project: Project, tmp_path: Path) -> None:
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, right=4, bottom=4).tofile(tmp_path / "flat.roi")
        assert import_contours(project, tmp_path / "flat.roi").contours == 1
        (tmp_path / "flat.roi").write_bytes(b"Iout" + b"\0" * 70)
        with pytest.raises(SegsizeError, match=r"bad region\. flat\.roi: "):
            import_contours(project, tmp_path / "flat.roi")
        (tmp_path / "flat.zip").write_bytes(b"no zip")
        with pytest.raises(SegsizeError, match="is not a ZIP of regions"):
            import_contours(project, tmp_path / "flat.zip")
        with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
            archive.writestr("a.txt", "x")
        with pytest.raises(SegsizeError, match="holds no regions"):
            import_contours(project, tmp_path / "flat.zip")


class TestLabelImages:
    def test_what_is_written(self, annotated: Project, tmp_path: Path) -> None:
        export_contours(annotated, tmp_path / "x.tif", images=[1])
        labels = tifffile.imread(tmp_path / "x.tif")
        assert labels.dtype == np.int32
        assert labels.shape == (3, 20, 30)
        contours = annotated.annotation(PlaneRef(1, 0)).contours
        assert np.array_equal(labels[0], labels_of(contours, (20, 30)))
        assert not labels[1].any()

    def test_overlaps_are_told(self, project: Project, tmp_path: Path) -> None:
        for name in "ab":
            project.put_contour(PlaneRef(2), object=name, rings=[SQUARE])
        done = export_contours(project, tmp_path / "x.tif")
        assert done.notices == (
            "flat: 36 px belong to several objects; in the label image, to the first of them.",
            "flat: 1 object(s) have no pixel of their own and are not in the label image.",
        )

    @pytest.mark.parametrize("number", [1, 255, 70_000, 2**31 - 1])
    def test_labels_of_other_programs(self, project: Project, tmp_path: Path, number: int) -> None:
        labels = np.zeros((16, 16), np.int32)
        labels[2:5, 3:6] = labels[8, 8] = number  # in two pieces
        labels[10:12, 0:3] = 3
        tifffile.imwrite(tmp_path / "flat_cp_masks.tif", labels)
        for _ in range(2):
            assert import_contours(project, tmp_path / "flat_cp_masks.tif").contours == 2
        contours = project.annotation(PlaneRef(2)).contours
        assert len(contours) == 2
        assert np.array_equal(labels_of(contours, (16, 16)) > 0, labels > 0)
        assert sorted(len(each.rings) for each in contours) == [1, 2]

    def test_without_background(self, project: Project, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "flat.tif", np.full((16, 16), 4, np.uint16))
        import_contours(project, tmp_path / "flat.tif")
        assert len(project.annotation(PlaneRef(2)).contours[0].vertices) == 4

    @pytest.mark.parametrize(
        ("labels", "words"),
        [(np.full((16, 16), -1, np.int16), "labels are 0 .* got -1"),
         (np.ones((16, 17), np.uint8), r"expected \(1, 16, 16\) .* got \(1, 16, 17\)"),
         (np.ones((2, 16, 16), np.uint8), r"got \(2, 16, 16\)"), (np.full((16, 16), 0.5), "fractions")],
    )  # fmt: skip
    def test_bad_labels(self, project: Project, tmp_path: Path, labels: np.ndarray, words: str) -> None:
        tifffile.imwrite(tmp_path / "flat.tif", labels)
        with pytest.raises(SegsizeError, match=words):
            import_contours(project, tmp_path / "flat.tif")


def test_files_that_are_not_contours(project: Project, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(SegsizeError, match=r"x\.txt is no file of contours: expected one that ends in \.tif"):
        import_contours(project, tmp_path / "x.txt")
    with pytest.raises(SegsizeError, match="holds no file of contours"):
        import_contours(project, tmp_path / "project" / "models")
    with pytest.raises(SegsizeError, match="does not exist"):
        import_contours(project, tmp_path / "no.geojson")
    with pytest.raises(SegsizeError, match="does not exist"):
        export_contours_of(project, tmp_path / "no" / "x.csv")


def export_contours_of(project: Project, file: Path) -> None:
    project.put_contour(PlaneRef(2), rings=[SQUARE])
    export_contours(project, file)
