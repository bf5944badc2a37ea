"""Writers of GIF and MP4 videos."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from gram.meshing.files import replacing
from gram.shapes import UInt8

QUALITY = "18"
"""Constant rate factor of H.264, from 0 (lossless) to 51; 18 is visually near-lossless."""
COLORS = "bt709"
"""Color space that browsers assume, stated explicitly so that encoder and player agree."""


def write_gif(
    frames: UInt8[ndarray, "frames height width 3"], path: str | Path, *, fps: int | float = 20
) -> None:
    """Write a looping GIF, see `encode_gif`."""
    content = encode_gif(frames, fps=fps)
    with replacing(path) as partial:
        partial.write_bytes(content)


def encode_gif(frames: UInt8[ndarray, "frames height width 3"], *, fps: int | float = 20) -> bytes:
    """Encode a looping GIF.

    Args:
        frames: sRGB images.
        fps: frames per second, in (0, 50]; durations are rounded to hundredths of a second.

    Raises:
        ValueError: no frames, or the rate is out of range.
    """
    if len(frames) == 0:
        raise ValueError("There are no frames to write; give at least one.")
    if not 0 < fps <= 50:
        raise ValueError(f"fps is {fps:g}, but GIF viewers show more than 0 and at most 50 frames a second.")
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer, duration = io.BytesIO(), round(100 / fps) * 10
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return buffer.getvalue()


def write_mp4(
    frames: UInt8[ndarray, "frames height width 3"], path: str | Path, *, fps: int | float = 20
) -> None:
    """Write H.264 in MP4, 4:2:0, which every browser plays.

    Odd sides are padded to even ones by repeating the last row or column.

    Args:
        frames: sRGB images.
        path: path of the file.
        fps: frames per second, more than 0.

    Raises:
        ValueError: no frames, or the rate is out of range.
    """
    from imageio_ffmpeg import write_frames

    if len(frames) == 0:
        raise ValueError("There are no frames to write; give at least one.")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps is {fps:g}, but a video shows more than 0 frames a second.")
    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    tags = f"setparams=colorspace={COLORS}:color_primaries={COLORS}:color_trc={COLORS}"
    options = ["-crf", QUALITY, "-vf", f"scale=out_color_matrix={COLORS}:out_range=tv,{tags}", "-f", "mp4"]
    settings: dict[str, Any] = {"fps": fps, "codec": "libx264", "quality": None, "macro_block_size": 2}
    settings |= {"pix_fmt_out": "yuv420p", "output_params": [*options, "-movflags", "+faststart"]}
    with replacing(path) as partial:
        writer = write_frames(str(partial), (even.shape[2], even.shape[1]), **settings)
        writer.send(None)
        for frame in even:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
