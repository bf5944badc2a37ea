"""Search spaces: what they mean, and what is wrong with them."""

import pytest

from pipeline.config.options import ConfigError
from pipeline.sweep.space import Choice, Interval, corners, drawn, grid, read_space, trial_name

MIXED = {
    "train.lr_generator": {"loguniform": [1e-4, 1e-2]},
    "train.r1_weight": {"uniform": [0.5, 10]},
    "seed": {"randint": [3, 5]},
    "sampler.kind": ["planes", "manifold"],
}


def test_a_grid_is_every_combination_in_order() -> None:
    space = read_space({"sampler.kind": ["planes", "manifold"], "sampler.points": [6, 12]}, "x")
    assert grid(space) == [
        {"sampler.kind": kind, "sampler.points": points}
        for kind in ("planes", "manifold")
        for points in (6, 12)
    ]


def test_sections_and_dotted_names_are_the_same_space() -> None:
    nested = {"sampler": {"kind": ["planes"], "points": [6]}, "train": {"lr_generator": {"uniform": [0, 1]}}}
    flat = {
        "sampler.kind": ["planes"],
        "sampler.points": [6],
        "train.lr_generator": {"uniform": [0, 1]},
    }
    assert read_space(nested, "x") == read_space(flat, "x")


def test_presets_of_a_group_are_values_like_others() -> None:
    assert read_space({"train": ["heads", "ffhq"]}, "x") == {"train": Choice(("heads", "ffhq"))}
    assert read_space({"train": {"choice": ["heads"]}}, "x") == {"train": Choice(("heads",))}


def test_draws_lie_within_their_ends_and_reach_every_part() -> None:
    space = read_space(MIXED, "x")
    points = [drawn(space, 0, index) for index in range(600)]
    rates = sorted(point["train.lr_generator"] for point in points)
    assert 1e-4 <= rates[0] < 1.1e-4 and 0.9e-2 < rates[-1] <= 1e-2
    assert 0.8e-3 < rates[300] < 1.25e-3  # the middle of their logarithms
    weights = sorted(point["train.r1_weight"] for point in points)
    assert 0.5 <= weights[0] < weights[-1] <= 10 and 4.5 < weights[300] < 6
    assert {point["seed"] for point in points} == {3, 4, 5}
    assert {point["sampler.kind"] for point in points} == {"planes", "manifold"}


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    space = read_space(MIXED, "x")
    assert drawn(space, 1, 7) == drawn(space, 1, 7)
    assert drawn(space, 1, 7) != drawn(space, 2, 7) != drawn(space, 2, 8)


def test_corners_hold_every_extreme() -> None:
    points = corners(read_space(MIXED, "x"))
    assert len(points) == 5
    for name, ends in (("train.lr_generator", {1e-4, 1e-2}), ("seed", {3, 5})):
        assert {point[name] for point in points} == ends


def test_names_sort_in_the_order_of_the_search_and_are_plain() -> None:
    names = [trial_name(index, {"a.kind": "x y", "b.points": index}) for index in (2, 10, 100)]
    assert names == sorted(names)
    assert names[0] == "002-x_y-points_2"
    assert (
        trial_name(0, {"train.lr_generator": 1e-4, "train.betas": [0.0, 0.9]})
        == "000-lr_generator_0.0001-betas_0.0_0.9"
    )
    assert len(trial_name(0, {f"a.{'long' * 9}{i}": i for i in range(9)})) <= 80


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({}, "space is empty"),
        (None, "space is empty"),
        ({"sampler.poinst": [6]}, "sampler.poinst: there is no such option; did you mean sampler.points?"),
        ({"sampler.points": []}, "no value in the list"),
        ({"sampler.points": [6, 6]}, "a value stands there twice"),
        ({"sampler.points": 6}, "it takes a list of values"),
        ({"train.r1_weight": {"unifrom": [0, 1]}}, "unifrom is none of uniform, loguniform, randint, choice"),
        ({"train.r1_weight": {"uniform": [1]}}, "takes two numbers"),
        ({"train.r1_weight": {"uniform": [2, 1]}}, "the first must be less"),
        ({"train.r1_weight": {"loguniform": [0, 1]}}, "both must be above 0"),
        ({"seed": {"randint": [0.5, 2]}}, "both must be whole numbers"),
    ],
)
def test_what_is_wrong_is_said(tree: object, said: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        read_space(tree, "mine.yaml")
    assert said in str(caught.value)


def test_a_grid_has_no_intervals() -> None:
    with pytest.raises(ConfigError, match=r"train\.r1_weight: a grid takes lists"):
        grid({"train.r1_weight": Interval(0, 1)})
