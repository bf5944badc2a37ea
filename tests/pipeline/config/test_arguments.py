"""Arguments of the command line: texts as typed, everything else by Hydra's grammar, and back."""

import random

import pytest

from pipeline.config.arguments import LONGEST, assignment, assignments
from pipeline.config.options import ConfigError

LETTERS = " ab'\"\\,=()[]{}&#;:$~!*?|<>%@^`/.-_0123\t\u00e9\u4e2d\U0001f600null"


def value(argument: str) -> object:
    ((_, found),) = assignments([argument])
    return found


@pytest.mark.parametrize(
    "text",
    [
        "/a(b", "/a=b", "/a,b", "a & b", "it's", "[x]", "{x", "#x", "a;b", " a b ", "2024_11_05", "1e5",
        "true", "Null", "none", "~/x", "$HOME/x", "$(id)", "nan", "007", "a:b", "'x", 'x"', "\\", "C:\\x\\",
        "%20", "", "-", "null.zip",
    ],
)  # fmt: skip
def test_a_text_is_what_was_typed(text: str) -> None:
    assert value(f"data.path={text}") == text
    assert value(f"paths.train={text}") == text


def test_null_is_none_where_an_option_has_none_and_in_quotes_a_text() -> None:
    assert value("data.path=null") is None
    assert value("paths.train=null") == "null"
    assert value("data.path='null'") == value('data.path="null"') == "null"


def test_quotes_around_the_whole_go_and_others_are_explained() -> None:
    assert value("data.path='a b, c'") == "a b, c"
    assert value(r"data.path='it\'s'") == "it's"
    assert value('data.path="it\'s"') == "it's"
    assert value("data.path='' ") == "'' "
    with pytest.raises(ConfigError, match=r"quotes begin and end it.*remove the first and"):
        value("data.path='it's'")


@pytest.mark.parametrize(
    "name", ["data.path", "paths.train", "train.start_from", "tracking.run", "data", "sweep"]
)
def test_an_assignment_makes_any_text_again(name: str) -> None:
    rng = random.Random(name)
    for _ in range(400):
        text = "".join(rng.choices(LETTERS, k=rng.randrange(12)))
        assert assignments([assignment(name, text)]) == [(name, text)], text


def test_an_assignment_makes_values_of_every_other_kind_again() -> None:
    rng = random.Random(0)
    for _ in range(300):
        texts = ["".join(rng.choices("ab'\\,=[ {", k=rng.randrange(6))) for _ in range(rng.randrange(4))]
        assert assignments([assignment("export.formats", texts)]) == [("export.formats", texts)], texts
        number = rng.choice([rng.uniform(-1, 1) * 10 ** rng.randrange(-30, 30), rng.randrange(-9, 10**12)])
        assert assignments([assignment("model.box", number)]) == [("model.box", number)]
    for plain in (True, False, None, [1, 2], []):
        assert assignments([assignment("train.mirror", plain)]) == [("train.mirror", plain)]


@pytest.mark.parametrize(
    "argument",
    [
        "export.seeds=[1",
        "export.seeds=" + "[" * 5000,
        "train.steps=" + "9" * 5000,
        "train.betas=[0,'a]",
        "=3",
        "",
    ],
)
def test_what_cannot_be_read_is_named_with_how_to_write_it(argument: str) -> None:
    with pytest.raises(ConfigError) as error:
        value(argument)
    assert str(error.value).startswith(f"command line: {argument[:20]!r}"[:30])
    assert "is not of the form group.option=value" in str(error.value)
    assert "lists are [1,2]" in str(error.value)
    assert len(str(error.value)) < 500


def test_a_list_beyond_all_use_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigError, match=f"has more than {LONGEST} characters"):
        value("export.seeds=[" + "1," * LONGEST + "1]")
