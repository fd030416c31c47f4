"""sizes.csv and label images: out and in again without loss, bad rows named, all or nothing."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segsize.errors import SegsizeError
from napari_segsize.project import PlaneRef, Project
from napari_segsize.project.exchange import (
    COLUMNS,
    export_labels,
    import_label_files,
    import_labels,
    read_labels,
    read_sizes_csv,
    write_labels,
    write_sizes_csv,
)

HEADER = ",".join(COLUMNS)


def table(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    file = tmp_path / "sizes.csv"
    file.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return file


class TestSizes:
    def test_out_and_in_again(
        self, project: Project, plane: PlaneRef, flat: PlaneRef, tmp_path: Path
    ) -> None:
        project.put_stamp(plane, 7, centre=(1 / 3, 2.1))
        project.put_stamp(plane, "2.7 mm", centre=(12.0, 25.0), object="left, upper")
        project.put_stamp(plane, 5)
        project.put_no_object(PlaneRef(1, 0))
        project.put_stamp(flat, 4.0)
        said = list(project.annotations())
        assert write_sizes_csv(project, tmp_path / "sizes.csv") == 5
        with Project.create(tmp_path / "other") as other:
            for record in project.images():
                other.add_files(project.file_of(record.id))
            assert read_sizes_csv(other, tmp_path / "sizes.csv") == 5
            assert list(other.annotations()) == said
            write_sizes_csv(other, tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "sizes.csv").read_bytes()

    def test_the_columns(self, project: Project, plane: PlaneRef, tmp_path: Path) -> None:
        project.put_stamp(plane, 7, centre=(1.5, 2), object="a")
        write_sizes_csv(project, tmp_path / "sizes.csv")
        assert (tmp_path / "sizes.csv").read_text() == f"{HEADER}\nvolume,1,a,1.5,2.0,7.0,px\n"

    def test_few_columns_and_names_of_files(self, project: Project, tmp_path: Path) -> None:
        read_sizes_csv(project, table(tmp_path, "flat.tif,6", "images/flat.tif,4", "", header="Image , Size"))
        assert [stamp.size for stamp in project.annotation(PlaneRef(2)).stamps] == [6, 4]

    def test_semicolons_and_decimal_commas(self, project: Project, tmp_path: Path) -> None:
        file = table(tmp_path, "volume;1;;3,5;4,25;2,5;mm", header=HEADER.replace(",", ";"))
        file.write_bytes(
            b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n")
        )  # as a spreadsheet saves it
        read_sizes_csv(project, file)
        (stamp,) = project.annotation(PlaneRef(1, 1)).stamps
        assert (stamp.centre, stamp.size, stamp.entered, stamp.unit) == ((3.5, 4.25), 6, 2.5, "mm")

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    def test_what_spreadsheets_save(
        self, project: Project, tmp_path: Path, separator: str, encoding: str
    ) -> None:
        decimal = "." if separator == "," else ","
        row = ("volume", "1", "größer", f"3{decimal}5", "4", f"1{decimal}5e3", "µm")
        text = "\r\n".join(separator.join(fields) for fields in (COLUMNS, row))
        (tmp_path / "x.csv").write_bytes(text.encode(encoding))
        assert read_sizes_csv(project, tmp_path / "x.csv") == 1
        (stamp,) = project.annotation(PlaneRef(1, 1)).stamps
        assert (stamp.object, stamp.centre, stamp.entered, stamp.unit) == ("größer", (3.5, 4), 1500, "um")

    def test_the_names_of_columns_say_what_separates(self, project: Project, tmp_path: Path) -> None:
        read_sizes_csv(
            project, table(tmp_path, "flat\t6\ta, b; c; d", header='"image"\tsize\t"a, b; c; d; e"')
        )
        assert [stamp.size for stamp in project.annotation(PlaneRef(2)).stamps] == [6]

    @pytest.mark.parametrize(
        ("separator", "rows", "words"),
        [
            (";", ["flat;1;2;6,5", "flat;3;4.5;6"], r"'6,5' in line 2 .* also '4\.5' in line 3: write all"),
            (";", ["flat;1;2;1.006,5"], "'1.006,5' in line 2 may be decimal"),
            ("\t", ["flat\t1\t2\t6,5", "flat\t1\t2.5\t6"], "may be decimal or stand between thousands"),
            (",", ['flat,1,2,"1,006"'], "also commas between the values: write all"),
            (
                ",",
                ["flat,1,2,6,5"],
                "line 2: expected 4 values, .* got 5; write numbers with a decimal point",
            ),
            (";", ["flat;1;2;1,006,5"], "line 2: .*'1,006,5'|Line 2: .*'1,006,5'"),
        ],
    )
    def test_commas_that_may_mean_two_things(
        self, project: Project, tmp_path: Path, separator: str, rows: list[str], words: str
    ) -> None:
        with pytest.raises(SegsizeError, match=words):
            read_sizes_csv(
                project, table(tmp_path, *rows, header=separator.join(("image", "y", "x", "size")))
            )
        assert not project.can_undo

    def test_values_beyond_the_last_column_may_be_empty(self, project: Project, tmp_path: Path) -> None:
        assert read_sizes_csv(project, table(tmp_path, "flat,6,,", header="image,size")) == 1

    def test_reading_twice_changes_nothing(self, project: Project, tmp_path: Path) -> None:
        file = table(tmp_path, "volume,0,,3,4,6,", "volume,0,,3,4,6,", "volume,0,,,,6,", "volume,0,a,,,8,")
        assert read_sizes_csv(project, file) == 4
        before = list(project.annotations())
        assert len(before[0].stamps) == 4
        read_sizes_csv(project, file)
        assert list(project.annotations()) == before

    def test_one_step_of_undo(self, project: Project, tmp_path: Path) -> None:
        read_sizes_csv(project, table(tmp_path, "volume,0,,3,4,6,", "flat,0,,,,6,"))
        change = project.undo()
        assert change is not None
        assert change.description == "Undone: Read sizes.csv"
        assert list(project.annotations()) == []

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("brain,0,,3,4,6,", "no image 'brain'"),
            ("volume,3,,3,4,6,", "slice: expected a whole number from 0 to 2, got '3'"),
            ("volume,x,,3,4,6,", "slice: expected a number, got 'x'"),
            ("volume,0,,3,,6,", "y and x: expected both or neither"),
            ("volume,0,,a,4,6,", "y: expected a number, got 'a'"),
            ("volume,0,,3,400,6,", "lies outside the image"),
            ("volume,0,,3,4,-6,", "negative"),
            ("volume,0,,3,4,0,", "No object here"),
            ("volume,0,,3,4,,", "must be a number"),
            ("volume,0,,3,4,nan,", "must be a number"),
            ("volume,0,,3,4,600,", "larger than the image"),
            ("flat,0,,3,4,6,mm", "no physical pixel size"),
            ("volume,0,good,3,4,8,", "already in line 2"),
            ("volume,0,,,,0,", "says that there is no object there"),
            ("volume,0,mask,3,4,8,", "cannot be called"),
        ],
    )
    def test_a_bad_row_is_named_and_nothing_is_read(
        self, project: Project, tmp_path: Path, row: str, words: str
    ) -> None:
        with pytest.raises(SegsizeError, match=r"ine [23]") as caught:
            read_sizes_csv(project, table(tmp_path, "volume,0,good,3,4,6,", row))
        assert words in str(caught.value)
        assert list(project.annotations()) == []
        assert not project.can_undo

    def test_many_bad_rows_are_counted(self, project: Project, tmp_path: Path) -> None:
        with pytest.raises(
            SegsizeError, match=r"because of 25 bad rows \(and 15 more\)\. Line 2: .* Line 3: "
        ):
            read_sizes_csv(project, table(tmp_path, *["volume,0,,3,4,-6,"] * 25))

    def test_what_was_said_before_is_kept(self, project: Project, plane: PlaneRef, tmp_path: Path) -> None:
        project.put_stamp(plane, 4)
        with pytest.raises(SegsizeError, match=r"line 3: .* delete them first\. Nothing was read"):
            read_sizes_csv(project, table(tmp_path, "volume,0,,3,4,6,", "volume,1,,,,0,"))
        assert [said.plane for said in project.annotations()] == [plane]

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"", "no column image"), (b"image,slice\nvolume,0\n", "no column size"), (b"\xff\xfe\x00", "UTF-8"),
         (b"a text\n", "expected a first line such as image,slice"),
         (b"\xef\xbb\xbfimage,size\n\xb5,1", "UTF-8"), (b"image,size\n\x81,2\n", "save it as CSV"),
         ("image,size\nflat,2\n".encode("utf-16-le"), "save it as CSV"),
         (b"image|size\nflat|2\n", "with semicolons or tabs")],
    )  # fmt: skip
    def test_what_is_no_table(self, project: Project, tmp_path: Path, content: bytes, words: str) -> None:
        (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(SegsizeError, match=words):
            read_sizes_csv(project, tmp_path / "x.csv")

    def test_files_that_cannot_be_opened(self, project: Project, tmp_path: Path) -> None:
        with pytest.raises(SegsizeError, match="does not exist"):
            read_sizes_csv(project, tmp_path / "no.csv")
        with pytest.raises(SegsizeError, match=r"no does not exist"):
            write_sizes_csv(project, tmp_path / "no" / "sizes.csv")

    def test_a_name_of_two_images(self, project: Project, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            tifffile.imwrite(tmp_path / folder / "x.tif", np.eye(4) * ord(folder))
            project.add_files(tmp_path / folder / "x.tif")
        with pytest.raises(SegsizeError, match=r"several images are called 'x\.tif'"):
            read_sizes_csv(project, table(tmp_path, "x.tif,0,,,,2,"))
        read_sizes_csv(project, table(tmp_path, "x,0,,,,2,", "b/x,0,,,,4,"))
        assert project.counts().sizes == 2

    def test_four_thousand_rows(self, project: Project, tmp_path: Path) -> None:
        rows = [f"volume,{k % 3},,{k % 20},{k % 30},{2 + k % 9}," for k in range(4000)]
        assert read_sizes_csv(project, table(tmp_path, *rows)) == 4000
        assert project.counts().sizes == 4000
        project.undo()
        assert project.counts().sizes == 0


class TestLabels:
    def masks(self) -> np.ndarray:
        labels = np.random.default_rng(0).integers(0, 2**31 - 1, (3, 20, 30)).astype(np.int32)
        labels[0] = 0
        return labels

    def test_out_and_in_again(self, project: Project, tmp_path: Path) -> None:
        labels = self.masks()
        for k in (1, 2):
            project.put_mask(PlaneRef(1, k), labels[k])
        assert export_labels(project, 1, tmp_path / "labels.tif") == 2
        written = tifffile.imread(tmp_path / "labels.tif")
        assert written.dtype == np.int32
        assert np.array_equal(written, labels)
        said = list(project.annotations())
        project.undo()
        project.undo()
        assert import_labels(project, 1, tmp_path / "labels.tif") == 2
        assert list(project.annotations()) == said
        project.undo()
        assert list(project.annotations()) == []

    def test_one_plane_is_an_image(self, project: Project, flat: PlaneRef, tmp_path: Path) -> None:
        project.put_mask(flat, np.eye(16, dtype=bool))
        export_labels(project, 2, tmp_path / "labels.tif")
        assert tifffile.imread(tmp_path / "labels.tif").shape == (16, 16)
        assert import_labels(project, 2, tmp_path / "labels.tif") == 1

    def test_empty_planes_can_mean_no_object(self, project: Project, tmp_path: Path) -> None:
        write_labels(self.masks(), tmp_path / "labels.tif", spacing=(2, 0.5, 0.5), unit="mm")
        import_labels(project, 1, tmp_path / "labels.tif", empty="no_object")
        assert project.annotation(PlaneRef(1, 0)).no_object
        assert project.counts().masks == 2

    def test_palettes_and_nifti(self, tmp_path: Path) -> None:
        picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        picture.save(tmp_path / "a.png")
        assert read_labels(tmp_path / "a.png").tolist() == [[[0, 1], [2, 1]]]
        volume = np.arange(24).reshape(4, 3, 2).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
        assert np.array_equal(read_labels(tmp_path / "a.nii.gz"), volume.T)
        assert read_labels(tmp_path / "a.nii.gz").dtype == np.int64

    def files(self, tmp_path: Path, volume: np.ndarray) -> list[tuple[int, Path]]:
        write_labels(volume, tmp_path / "volume.tif")
        write_labels(np.eye(16, dtype=int), tmp_path / "flat.tif")
        return [(1, tmp_path / "volume.tif"), (2, tmp_path / "flat.tif")]

    def test_several_files_are_one_step(self, project: Project, tmp_path: Path) -> None:
        files = self.files(tmp_path, self.masks())
        assert import_label_files(project, files) == (2, 1)
        said = list(project.annotations())
        assert len(said) == 3
        assert import_label_files(project, files) == (2, 1)  # again: they are as they were
        assert list(project.annotations()) == said
        change = project.undo()
        assert change is not None
        assert change.description == "Undone: Read 2 label images"
        assert list(project.annotations()) == []

    def test_one_bad_file_and_nothing_is_read(self, project: Project, tmp_path: Path) -> None:
        files = [*self.files(tmp_path, self.masks()), (2, tmp_path / "no.tif"), (2, tmp_path / "volume.tif")]
        with pytest.raises(
            SegsizeError, match=r"Nothing was read, because 2 of 4 label images .*no\.tif is not .* fit flat"
        ):
            import_label_files(project, files)
        assert list(project.annotations()) == []
        assert not project.can_undo
        with pytest.raises(SegsizeError, match=r"because 7 of 7 .* And 2 more\.$"):
            import_label_files(project, [(1, tmp_path / "no.tif")] * 7)
        write_labels(-self.masks(), tmp_path / "volume.tif")
        with pytest.raises(SegsizeError, match=r"because 1 of 2 .* labels go from 0"):
            import_label_files(project, files[:2])

    def test_what_was_said_before_is_no_object(self, project: Project, tmp_path: Path) -> None:
        project.put_stamp(PlaneRef(1, 0), 4)
        said = list(project.annotations())
        files = self.files(tmp_path, self.masks())
        with pytest.raises(
            SegsizeError, match=r"^volume\.tif: .*slice 1 of 3 has sizes.* Nothing was read\."
        ):
            import_label_files(project, files[::-1], empty="no_object")
        assert list(project.annotations()) == said

    def test_what_are_no_labels(self, project: Project, tmp_path: Path) -> None:
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "rgb.png")
        with pytest.raises(SegsizeError, match="3 channels, a label image has one"):
            import_labels(project, 1, tmp_path / "rgb.png")
        tifffile.imwrite(tmp_path / "half.tif", np.full((20, 30), 0.5))
        with pytest.raises(SegsizeError, match="fractions"):
            import_labels(project, 1, tmp_path / "half.tif")
        write_labels(np.ones((20, 30), int), tmp_path / "flat.tif")
        with pytest.raises(
            SegsizeError, match=r"expected labels of the shape \(3, 20, 30\).*got \(1, 20, 30\)"
        ):
            import_labels(project, 1, tmp_path / "flat.tif")
        with pytest.raises(SegsizeError, match="whole numbers up to 2147483647"):
            write_labels(np.full((2, 2), 2**31), tmp_path / "big.tif")
        assert not (tmp_path / "big.tif").exists()
        with pytest.raises(ValueError, match="expected"):
            write_labels(np.ones(3), tmp_path / "x.tif")

    def test_a_failed_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_labels(np.eye(4), tmp_path / "labels.tif")
        before = (tmp_path / "labels.tif").read_bytes()

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tifffile, "imwrite", full)
        with pytest.raises(SegsizeError, match="is full"):
            write_labels(np.zeros((4, 4)), tmp_path / "labels.tif")
        assert (tmp_path / "labels.tif").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["labels.tif"]
