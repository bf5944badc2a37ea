"""Pictures in a row as files that browsers play."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from gram.meshing.files import replacing
from gram.shapes import UInt8

QUALITY = "18"
"""Constant rate factor of H.264, from 0, lossless, to 51; 18 is hardly told from the original."""
COLORS = "bt709"
"""What browsers take for granted; without saying so, encoder and player may differ."""


def write_gif(
    frames: UInt8[ndarray, "frames height width 3"], path: str | Path, *, fps: int | float = 20
) -> None:
    """Endless GIF.

    Args:
        frames: sRGB pictures in order.
        path: Where.
        fps: Pictures a second, in (0, 50]; GIF counts in hundredths of a second, to which it is rounded.

    Raises:
        ValueError: If there are no frames or the rate is out of range.
    """
    if len(frames) == 0:
        raise ValueError("There are no frames to write; give at least one.")
    if not 0 < fps <= 50:
        raise ValueError(
            f"fps is {fps:g}, but GIF viewers show more than 0 and at most 50 pictures a second."
        )
    first, *others = (Image.fromarray(frame) for frame in frames)
    with replacing(path) as partial:
        first.save(
            partial, format="GIF", save_all=True, append_images=others, duration=round(100 / fps) * 10, loop=0
        )


def write_mp4(
    frames: UInt8[ndarray, "frames height width 3"], path: str | Path, *, fps: int | float = 20
) -> None:
    """H.264 in MP4, 4:2:0, as every browser plays it.

    Its sides are even: an odd one is made longer by repeating the last row or column.

    Args:
        frames: sRGB pictures in order.
        path: Where.
        fps: Pictures a second, more than 0.

    Raises:
        ValueError: If there are no frames or the rate is out of range.
    """
    from imageio_ffmpeg import write_frames

    if len(frames) == 0:
        raise ValueError("There are no frames to write; give at least one.")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps is {fps:g}, but a video shows more than 0 pictures a second.")
    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    said = f"setparams=colorspace={COLORS}:color_primaries={COLORS}:color_trc={COLORS}"
    options = ["-crf", QUALITY, "-vf", f"scale=out_color_matrix={COLORS}:out_range=tv,{said}", "-f", "mp4"]
    settings: dict[str, Any] = {"fps": fps, "codec": "libx264", "quality": None, "macro_block_size": 2}
    settings |= {"pix_fmt_out": "yuv420p", "output_params": [*options, "-movflags", "+faststart"]}
    with replacing(path) as partial:
        writer = write_frames(str(partial), (even.shape[2], even.shape[1]), **settings)
        writer.send(None)
        for frame in even:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
