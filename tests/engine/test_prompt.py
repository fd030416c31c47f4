"""What is asked of the contour engine, from what was said about a plane."""

import pytest

from napari_segsize.engine.prompt import Prompt, prompts_of
from napari_segsize.project import Contour, PlaneAnnotation, PlaneRef, SizeStamp

PLANE = PlaneRef(1, 2)
POINTS = ((2.0, 5.0), (6.0, 3.0), (10.0, 5.0), (6.0, 9.0))
RING = ((2.0, 2.0), (2.0, 8.0), (8.0, 5.0))


def stamp(name: str, **changes) -> SizeStamp:
    return SizeStamp(**{"object": name, "size": 4.0, "centre": (6.0, 7.0), "entered": 4.0, **changes})


SAID = PlaneAnnotation(
    plane=PLANE,
    contours=(
        Contour(object="points", points=POINTS),
        Contour(object="both", points=POINTS),
        Contour(object="begun", points=POINTS[:2]),
        Contour(object="done", points=POINTS, rings=(RING,), source="drawn"),
        Contour(object="done with a size", rings=(RING,), source="network"),
        Contour(object="drawn", rings=(RING,), source="drawn"),
    ),
    stamps=(
        stamp("both"),
        stamp("begun"),
        stamp("size"),
        stamp("nowhere", centre=None),
        stamp("done with a size"),
    ),
)


def known(prompts: tuple[Prompt, ...]) -> dict[str, str]:
    assert all(prompt.plane == PLANE for prompt in prompts)
    return {prompt.object: "points" if prompt.points else "stamp" for prompt in prompts}


def test_points_say_more_than_a_size_and_what_is_accepted_is_left():
    assert known(prompts_of(SAID)) == {
        "points": "points", "both": "points", "begun": "stamp", "size": "stamp",
    }  # fmt: skip


def test_again_means_also_what_was_accepted_but_nothing_without_a_place():
    again = known(prompts_of(SAID, redo=True))
    assert again == known(prompts_of(SAID)) | {"done": "points", "done with a size": "stamp"}


def test_a_skipped_plane_asks_for_nothing():
    skipped = PlaneAnnotation(plane=PLANE, stamps=SAID.stamps, contours=SAID.contours, skipped=True)
    assert prompts_of(skipped, redo=True) == ()


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"points": POINTS, "stamp": (1.0, 1.0, 4.0)}, (6.0, 6.0)),
        ({"stamp": (1.0, 3.0, 4.0)}, (1.0, 3.0)),
        ({"start": RING}, (5.0, 5.0)),
    ],
)
def test_the_place_is_the_middle_of_what_is_known(values, place):
    assert Prompt(plane=PLANE, object="a", **values).place == place
