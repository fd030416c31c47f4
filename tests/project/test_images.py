"""Every image file comes in as (planes, channels, H, W), with its spacing, or is refused in a sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_segsize.errors import SegsizeError
from napari_segsize.project.images import find_images, look_at, open_image, plain_name

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
]


def sample(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    numbers = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape)
    return numbers.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_kept(tmp_path: Path, dtype: str) -> None:
    pixels = sample((4, 5), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    zarr.save(tmp_path / "a.zarr", pixels)
    for name in ("a.tif", "a.zarr"):
        source = open_image(tmp_path / name)
        assert (source.dtype, source.planes, source.channels) == (dtype, 1, 1)
        read = source.read()
        assert read.dtype == dtype
        assert np.array_equal(read[0, 0], pixels)


def test_foreign_byte_order_becomes_ours(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", sample((4, 5), "uint16"), byteorder=">")
    assert open_image(tmp_path / "a.tif").read().dtype.isnative


class TestPictures:
    @pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB"])
    def test_png(self, tmp_path: Path, mode: str) -> None:
        dtype = {"1": "bool", "I;16": "uint16"}.get(mode, "uint8")
        pixels = sample((4, 5, 3) if mode == "RGB" else (4, 5), dtype)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        source = open_image(tmp_path / "a.png")
        assert (source.dtype, source.rgb, source.channels) == (
            dtype,
            mode == "RGB",
            3 if mode == "RGB" else 1,
        )
        expected = pixels.transpose(2, 0, 1) if mode == "RGB" else pixels[None]
        assert np.array_equal(source.read()[0], expected)
        assert source.notes == ()

    def test_grey_pixels_in_colour_stay_three_channels(self, tmp_path: Path) -> None:
        Image.fromarray(np.repeat(sample((4, 5, 1)), 3, axis=2)).save(tmp_path / "a.png")
        assert open_image(tmp_path / "a.png").channels == 3

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_transparency_is_left_out_and_told(self, tmp_path: Path, mode: str) -> None:
        pixels = sample((4, 5, len(mode)))
        Image.fromarray(pixels).save(tmp_path / "a.png")
        source = open_image(tmp_path / "a.png")
        assert source.notes == ("Transparency is left out.",)
        assert np.array_equal(source.read()[0], pixels[..., :-1].transpose(2, 0, 1))

    @pytest.mark.parametrize("colours", [True, False])
    def test_a_palette_is_shown_not_its_numbers(self, tmp_path: Path, colours: bool) -> None:
        picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
        picture.putpalette([10, 10, 10, 200, 100 if colours else 200, 200])
        picture.save(tmp_path / "a.png")
        source = open_image(tmp_path / "a.png")
        assert source.rgb == colours
        assert source.read()[0, 0].tolist() == [[10, 200], [200, 10]]

    def test_jpeg(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((8, 9, 3), 77, np.uint8)).save(tmp_path / "a.JPG")
        source = open_image(tmp_path / "a.JPG")
        assert (source.channels, source.height, source.width) == (3, 8, 9)

    def test_a_colour_png_of_16_bits_says_what_is_lost(self, tmp_path: Path) -> None:
        rows = b"".join(b"\0" + row.tobytes() for row in sample((4, 5, 3)).astype(">u2"))
        parts = [
            (b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        ]
        data = b"\x89PNG\r\n\x1a\n"
        for kind, content in parts:
            data += (
                struct.pack(">I", len(content))
                + kind
                + content
                + struct.pack(">I", zlib.crc32(kind + content))
            )
        (tmp_path / "a.png").write_bytes(data)
        source = open_image(tmp_path / "a.png")
        assert "16 bits" in source.notes[0]
        assert source.read().shape == (1, 3, 4, 5)


class TestTiff:
    def test_pages_are_planes(self, tmp_path: Path) -> None:
        pixels = sample((3, 4, 5), "uint16")
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for page in pixels:
                writer.write(page, contiguous=False, metadata=None)
        source = open_image(tmp_path / "a.tif")
        assert (source.planes, source.channels, source.spacing, source.unit) == (3, 1, (1, 1, 1), "pixel")
        assert np.array_equal(source.read()[:, 0], pixels)
        assert np.array_equal(source.read(1, 2)[0, 0], pixels[1])

    def test_planes_are_read_one_by_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pixels = np.random.default_rng(0).integers(0, 2**16, (6, 512, 512)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": "ZYX"}, compression="zlib")
        source = open_image(tmp_path / "a.tif")
        monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)  # all at once
        assert np.array_equal(source.read(2, 3)[0, 0], pixels[2])

    def test_imagej(self, tmp_path: Path) -> None:
        pixels = sample((3, 2, 4, 5), "uint16")
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, imagej=True, resolution=(1 / 0.25, 1 / 0.5),
            metadata={"axes": "ZCYX", "spacing": 2.0, "unit": "um"},
        )  # fmt: skip
        source = open_image(tmp_path / "a.tif")
        assert (source.planes, source.channels, source.unit) == (3, 2, "um")
        assert source.spacing == pytest.approx((2.0, 0.5, 0.25))
        assert np.array_equal(source.read(), pixels)

    def test_ome(self, tmp_path: Path) -> None:
        pixels = sample((3, 4, 5), "float32")
        tifffile.imwrite(
            tmp_path / "a.ome.tif", pixels,
            metadata={"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
                      "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm"},
        )  # fmt: skip
        source = open_image(tmp_path / "a.ome.tif")
        assert (source.spacing, source.unit) == ((2.0, 0.5, 0.25), "um")
        assert np.array_equal(source.read()[:, 0], pixels)

    @pytest.mark.parametrize("samples", [3, 4])
    def test_colour_stacks(self, tmp_path: Path, samples: int) -> None:
        pixels = sample((2, 4, 5, samples))
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, photometric="rgb", metadata={"axes": "ZYXS"},
            extrasamples=["unassalpha"] if samples == 4 else None,
        )  # fmt: skip
        source = open_image(tmp_path / "a.tif")
        assert (source.planes, source.channels, source.rgb) == (2, 3, True)
        assert np.array_equal(source.read(), pixels[..., :3].transpose(0, 3, 1, 2))
        assert np.array_equal(source.read(1, 2)[0], pixels[1, ..., :3].transpose(2, 0, 1))

    def test_a_scanner_s_dots_per_inch_are_no_pixel_size(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", sample((4, 5)), resolution=(72, 72), resolutionunit="INCH")
        assert open_image(tmp_path / "a.tif").unit == "pixel"

    def test_lzw_is_read_without_another_package(self, tmp_path: Path) -> None:
        pixels = sample((4, 5), "uint16")
        Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_lzw")
        assert np.array_equal(open_image(tmp_path / "a.tif").read()[0, 0], pixels)

    def test_time_and_depth_together_are_refused(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", sample((2, 5, 4, 5)), metadata={"axes": "TZYX"})
        with pytest.raises(SegsizeError, match=r"T: 2, Z: 5.*save each time point"):
            open_image(tmp_path / "a.tif")

    def test_one_time_point_is_a_volume(self, tmp_path: Path) -> None:
        pixels = sample((1, 3, 1, 4, 5))
        tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": "TZCYX"})
        source = open_image(tmp_path / "a.tif")
        assert (source.planes, source.channels) == (3, 1)
        assert np.array_equal(source.read()[:, 0], pixels[0, :, 0])

    def test_a_sequence_in_time_is_a_stack(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", sample((6, 4, 5)), metadata={"axes": "TYX"})
        assert open_image(tmp_path / "a.tif").planes == 6

    def test_complex_numbers_are_refused(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 4), np.complex64))
        with pytest.raises(SegsizeError, match="complex64; expected whole or real numbers"):
            open_image(tmp_path / "a.tif")


class TestNifti:
    def nifti(
        self, path: Path, pixels: np.ndarray, zooms: tuple[float, ...], unit: str | None = "mm"
    ) -> None:
        image = nibabel.Nifti1Image(pixels, np.eye(4))
        image.header.set_zooms(zooms)
        if unit is not None:
            image.header.set_xyzt_units(unit)
        nibabel.save(image, path)

    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_x_y_z_becomes_z_y_x(self, tmp_path: Path, name: str) -> None:
        pixels = sample((5, 4, 3), "int16")
        self.nifti(tmp_path / name, pixels, (0.25, 0.5, 2.0))
        source = open_image(tmp_path / name)
        assert (source.planes, source.height, source.width, source.dtype) == (3, 4, 5, "int16")
        assert (source.spacing, source.unit) == ((2.0, 0.5, 0.25), "mm")
        assert np.array_equal(source.read()[:, 0], pixels.T)
        assert np.array_equal(source.read(1, 2)[0, 0], pixels[:, :, 1].T)

    def test_units(self, tmp_path: Path) -> None:
        self.nifti(tmp_path / "a.nii", sample((5, 4, 3)), (1, 1, 1), "micron")
        self.nifti(tmp_path / "b.nii", sample((5, 4, 3)), (1, 1, 1), None)
        assert open_image(tmp_path / "a.nii").unit == "um"
        assert open_image(tmp_path / "b.nii").unit == "mm"

    def test_scaled_values(self, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(np.linspace(0, 1, 24).reshape(4, 3, 2), np.eye(4))
        image.set_data_dtype(np.int16)
        nibabel.save(image, tmp_path / "a.nii")
        source = open_image(tmp_path / "a.nii")
        assert source.dtype == "float64"
        assert source.read().max() == pytest.approx(1, abs=1e-3)

    def test_big_endian(self, tmp_path: Path) -> None:
        header = nibabel.Nifti1Header(endianness=">")
        pixels = sample((5, 4, 3), "int16")
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4), header), tmp_path / "a.nii")
        read = open_image(tmp_path / "a.nii").read()
        assert read.dtype.isnative
        assert np.array_equal(read[:, 0], pixels.T)

    def test_time_series_are_refused_and_single_times_are_not(self, tmp_path: Path) -> None:
        self.nifti(tmp_path / "a.nii", sample((5, 4, 3, 2)), (1, 1, 1, 1))
        with pytest.raises(SegsizeError, match="more than one axis of planes"):
            open_image(tmp_path / "a.nii")
        self.nifti(tmp_path / "b.nii", sample((5, 4, 3, 1)), (1, 1, 1, 1))
        assert open_image(tmp_path / "b.nii").planes == 3
        self.nifti(tmp_path / "c.nii", sample((5, 4)), (1, 1))
        assert open_image(tmp_path / "c.nii").planes == 1


class TestZarr:
    @pytest.mark.parametrize("version", [2, 3])
    def test_arrays(self, tmp_path: Path, version: int) -> None:
        pixels = sample((3, 4, 5), "uint16")
        zarr.save_array(tmp_path / "a.zarr", pixels, zarr_format=version)
        source = open_image(tmp_path / "a.zarr")
        assert (source.planes, source.channels) == (3, 1)
        assert np.array_equal(source.read()[:, 0], pixels)

    def ngff(self, path: Path, version: int, axes: str, shape: tuple[int, ...]) -> np.ndarray:
        pixels = sample(shape, "uint16")
        group = zarr.create_group(path, zarr_format=version)
        for level in (0, 1):
            array = group.create_array(
                str(level), shape=shape, chunks=(1,) * (len(shape) - 2) + shape[-2:], dtype="uint16"
            )
            array[...] = pixels if level == 0 else 0
        scale = [2.0 if name == "z" else 0.5 if name in "yx" else 1.0 for name in axes]
        multiscale: dict[str, Any] = {
            "axes": [
                {"name": name, "type": "space", "unit": "micrometer"} if name in "zyx" else {"name": name}
                for name in axes
            ],
            "datasets": [
                {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
                for level in (0, 1)
            ],
        }  # fmt: skip
        group.attrs.update(
            {"ome": {"multiscales": [multiscale]}} if version == 3 else {"multiscales": [multiscale]}
        )
        return pixels

    @pytest.mark.parametrize("version", [2, 3])
    def test_ngff_takes_the_finest_level(self, tmp_path: Path, version: int) -> None:
        pixels = self.ngff(tmp_path / "a.zarr", version, "tczyx", (1, 2, 3, 4, 5))
        source = open_image(tmp_path / "a.zarr")
        assert (source.planes, source.channels, source.spacing, source.unit) == (3, 2, (2, 0.5, 0.5), "um")
        assert np.array_equal(source.read(), pixels[0].swapaxes(0, 1))

    def test_only_the_chunks_of_a_plane_are_read(self, tmp_path: Path) -> None:
        pixels = self.ngff(tmp_path / "a.zarr", 2, "zyx", (3, 4, 5))
        source = open_image(tmp_path / "a.zarr")
        level = tmp_path / "a.zarr" / "0"
        for path in level.rglob("*"):
            if path.is_file() and path.relative_to(level).as_posix().replace("/", ".") in ("0.0.0", "2.0.0"):
                path.write_bytes(b"broken")
        assert np.array_equal(source.read(1, 2)[0, 0], pixels[1])
        with pytest.raises(SegsizeError, match="could not be read"):
            source.read(2, 3)

    def test_names_of_dimensions(self, tmp_path: Path) -> None:
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=(4, 5, 2), chunks=(4, 5, 2), dtype="uint8",
            dimension_names=("y", "x", "channel"),
        )  # fmt: skip
        array[...] = sample((4, 5, 2))
        source = open_image(tmp_path / "a.zarr")
        assert (source.channels, source.height, source.width) == (2, 4, 5)

    def test_a_colour_array(self, tmp_path: Path) -> None:
        zarr.save(tmp_path / "a.zarr", sample((4, 5, 3)))
        source = open_image(tmp_path / "a.zarr")
        assert (source.rgb, source.channels, source.planes) == (True, 3, 1)

    def test_groups_that_say_nothing(self, tmp_path: Path) -> None:
        group = zarr.create_group(tmp_path / "a.zarr")
        group.create_array("x", data=sample((4, 5)))
        assert open_image(tmp_path / "a.zarr").planes == 1
        group.create_array("y", data=sample((4, 5)))
        with pytest.raises(SegsizeError, match="a zarr group of 2 arrays"):
            open_image(tmp_path / "a.zarr")

    def test_time_and_depth(self, tmp_path: Path) -> None:
        self.ngff(tmp_path / "a.zarr", 2, "tzyx", (2, 3, 4, 5))
        with pytest.raises(SegsizeError, match="T: 2, Z: 3"):
            open_image(tmp_path / "a.zarr")


class TestOddities:
    def test_one_pixel(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.full((1, 1), 7, np.uint8))
        source = open_image(tmp_path / "a.tif")
        assert source.read().tolist() == [[[[7]]]]
        assert look_at(source) == (
            "All pixels have the same value (7); there is nothing to learn from here.",
        )

    def test_constant_over_all_planes_only(self, tmp_path: Path) -> None:
        pixels = np.zeros((2, 3, 4), np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": "ZYX"})
        assert "same value" in look_at(open_image(tmp_path / "a.tif"))[0]
        pixels[1] = 1
        tifffile.imwrite(tmp_path / "a.tif", pixels, metadata={"axes": "ZYX"})
        assert look_at(open_image(tmp_path / "a.tif")) == ()

    def test_nan(self, tmp_path: Path) -> None:
        pixels = sample((3, 4), "float32")
        pixels[1, 1] = np.nan
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        (note,) = look_at(open_image(tmp_path / "a.tif"))
        assert "NaN" in note
        tifffile.imwrite(tmp_path / "a.tif", np.full((3, 4), np.nan, np.float32))
        assert "No pixel is a number" in look_at(open_image(tmp_path / "a.tif"))[1]

    def test_large_images_are_looked_at_in_places(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("napari_segsize.project.images._WHOLE_BYTES", 10)
        monkeypatch.setattr("napari_segsize.project.images._LOOK_BYTES", 10)
        tifffile.imwrite(tmp_path / "a.tif", sample((9, 4, 5)), metadata={"axes": "ZYX"})
        assert look_at(open_image(tmp_path / "a.tif")) == ()

    @pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz", "a.jpg"])
    def test_damaged_files(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"no image at all, " * 40)
        with pytest.raises(SegsizeError, match="could not be read as an image"):
            open_image(tmp_path / name)

    def test_truncated_files(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
        for name in ("a.png", "a.tif"):
            Image.fromarray(pixels).save(tmp_path / name)
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(data[: len(data) // 2])
            with pytest.raises(SegsizeError, match="could not be read"):
                open_image(tmp_path / name).read()

    def test_missing_and_unknown_files(self, tmp_path: Path) -> None:
        with pytest.raises(SegsizeError, match="is not there: check the path"):
            open_image(tmp_path / "a.png")
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(SegsizeError, match=r"expected one of \.png"):
            open_image(tmp_path / "a.txt")
        with pytest.raises(SegsizeError):
            open_image(tmp_path)

    def test_folders(self, tmp_path: Path) -> None:
        for name in ("a10.png", "a2.png", "b.txt", ".hidden.png"):
            Image.fromarray(sample((2, 2))).save(tmp_path / name, format="png")
        zarr.save(tmp_path / "a1.zarr", sample((2, 2)))
        assert [path.name for path in find_images(tmp_path)] == ["a1.zarr", "a2.png", "a10.png"]
        (tmp_path / "sub").mkdir()
        with pytest.raises(SegsizeError, match="holds no image"):
            find_images(tmp_path / "sub")

    @pytest.mark.parametrize(
        ("name", "plain"),
        [("a.nii.gz", "a"), ("a.b.png", "a.b"), ("a.ome.tif", "a"), ("A.PNG", "A"), (".png", ".png")],
    )
    def test_plain_names(self, name: str, plain: str) -> None:
        assert plain_name(Path(name)) == plain
