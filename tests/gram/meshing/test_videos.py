"""Videos play what was drawn."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from gram.meshing import write_gif, write_mp4


def smooth_frames(count, height, width):
    """Colours that change along every axis, as heads do: video keeps no noise."""
    t, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (count, height, width)), indexing="ij")
    return np.rint(np.stack([x, y, 1 - t], axis=-1) * 255).astype(np.uint8)


def ffmpeg(path, *arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path), *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def decoded(path, height, width):
    done = ffmpeg(path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def test_mp4_shows_the_frames_in_order(tmp_path):
    frames = smooth_frames(7, 32, 48)
    write_mp4(frames, tmp_path / "turn.mp4", fps=12)
    shown = decoded(tmp_path / "turn.mp4", 32, 48)
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 3
    for i, frame in enumerate(shown.astype(float)):
        assert np.abs(frame - frames).mean(axis=(1, 2, 3)).argmin() == i


def test_mp4_is_of_the_kind_that_browsers_play(tmp_path):
    write_mp4(smooth_frames(3, 16, 16), tmp_path / "turn.mp4", fps=5)
    said = ffmpeg(tmp_path / "turn.mp4").stderr.decode()
    assert "h264" in said
    assert "yuv420p(tv, bt709" in said
    assert "16x16" in said and "5 fps" in said
    content = (tmp_path / "turn.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "it plays before it has come whole"


def test_odd_sides_are_made_even_by_repeating_the_last(tmp_path):
    frames = smooth_frames(3, 17, 33)
    write_mp4(frames, tmp_path / "turn.mp4", fps=12)
    shown = decoded(tmp_path / "turn.mp4", 18, 34)
    assert len(shown) == 3
    assert np.abs(shown[:, :17, :33].astype(int) - frames).mean() < 4
    assert np.abs(shown[:, 17, :33].astype(int) - frames[:, 16]).mean() < 8


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_mp4_refuses_rates_that_are_none(tmp_path, fps):
    with pytest.raises(ValueError, match="more than 0 frames a second"):
        write_mp4(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "turn.mp4", fps=fps)


@pytest.mark.parametrize(("write", "name"), [(write_gif, "turn.gif"), (write_mp4, "turn.mp4")])
def test_videos_need_frames(tmp_path, write, name):
    with pytest.raises(ValueError, match="no frames"):
        write(np.zeros((0, 4, 4, 3), np.uint8), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_gif_has_the_frames_in_order_and_repeats(tmp_path):
    frames = np.zeros((5, 8, 6, 3), np.uint8)
    frames[:, :, :, 1] = (np.arange(5) * 50)[:, None, None]
    write_gif(frames, tmp_path / "turn.gif", fps=12.5)
    with Image.open(tmp_path / "turn.gif") as gif:
        assert isinstance(gif, GifImageFile)
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (5, (6, 8), 80, 0)
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert np.array_equal(np.asarray(gif.convert("RGB")), frame)


@pytest.mark.parametrize("fps", [0, -1, 51, float("nan")])
def test_gif_refuses_rates_that_viewers_do_not_show(tmp_path, fps):
    with pytest.raises(ValueError, match="at most 50"):
        write_gif(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "turn.gif", fps=fps)
