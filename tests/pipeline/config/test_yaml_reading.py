"""YAML from anybody: plain values or one line that says why not, in no time and no memory."""

import os
import time
from pathlib import Path

import pytest

from pipeline.config.options import ConfigError
from pipeline.config.yaml_reading import DEEPEST, LARGEST_BYTES, MOST_VALUES, read_mapping

LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))


def read(folder: Path, text: str | bytes) -> dict[str, object]:
    file = folder / "some.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_mapping(file, is_text=lambda name: name.startswith("path"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "line 2 has the alias *a0: write out its value"),
        ("a: &a\n  b: *a\n", "line 2 has the alias *a"),
        ("a: 1\n<<: *x\n", "line 2 has the alias *x"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1 has the tag tag:yaml.org,2002:python/object"),
        ("a: !!binary aGk=\n", "line 1 has the tag tag:yaml.org,2002:binary: remove it, values are plain"),
        ("a: !env HOME\n", "line 1 has the tag !env"),
        ("a: 1\nb: 2\na: 3\n", "line 3 has the key 'a' twice: remove one of them"),
        ("a: 1\n---\na: 2\n", "line 2 begins a second document"),
        ("a: " + "[" * 100_000, f"line 1 is nested more than {DEEPEST} deep"),
        ("{" * 100_000, "has a key that is no name"),
        ("a: " + "{a: " * 100_000, f"is nested more than {DEEPEST} deep"),
        ("a: [" + "1," * (MOST_VALUES + 5) + "]", f"has more than {MOST_VALUES} values"),
        ("a: " + "x" * LARGEST_BYTES, f"has more than {LARGEST_BYTES} bytes"),
        ("? [a, b]\n: 1\n", "line 1 has a key that is no name"),
        ("a: \0\n", "is no valid YAML: "),
        (b"a: \xff\xfe\n", "is no valid YAML: "),
        ("a: [1\nb: 2", "is no valid YAML: "),
        ("- 1\n- 2\n", "a mapping of options to values is needed"),
        ("text", "a mapping of options to values is needed"),
        (f"a: {'9' * 5000}\n", "line 1 a = '9999"),
    ],
)
def test_what_grows_runs_or_contradicts_itself_is_refused_at_once(
    text: str | bytes, problem: str, tmp_path: Path
) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert time.monotonic() - start < 5.0
    assert problem in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "some.yaml"))
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is no file"):
            read_mapping(path)
    for odd in ("a\0b", "x" * 5000):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_mapping(Path(odd))


def test_the_pipe_of_a_shell_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"a: 1\n")
    os.close(writer)
    try:
        assert read_mapping(Path(f"/dev/fd/{reader}")) == {"a": 1}
    finally:
        os.close(reader)


def test_plain_values_are_what_they_look_like(tmp_path: Path) -> None:
    text = "a: [1, -2, 0x10, 1_000, 010, 1:30, 2024-11-05]\nb: [1e-5, 1., .5, -.inf, 1.0e3]\n"
    text += "c: [true, No, null, ~, '', 'true', \"1\", !!str 1]\nd:\n<<: e\n"
    assert read(tmp_path, text) == {
        "a": [1, -2, 16, 1000, "010", "1:30", "2024-11-05"],
        "b": [1e-5, 1.0, 0.5, float("-inf"), 1000.0],
        "c": [True, False, None, None, "", "true", "1", "1"],
        "d": None,
        "<<": "e",
    }
    assert read(tmp_path, "") == read(tmp_path, "# nothing\n") == {}


def test_texts_stay_as_they_are_typed(tmp_path: Path) -> None:
    text = "path: 2024_11_05\npaths: {b: 1e5, c: true, d: 1:30, e: null, f: [007, no]}\n"
    assert read(tmp_path, text) == {
        "path": "2024_11_05",
        "paths": {"b": "1e5", "c": "true", "d": "1:30", "e": None, "f": ["007", "no"]},
    }
