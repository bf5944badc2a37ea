"""Depth files come back, or are named before more than their header is read."""

import io

import numpy as np
import pytest

from gram.data.depth import read_depth
from gram.data.format import DatasetError


def stored(values) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def test_depth_comes_back() -> None:
    depth = np.array([[1.0, np.nan], [0.5, 1.25]], np.float16)
    np.testing.assert_array_equal(read_depth(stored(depth), 2, "x.npy"), depth.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (stored(np.zeros((3, 2))), r"holds float64 of shape \(3, 2\), not floats of \(2, 2\); replace or"),
        (stored(np.zeros((2, 2), complex)), "holds complex128 of shape"),
        (stored(np.zeros((2, 2), int)), "holds int64 of shape"),
        (stored(np.array([[{}, {}], [{}, {}]])), "holds object of shape"),
        (stored(np.zeros((2, 2))).replace(b"(2, 2)", b"(9**9)"), "is no NumPy file of depth"),
        (stored(np.zeros((2, 2))).replace(b"(2, 2), }     ", b"(2000000,1000)"), "is no NumPy|of shape"),
        (stored(np.zeros((2, 2)))[:-8], "is no NumPy file of depth"),
        (b"", "is no NumPy file of depth"),
        (b"hello" * 9, "is no NumPy file of depth"),
    ],
)
def test_what_is_no_depth_is_named(content: bytes, problem: str) -> None:
    with pytest.raises(DatasetError, match=rf"^x.npy {problem}") as error:
        read_depth(content, 2, "x.npy")
    assert "\n" not in str(error.value)
