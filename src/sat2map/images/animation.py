"""Animated GIF files, for whoever wants to see a sequence of pictures without a page around it."""

import io
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2map.storage import write_bytes

LONGER = 4  # the last picture stays so many times as long as the others


def encode_gif(frames: Sequence[NDArray[np.uint8]], milliseconds: int) -> bytes:
    """Return an endless animation of RGB frames `uint8 (H, W, 3)` of one size.

    Each frame has its own 256 colours, without dithering: maps keep their flat areas.
    """
    assert frames and len({frame.shape for frame in frames}) == 1, "an animation has frames of one size"
    quantised = [
        Image.fromarray(np.ascontiguousarray(frame)).quantize(256, dither=Image.Dither.NONE)
        for frame in frames
    ]
    buffer = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [LONGER * milliseconds]
    quantised[0].save(
        buffer, "GIF", save_all=True, append_images=quantised[1:], duration=durations, loop=0, disposal=1
    )
    return buffer.getvalue()


def write_gif(
    path: str | os.PathLike[str],
    frames: Sequence[NDArray[np.uint8]],
    *,
    milliseconds: int = 500,
    overwrite: bool,
) -> None:
    """Write `encode_gif` durably. Raises `OutputExists` unless `overwrite`, `StorageFailed`."""
    write_bytes(path, encode_gif(frames, milliseconds), overwrite=overwrite)
