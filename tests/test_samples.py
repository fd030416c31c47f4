from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_cdt

from napari_segsize.ops import object_size
from napari_segsize.project import Project, object_size_of
from napari_segsize.samples import (
    hippocampus,
    hippocampus_layers,
    sample_masks,
    shape_layers,
    synthetic_shapes,
    write_sample_project,
)


def test_the_sample_is_about_300_slices_with_masks():
    sample = hippocampus()
    assert sample.images.shape == sample.masks.shape == (321, 48, 32)
    assert sample.images.dtype == np.uint8
    assert sample.masks.any((1, 2)).all()
    assert all(image.min() < image.max() for image in sample.images)


def test_the_sample_is_small_and_says_whose_it_is():
    data = files("napari_segsize") / "data"
    assert len((data / "hippocampus_sample.npz").read_bytes()) <= 1_000_000
    notice = (data / "NOTICE.md").read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in notice
    assert "Medical Segmentation Decathlon" in notice


def test_no_subject_is_in_two_splits():
    sample = hippocampus()
    subjects = {
        split: set(sample.subject[sample.split == split].tolist())
        for split in ("train", "validation", "test")
    }
    assert [len(found) for found in subjects.values()] == [16, 4, 6]
    assert len(set.union(*subjects.values())) == 26


def test_slices_of_a_volume_stand_together_in_order():
    sample = hippocampus()
    for volume in np.unique(sample.volume):
        rows = np.flatnonzero(sample.volume == volume)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
        assert (np.diff(sample.slice_index[rows]) > 0).all()


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (32, 80)])
def test_true_sizes_are_object_sizes(shape: tuple[int, int]):
    sample = synthetic_shapes(40, shape, seed=3)
    for mask, size in zip(sample.masks, sample.sizes, strict=True):
        assert 2 * distance_transform_cdt(mask, metric="chessboard").max() == size == object_size_of(mask)


def test_no_shape_touches_the_border():
    masks = synthetic_shapes(80, (24, 40), seed=1).masks
    for edge in (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]):
        assert not edge.any()


def test_objects_are_brighter_than_their_background():
    sample = synthetic_shapes(20)
    for image, mask in zip(sample.images, sample.masks, strict=True):
        assert image[mask].mean() > image[~mask].mean() + 30


def test_the_seed_decides():
    first, same, other = synthetic_shapes(4, seed=1), synthetic_shapes(4, seed=1), synthetic_shapes(4, seed=2)
    assert np.array_equal(first.images, same.images)
    assert not np.array_equal(first.images, other.images)


def test_no_images_is_a_valid_number():
    assert synthetic_shapes(0, (20, 30)).images.shape == (0, 20, 30)


@pytest.mark.parametrize(("n", "shape"), [(-1, (64, 64)), (1, (8, 64)), (1, (64, 64, 64))])
def test_bad_requests_are_refused(n: int, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected"):
        synthetic_shapes(n, shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [hippocampus_layers, shape_layers])
def test_layers_are_an_image_and_its_labels_on_one_grid(make):
    (image, image_options, kind), (labels, labels_options, other) = make()
    assert (kind, other) == ("image", "labels")
    assert image.shape == labels.shape
    assert labels.dtype == np.int32
    for key in ("scale", "units", "axis_labels"):
        assert image_options.get(key) == labels_options.get(key)


def test_the_sample_project_has_one_image_a_volume_and_nothing_said(tmp_path: Path):
    with write_sample_project(tmp_path / "project") as project:
        images = project.images()
        counts = project.counts()
        assert len(images) == 26
        assert {image.unit for image in images} == {"mm"}
        assert {image.spacing for image in images} == {(2.0, 1.0, 1.0)}
        assert (counts.planes, counts.masks, counts.sizes) == (321, 0, 0)
        assert [len(project.planes(split)) for split in ("train", "validation", "test")] == [203, 45, 73]
    assert len(list((tmp_path / "project" / "images").iterdir())) == 26


def test_sample_masks_belong_to_the_pixels_of_their_planes(tmp_path: Path):
    sample = hippocampus()
    write_sample_project(tmp_path / "project").close()
    with Project.open(tmp_path / "project") as project:
        masks = sample_masks(project)
        assert set(masks) == set(project.planes())
        for plane in (project.planes()[0], project.planes()[150], project.planes()[-1]):
            row = np.flatnonzero((sample.images == project.pixels(plane)[0]).all((1, 2)))
            assert len(row) == 1
            assert np.array_equal(masks[plane], sample.masks[row[0]])


def test_the_project_and_the_operators_measure_alike():

    masks = hippocampus().masks[::10]
    assert object_size(torch.from_numpy(masks)[:, None])[:, 0].tolist() == [
        object_size_of(mask) for mask in masks
    ]
