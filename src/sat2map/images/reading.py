"""From the bytes of an image file to `uint8` arrays, by the rules in the package's docstring."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat2map.errors import ImageTooLarge, Sat2MapError
from sat2map.images.decoding import decode
from sat2map.images.header import DEFAULT_LIMITS, Limits, check_bytes, opened, read_outline
from sat2map.images.source import Source


class Pixels(NamedTuple):
    """A decoded image: `rgb` uint8 (H, W, 3), `alpha` uint8 (H, W) or None if the file has none."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None


def read_image(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Return an image file as RGB, `uint8 (H, W, 3)`, upright, transparency composited over white.

    Raises `FileMissing`, `UnsupportedFormat`, `CorruptImage` (also for truncated files), `ImageTooLarge`.
    """
    return over_white(read_image_with_alpha(path, limits))


def read_image_with_alpha(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Return colours as stored (not premultiplied) and alpha apart. Raises as `read_image` does."""
    with opened(path, limits) as source:
        read_outline(source, limits)  # before the rest of the file is read
        data = source.read(0, source.size)
    return _decode(data, limits, str(path))


def decode_image(data: bytes, limits: Limits = DEFAULT_LIMITS, name: str = "the image") -> NDArray[np.uint8]:
    """Return the bytes of an image file as `read_image` does; `name` is what messages call it."""
    return over_white(_decode(data, limits, name))


def decode_image_with_alpha(data: bytes, limits: Limits = DEFAULT_LIMITS, name: str = "the image") -> Pixels:
    """Return the bytes of an image file as `read_image_with_alpha` does; `name` is what messages call it."""
    return _decode(data, limits, name)


def over_white(pixels: Pixels) -> NDArray[np.uint8]:
    """Composite colours over white: round((colour · alpha + 255 · (255 - alpha)) / 255)."""
    rgb, alpha = pixels
    if alpha is None:
        return rgb
    seen = alpha < 255
    share = alpha[seen].astype(np.uint32)[:, None]
    rgb[seen] = ((rgb[seen] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return rgb


def _decode(data: bytes, limits: Limits, name: str) -> Pixels:
    source = Source(data, len(data), name)
    check_bytes(source.size, limits, name)
    outline = read_outline(source, limits)
    try:
        rgb, alpha = decode(source, (outline.height, outline.width))
    except Sat2MapError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(f"{name} does not fit into memory", "Cut it into smaller images.") from error
    except (
        Exception
    ) as error:  # decoders of damaged files raise anything: SyntaxError, struct.error, KeyError …
        raise source.corrupt(f"its decoder says {error!r}") from error
    turned = None if alpha is None else _upright(alpha, outline.orientation)
    return Pixels(_upright(rgb, outline.orientation), turned)


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 3.0, tag 274): 1 is upright, 6 a camera held turned to the left."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
