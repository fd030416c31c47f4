from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter, label

from napari_segsize.engine.alignment import Alignment, align, align_labels, merged
from napari_segsize.engine.edge_config import AlignConfig


def disk(radius: float = 12.0, side: int = 61, centre: tuple[float, float] | None = None) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    at = (side // 2, side // 2) if centre is None else centre
    return np.hypot(y - at[0], x - at[1]) <= radius


def picture(mask: np.ndarray, noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(0)
    return gaussian_filter(mask.astype(float), 1.0) + noise * rng.standard_normal(mask.shape)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def last(*args, **options) -> np.ndarray:
    return list(align(*args, **options))[-1]


BOTH = pytest.mark.parametrize("method", ["likely", "geodesic"])
EVERY = pytest.mark.parametrize("method", ["likely", "learned", "geodesic"])
ROUGH = {
    "shifted": disk(centre=(34, 26)),
    "too small": disk(8.0),
    "too large": disk(16.0),
    "dented": disk() & ~disk(6.0, centre=(30, 42)),
}


@pytest.mark.parametrize("rough", ROUGH.values(), ids=ROUGH)
@pytest.mark.parametrize("sign", [1, -1])
@EVERY
def test_a_rough_mask_moves_onto_the_object(rough, sign, method):
    steps = list(align(rough, image=sign * picture(disk()), config=AlignConfig(stay=0.1, method=method)))
    assert np.array_equal(steps[0], rough)
    enough = 0.9 if method == "geodesic" else 0.8  # which weighs where it was drawn
    assert overlap(steps[-1], disk()) > max(enough, overlap(rough, disk()))
    assert len(steps) <= 26
    assert all(one is not other for one, other in pairwise(steps))


@BOTH
def test_an_edge_map_is_followed_as_well(method):
    edges = gaussian_filter((binary_dilation(disk()) ^ disk()).astype(float), 1.0)
    assert overlap(last(ROUGH["shifted"], edges=edges, config=AlignConfig(method=method)), disk()) > 0.88


def test_image_and_edges_count_together():
    rough, noise = ROUGH["dented"], picture(disk(), 0.4)
    edges = gaussian_filter((binary_dilation(disk()) ^ disk()).astype(float), 1.0)
    edges[:, :40] = 0  # a network that sees but the dented side
    alone = [overlap(last(rough, **source), disk()) for source in ({"image": noise}, {"edges": edges})]
    together = overlap(last(rough, image=noise, edges=edges), disk())
    assert together > max(alone)
    flat, shifted = np.zeros(rough.shape), ROUGH["shifted"]
    for one, other in ((picture(disk()), flat), (flat, picture(binary_dilation(disk()) ^ disk()))):
        assert overlap(last(shifted, image=one, edges=other), disk()) > overlap(shifted, disk()) + 0.03
    assert len(list(align(rough, image=flat, edges=flat))) == 1


@EVERY
def test_a_mask_that_fits_stays(method):
    assert overlap(last(disk(), image=picture(disk()), config=AlignConfig(method=method)), disk()) > 0.95


@EVERY
def test_holes_and_parts_stay(method):
    truth = (disk(14, centre=(20, 20)) & ~disk(6, centre=(20, 20))) | disk(7, centre=(45, 45))
    rough = (disk(12, centre=(21, 20)) & ~disk(7.5, centre=(21, 20))) | disk(6, centre=(46, 44))
    found = last(rough, image=picture(truth), config=AlignConfig(method=method))
    assert label(found)[1] == 2
    assert not found[20, 20]
    assert overlap(found, truth) > max(0.8, overlap(rough, truth))


@EVERY
def test_an_object_at_the_frame_stays_cut(method):
    truth, rough = disk(12, centre=(0, 30)), disk(10, centre=(2, 32))
    found = last(rough, image=picture(truth), config=AlignConfig(method=method))
    assert overlap(found, truth) > overlap(rough, truth) + 0.05
    assert found[0, 24:36].all()


@pytest.mark.parametrize("value", [0.0, 0.7, 1e6, np.nan])
@pytest.mark.parametrize(
    ("source", "method"),
    [
        ("image", "likely"),
        ("image", "learned"),
        ("image", "geodesic"),
        ("edges", "likely"),
        ("edges", "geodesic"),
    ],
)
def test_nothing_moves_without_edges(source, value, method):
    config = AlignConfig(method=method)
    (found,) = align_labels(disk().astype(int), **{source: np.full((61, 61), value)}, config=config)
    assert len(found.masks) == 1
    assert found.moved == 0
    assert "no edges" in found.notice


@pytest.mark.parametrize("fill", [False, True])
@EVERY
def test_an_empty_and_a_full_mask_come_back(fill, method):
    mask = np.full((9, 9), fill)
    (found,) = align(mask, image=np.random.default_rng(0).random((9, 9)), config=AlignConfig(method=method))
    assert np.array_equal(found, mask)


def test_no_step_is_empty():
    dots = np.zeros((40, 40), bool)
    dots[20, 20:22] = True
    config = AlignConfig(smoothing=4, method="geodesic")
    (found,) = align_labels(dots.astype(int), image=picture(disk(8, 40)), config=config)
    assert found.masks.any((1, 2)).all()
    assert "vanished" in found.notice


def geodesic(**options) -> AlignConfig:
    return AlignConfig(method="geodesic", **options)


def test_every_setting_of_the_geodesic_contour_matters():
    rough, image = ROUGH["shifted"], picture(disk())

    def found(**options):
        return last(rough, image=image, config=geodesic(**options))

    plain = overlap(found(), disk())
    assert overlap(found(steps=1), disk()) < plain
    assert overlap(found(reach=2), disk()) < plain
    assert overlap(found(stay=5.0), rough) > overlap(found(), rough)
    assert overlap(found(stay=0.4, radius=6.0), rough) != overlap(found(stay=0.4), rough)
    assert overlap(found(alpha=20.0), rough) != overlap(found(alpha=0.05), rough)
    narrow = last(disk(6.5), image=image, config=geodesic(blur=1.0))
    assert overlap(narrow, disk()) < overlap(last(disk(6.5), image=image, config=geodesic()), disk())
    grown = last(disk(3.0), image=image, config=geodesic(balloon=1.0, stay=0.0, reach=20))
    assert overlap(grown, disk()) > overlap(last(disk(3.0), image=image, config=geodesic(reach=20)), disk())
    still = last(disk(3.0), image=image, config=geodesic(balloon=1.0, stay=0.0, reach=20, threshold=2.0))
    assert still.sum() < grown.sum()
    ragged = rough ^ (np.random.default_rng(1).random(rough.shape) < 0.2) & binary_dilation(
        rough, iterations=2
    )
    corners = [last(ragged, image=image, config=geodesic(smoothing=each, steps=2)) for each in (0, 3)]
    assert label(corners[1])[1] < label(corners[0])[1]


@BOTH
def test_the_reach_is_kept(method):
    config = AlignConfig(reach=3, balloon=1.0, stay=0.0, method=method)
    found = last(disk(5.0), image=picture(disk(20.0)), config=config)
    assert not (found & ~disk(8.01)).any()


def test_steps_come_one_by_one():
    moving = align(ROUGH["shifted"], image=picture(disk()))
    first = next(moving)
    assert np.array_equal(first, ROUGH["shifted"])
    first[:] = False
    assert next(moving).any()
    moving.close()


def test_the_same_twice():
    one, other = (last(ROUGH["shifted"], image=picture(disk())) for _ in range(2))
    assert np.array_equal(one, other)


def test_channels():
    image = np.stack([np.zeros((61, 61)), picture(disk())])
    assert overlap(last(ROUGH["shifted"], image=image), disk()) > 0.85


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = np.zeros((70, 90), np.int32)
    y, x = np.mgrid[:70, :90]
    truth[np.hypot(y - 30, x - 25) <= 12] = 3
    truth[np.hypot(y - 30, x - 50) <= 12] = 7
    truth[5:14, 70:85] = 9
    rough = np.zeros_like(truth)
    rough[np.hypot(y - 33, x - 24) <= 12] = 3
    rough[(np.hypot(y - 29, x - 53) <= 12) & (rough == 0)] = 7
    rough[5:14, 70:85] = 9
    shade = np.where(truth == 3, 1.0, np.where(truth == 7, 1.6, np.where(truth == 9, 1.2, 0)))
    return truth, rough, gaussian_filter(shade, 1.0)


def test_objects_of_a_label_image_each_on_its_own_crop():
    truth, rough, image = scene()
    found = list(align_labels(rough, image=image, config=AlignConfig(reach=6)))
    assert [each.number for each in found] == [3, 7, 9]
    for each in found:
        assert each.masks.shape[1] < 70 or each.masks.shape[2] < 90
        assert np.array_equal(each.mask(rough.shape, 0), rough == each.number)
        before = overlap(rough == each.number, truth == each.number)
        assert overlap(each.mask(rough.shape), truth == each.number) >= min(before, 0.9)
    labels = merged(rough, found)
    assert labels.dtype == rough.dtype
    assert set(np.unique(labels)) == {0, 3, 7, 9}
    assert overlap(labels == 3, truth == 3) > overlap(rough == 3, truth == 3)
    (one,) = align_labels(rough, image=image, numbers=[7])
    assert one.number == 7


def test_the_crop_does_not_matter():
    _, rough, image = scene()
    (found,) = align_labels(rough, image=image, numbers=[9])
    assert np.array_equal(found.mask(rough.shape), last(rough == 9, image=image))


def test_a_contested_pixel_stays_with_its_owner_and_nobody_vanishes():
    labels = np.array([[1, 1, 0, 2, 2, 5]])

    def to(number: int, *pixels: int) -> Alignment:
        masks = np.zeros((2, 1, 6), bool)
        masks[0], masks[1, 0, list(pixels)] = labels == number, True
        return Alignment(number, (0, 0), masks)

    assert merged(labels, [to(1, 0, 1, 2, 3), to(2, 1, 2, 3)]).tolist() == [[1, 1, 1, 2, 0, 5]]
    assert merged(labels, [to(1, 2, 5)]).tolist() == [[0, 0, 1, 2, 2, 5]]  # others keep their pixels
    assert merged(labels, [to(1, 5)]).tolist() == [[1, 1, 0, 2, 2, 5]]
    assert merged(labels, []).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: next(align(np.zeros((3, 3)), image=np.zeros((3, 3)))), "mask: expected a boolean"),
        (lambda: next(align(disk(), image=np.zeros((3, 3)))), "expected \\(61, 61\\) as the mask"),
        (lambda: next(align(disk())), "got neither"),
        (lambda: next(align(disk(), image=disk(), edges=disk(), config=geodesic())), "got both"),
        (lambda: next(align(disk(), edges=disk(), config=AlignConfig(method="learned"))), "an image alone"),
        (
            lambda: next(align(disk(), image=disk(), edges=np.zeros((3, 3)))),
            "expected \\(61, 61\\) as the mask",
        ),
        (lambda: next(align(disk(), edges=np.zeros((2, 61, 61)))), "expected \\(61, 61\\) as the mask"),
        (lambda: list(align_labels(disk() * 1, image=disk(), edges=np.zeros((3, 3)))), "as the labels"),
        (lambda: next(align_labels(np.zeros(3, int), image=disk())), "labels: expected"),
        (lambda: next(align_labels(disk().astype(int), image=np.zeros((3, 3)))), "as the labels"),
        (lambda: next(align_labels(disk().astype(int), image=disk(), numbers=[4])), "no object 4"),
        (lambda: AlignConfig(steps=0), "steps: expected at least 1"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_an_object_that_is_put_back_covers_no_other_one_whole():
    labels = np.array([[1, 2, 3]], np.int32)

    def moved(number: int, column: int) -> Alignment:
        rough, after = labels == number, np.zeros_like(labels, bool)
        after[0, column] = True
        return Alignment(number, (0, 0), np.stack([rough, after]))

    # 1 goes where 2 was, 2 and 3 where 3 is: 2 is put back, and with it 1
    found = merged(labels, [moved(1, 1), moved(2, 2), moved(3, 2)])
    assert found.tolist() == [[1, 2, 3]]
