from __future__ import annotations

import base64
import io
import json
import math
import re
from html.parser import HTMLParser

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_segsize.engine.chart import Curve, line_chart, ticks
from napari_segsize.engine.events import Comparison, ComparisonRow, Saved, StepDone, Validated
from napari_segsize.engine.figure import Picture, grey, largest_square, outline, picture_row
from napari_segsize.engine.report import Recorder, Report, StageLog, environment, report_page, write_report
from napari_segsize.errors import SegsizeError

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Fails on a tag that is not closed, and keeps what would be loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def row(name: str, iou: float, **changes) -> ComparisonRow:
    return ComparisonRow(**{"name": name, "iou": iou, "dice": iou, "size_error": 2.0, "images": 9, **changes})


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((12, 16), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def report(**changes) -> Report:
    curve = Curve(name="size", steps=(1, 2, 3), values=(3.0, 2.0, 1.0))
    picture = Picture(
        caption="subject <7>",
        image=np.arange(192).reshape(12, 16),
        truth=square(2, 3, 5),
        predictions={"masks only": square(3, 3, 5), "+ sizes": square(2, 3, 5)},
    )
    rows = (row("masks only", 0.5), row("+ sizes & centres", 0.75, size_error=math.nan))
    given = {
        "title": "A run",
        "comparison": Comparison(split="test", rows=rows),
        "pictures": [picture],
        "stages": [StageLog(title="Pre-training", losses=(curve,), metrics=(curve,))],
        "facts": {"command": "segsize demo", **environment()},
    }
    return Report(**{**given, **changes})


def test_the_page_is_well_formed_and_loads_nothing():
    page = Page(report_page(report()))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_what_users_wrote_is_escaped():
    text = report_page(report(title="<b>", summary="a & b"))
    assert "subject &lt;7&gt;" in text
    assert "<b>" not in text
    assert "a &amp; b" in text


def test_the_page_can_be_read_in_light_and_dark():
    text = report_page(report())
    assert "prefers-color-scheme: dark" in text
    assert "color-scheme: light dark" in text


def test_the_table_marks_the_best_and_tells_the_gain_over_the_first():
    text = report_page(report())
    best = re.search(r'<tr class="best">(.*?)</tr>', text)
    assert best is not None
    assert "+ sizes &amp; centres" in best[1]
    assert "+0.250" in best[1]
    assert "<td>–</td>" in best[1]  # the unknown size error
    assert text.count("+0.") == 1


def test_models_that_learned_from_the_same_have_their_numbers():
    rows = (row("masks only", 0.5, model=1), row("masks only", 0.6, model=2), row("+ sizes", 0.7, model=3))
    comparison = Comparison(split="test", rows=rows)
    assert comparison.names() == ("masks only (model 1)", "masks only (model 2)", "+ sizes")
    text = report_page(report(comparison=comparison))
    assert "masks only (model 2)" in text
    assert "(model 3)" not in text


def test_an_empty_report_is_a_page_too():
    Page(report_page(Report(title="Nothing")))
    Page(report_page(Report(title="Nothing", comparison=Comparison(split="test", rows=()))))


def test_the_report_is_written_with_its_numbers(tmp_path):
    page = write_report(report(), tmp_path / "new" / "folder")
    assert page.name == "index.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "results.json"]
    numbers = json.loads((page.parent / "results.json").read_text("utf-8"))
    assert [entry["iou"] for entry in numbers["rows"]] == [0.5, 0.75]
    assert numbers["rows"][1]["size_error"] is None
    assert write_report(report(title="Again"), page.parent) == page


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SegsizeError, match="cannot be written"):
        write_report(report(), tmp_path / "file" / "folder")


