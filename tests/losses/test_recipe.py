"""A recipe survives its text, means what it says, and says what it does not understand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segsize.losses import LOSSES, Schedule
from napari_segsize.losses._recipe_options import option_kinds
from napari_segsize.losses.recipe import PRESETS, Recipe, Term, parse_recipe

OPTIONS = {
    "tversky": st.fixed_dictionaries({}, optional={"ghosts": st.floats(0, 9), "misses": st.floats(0.01, 9)}),
    "focal": st.fixed_dictionaries(
        {}, optional={"gamma": st.floats(0, 9), "alpha": st.none() | st.floats(0, 1)}
    ),
    "boundary": st.fixed_dictionaries(
        {},
        optional={
            "spacing": st.none() | st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)),
            "classes": st.just((0,)),
            "edge": st.sampled_from(["inner", "between"]),
            "offset": st.booleans(),
        },
    ),
    "hausdorff_convolution": st.fixed_dictionaries(
        {}, optional={"radii": st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)}
    ),
}
parse_recipe("tversky(ghosts=1)")  # imports MONAI, which takes seconds
WEIGHTS = st.floats(0, 1e20, exclude_min=True)
SCHEDULES = st.one_of(
    st.builds(Schedule, delay=st.integers(0, 99)),
    st.builds(Schedule, kind=st.just("increase"), step=st.floats(0, 9), delay=st.integers(0, 99)),
)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    names = draw(st.lists(st.sampled_from(sorted(LOSSES)), min_size=1, max_size=4, unique=True))
    terms = [
        Term(
            name,
            draw(WEIGHTS),
            draw(SCHEDULES),
            tuple(draw(OPTIONS[name]).items()) if name in OPTIONS else (),
        )
        for name in names
    ]
    terms.append(Term(draw(st.sampled_from([name for name in LOSSES if name not in names])), draw(WEIGHTS)))
    if draw(st.booleans()):
        plan = Schedule(kind="rebalance", step=draw(st.floats(0, 1)), least=draw(st.floats(0, 1)))
        terms[0] = Term(terms[0].name, terms[0].weight, plan, terms[0].options)
    return Recipe(tuple(terms))


@settings(deadline=None, max_examples=60)
@given(recipes())
def test_a_recipe_survives_its_text(recipe: Recipe) -> None:
    again = parse_recipe(recipe.text)
    assert again == recipe
    assert again.text == recipe.text == str(recipe)


@settings(deadline=None)
@given(st.text("dice bce()@=+*-.,0123456789einf\"'", max_size=30))
def test_any_text_is_a_recipe_or_gets_one_sentence(text: str) -> None:
    said = "."
    try:
        parse_recipe(text)
    except ValueError as error:
        said = str(error)
    assert "\n" not in said
    assert said[-1] in ".?"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_written_as_they_are_read(preset: str) -> None:
    text, advice = PRESETS[preset]
    assert parse_recipe(text).text == text
    assert advice.endswith(".")


def test_names_as_people_write_them() -> None:
    for text in ("ce", "cross-entropy", "Cross_Entropy", "BCE", " bce "):
        (term,) = parse_recipe(text)
        assert (term.name, term.weight) == ("bce", 1)
    assert parse_recipe("one-sided-hausdorff + dice").terms[0].name == "one_sided_hausdorff"
    assert parse_recipe("tversky(alpha=0.2, beta=0.8)").text == "tversky(ghosts=0.2, misses=0.8)"
    assert parse_recipe("dice + 1e-05*boundary").text == "dice + 1e-05*boundary"
    assert parse_recipe("1e+2*dice").terms[0].weight == 100


def test_weights_follow_their_schedules() -> None:
    recipe = parse_recipe("2*dice + 0.1*boundary@increase(step=0.05) + 0.5*cldice@delay=5")
    assert recipe.weights(0) == (2, 0.1, 0)
    assert recipe.weights(5) == pytest.approx((2, 0.35, 0.5))
    assert recipe.scheduled
    assert not parse_recipe("dice + 0.5*boundary").scheduled


def test_rebalancing_takes_from_the_others_what_it_gives() -> None:
    recipe = parse_recipe("dice + 3*bce + 2*boundary@rebalance(step=0.1, delay=2)")
    assert recipe.weights(2) == (1, 3, 0)
    assert recipe.weights(5) == pytest.approx((0.7, 2.1, 0.6))
    assert recipe.weights(99) == pytest.approx((0.01, 0.03, 1.98))


def test_what_a_schedule_does_not_look_at_makes_no_difference() -> None:
    odd = Schedule(kind="constant", start=7, step=3, least=0.5)
    assert Term("dice", 0.5, odd) == Term("dice", 0.5)
    assert parse_recipe("dice@constant") == parse_recipe("dice@delay=0") == parse_recipe("dice")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "got nothing"),
        ("  ", "got nothing"),
        ("bondary", "did you mean boundary?"),
        ("crossentropy", "did you mean cross-entropy?"),
        ("qqq", "there are active_contour"),
        ("-1*dice", "dice: expected a finite weight of 0 or more, got -1."),
        ("inf*dice", "finite weight of 0 or more, got inf"),
        ("nan*dice", "finite weight of 0 or more, got nan"),
        ("1e999*dice", "finite weight of 0 or more, got inf"),
        ("much*dice", "finite weight of 0 or more, got much"),
        ("0*dice + bce", "Leave the term out"),
        ("dice*0.5", '"0.5\\*dice"'),
        ("0.5 dice", 'Expected "\\*"'),
        ("dice - 0.1*boundary", "cannot be taken away"),
        ("dice bce", 'Expected "\\+" after "dice", got "bce"'),
        ("dice + dice", "twice"),
        ("bce + 2*cross-entropy", "cross-entropy stands in the recipe twice"),
        ("dice +", "got the end"),
        ("dice; rm", 'got ";"'),
        ("dice(x=1)", 'dice has no option "x"; it has none'),
        ("boundary(egde=inner)", "did you mean edge?"),
        ("boundary(reduction=none)", "no option"),
        ("boundary(distance_map=none)", "no option"),
        ("boundary(edge=outer)", "expected inner or between, got outer"),
        ("boundary(edge=inner, edge=inner)", "twice"),
        ("boundary(offset=1)", "expected true or false, got 1"),
        ("boundary(spacing=(1, 2, 3))", "expected 2 positive numbers"),
        ("hausdorff_erosion(erosions=2.5)", "expected a whole number, got 2.5"),
        ("hausdorff_erosion(erosions=0)", "expected 1 or more, got 0"),
        ("tversky(ghosts=-1)", "expected prices of 0 or more"),
        ("focal(gamma=", "expected a value, got the end"),
        ("dice + boundary@", "Expected a schedule of boundary"),
        ("dice + boundary@incraese", "did you mean @increase?"),
        ("dice + boundary@cosine", "there are @constant"),
        ("dice@delai=5", r"not @delai; did you mean @delay=5\?"),
        ("dice@dely", r"did you mean @delay=5\?"),
        ("dice@increase=3", r"in brackets, @increase\(step="),
        ("dice + boundary@increase(stepp=0.1)", r"has no stepp; did you mean step\?"),
        ("dice + boundary@rebalance(start=1)", "@rebalance has no start"),
        ("dice + boundary@increase(step=-1)", "boundary: step: expected"),
        ("dice + boundary@increase(step=fast)", "expected a number, got fast"),
        ("dice + boundary@delay=2.5", "expected whole epochs, got 2.5"),
        ("dice + boundary@delay=1e999", "expected whole epochs, got inf"),
        ("dice + boundary@delay=-1", "delay: expected 0 or more"),
        ("dice@rebalance + boundary@rebalance + bce", "let one of them rebalance"),
        ("boundary@delay=5", "nothing counts in the first epoch"),
        ("boundary@rebalance", "nothing counts in the first epoch"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_recipe(text)


def test_terms_made_by_hand_are_judged_too() -> None:
    with pytest.raises(ValueError, match="finite weight"):
        Term("dice", float("nan"))
    with pytest.raises(ValueError, match="finite weight"):
        Term("dice", True)
    with pytest.raises(ValueError, match="no option"):
        Term("dice", options=(("x", 1),))
    with pytest.raises(ValueError, match="got nothing"):
        Recipe(())


@pytest.mark.parametrize("name", LOSSES)
def test_options_are_those_of_the_function_that_can_be_written(name: str) -> None:
    kinds = option_kinds(LOSSES[name].function)
    assert not {"reduction", "noise", "generator", "mask", "distance_map", "target_distance"} & set(kinds)
    assert not any(isinstance(kind, str) for kind in kinds.values())