def test_the_recorder_makes_a_curve_of_every_term_and_metric():
    recorder = Recorder()
    for step in (1, 2):
        losses = {"total": 2.0 / step, "size": 1.0}
        recorder.add(
            StepDone(stage="finetune", step=step, steps=2, losses=losses, seconds_left=0, memory_mb=1)
        )
    recorder.add(Saved(path="x", step=2))
    recorder.add(Validated(stage="finetune", step=2, metrics={"iou": 0.5}, best=True))
    log = recorder.log("Fine-tuning")
    assert log.losses == (
        Curve(name="total", steps=(1, 2), values=(2.0, 1.0)),
        Curve(name="size", steps=(1, 2), values=(1.0, 1.0)),
    )
    assert log.metrics == (Curve(name="iou", steps=(2,), values=(0.5,)),)


def points(chart: str) -> np.ndarray:
    found = re.search(r'points="([^"]+)"', chart)
    assert found is not None
    return np.array([[float(n) for n in pair.split(",")] for pair in found[1].split()])


def test_a_falling_curve_falls_in_the_drawing():
    drawn = points(line_chart([Curve(name="a", steps=(1, 2, 3), values=(3.0, 2.0, 1.0))], title="t"))
    assert (np.diff(drawn[:, 0]) > 0).all()
    assert (np.diff(drawn[:, 1]) > 0).all()  # SVG's y points down


def test_wide_ranges_get_a_logarithmic_axis():
    drawn = points(line_chart([Curve(name="a", steps=(1, 2, 3), values=(100.0, 10.0, 1.0))], title="t"))
    steps = np.diff(drawn[:, 1])
    assert steps[0] == pytest.approx(steps[1], abs=0.2)


def test_gaps_long_and_odd_curves_are_drawn():
    long = Curve(name="a", steps=tuple(range(10_000)), values=tuple(map(float, range(10_000))))
    assert len(points(line_chart([long], title="t"))) < 500
    gaps = Curve(name="a", steps=(1, 2, 3), values=(1.0, math.nan, 2.0))
    assert len(points(line_chart([gaps], title="t"))) == 2
    assert "nothing was measured" in line_chart([Curve(name="a", steps=(1,), values=(math.nan,))], title="t")
    Page(line_chart([Curve(name="a", steps=(5,), values=(0.0,))], title="t"))
    Page(line_chart([Curve(name="a", steps=(5, 6), values=(-1.0, -1.0))], title="t"))
    with pytest.raises(ValueError, match="2 steps but 1 values"):
        Curve(name="a", steps=(1, 2), values=(1.0,))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 1200), (0.66, 0.71), (1e-4, 3e-4), (5, 5)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low <= tick <= high for tick in found)


def test_the_outline_has_one_stroke_for_every_pixel_edge():
    assert outline(square(2, 3, 5)).count("M") == 20
    assert outline(np.ones((4, 4), bool)) == ""


def test_the_square_is_drawn_as_a_stamp_is():
    found = largest_square(square(2, 3, 5))
    assert found is not None
    assert (found.centre, found.size, found.centroid) == ((4.0, 5.0), 6.0, (4.0, 5.0))
    assert largest_square(np.zeros((3, 3), bool)) is None
    text = picture_row(report().pictures[0])
    assert '<rect x="2.5" y="1.5" width="6" height="6"/>' in text


def test_every_prediction_says_how_well_it_agrees():
    text = picture_row(report().pictures[0])
    assert "masks only: IoU 0.67" in text
    assert "+ sizes: IoU 1.00" in text
    nothing = np.zeros((4, 4), bool)
    without = Picture(caption="", image=nothing, truth=None, predictions={"a": nothing})
    assert "IoU" not in picture_row(without)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5)),
        np.full((4, 5), np.nan),
        np.arange(20, dtype=np.uint16).reshape(4, 5),
        np.eye(4, 5, dtype=bool),
    ],
)
def test_any_image_can_be_shown(image):
    shown = grey(image)
    assert shown.dtype == np.uint8
    text = picture_row(Picture(caption="", image=image, truth=None))
    data = re.search(r"base64,([^\"]+)", text)
    assert data is not None
    decoded = imageio.imread(io.BytesIO(base64.b64decode(data[1])), extension=".png")
    np.testing.assert_array_equal(decoded, shown)


def test_colour_images_keep_their_colours():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    assert grey(image) is image
