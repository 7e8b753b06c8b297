"""Pillow's decoders, each entered directly and with a reduced file, and their modes as RGB and alpha."""

import io
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sat2map.images.containers import reduced_jpeg, reduced_png
from sat2map.images.header import format_of
from sat2map.images.source import Source
from sat2map.images.tiff import BITS, EXTRA_SAMPLES, PHOTOMETRIC, PLANAR, SAMPLES, TiffFacts

Channels = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]  # RGB (H, W, 3), alpha (H, W)
Opener = Callable[[], ImageFile.ImageFile]

_NATIVE, _FOREIGN = ("L", "B") if sys.byteorder == "little" else ("B", "L")
# Pillow keeps the high byte of 16-bit colours. Unpacking the same data in the other byte order keeps the low one.
_LOW_BYTE = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", _FOREIGN))
}
_PLAIN_MODES = {"1", "L", "P", "RGB", "CMYK", "YCbCr"}
_SHALLOW_GREY = {"L;2": 85, "L;4": 17}  # Pillow spreads these greys to 0…255, but not the transparent one


def decode(source: Source, size: tuple[int, int]) -> Channels:
    """Decode an image whose header was checked and announces `size` (height, width), as stored.

    Raises `UnsupportedFormat`, `CorruptImage`, and whatever decoders raise on damaged files.
    """
    assert not ImageFile.LOAD_TRUNCATED_IMAGES, "someone told Pillow to fill what is missing with grey"
    peak = 65535
    white_is_zero = False
    opener: Opener
    match format_of(source):
        case "PNG":
            from PIL.PngImagePlugin import PngImageFile

            opener = partial(_open, PngImageFile, reduced_png(source))
        case "JPEG":
            from PIL.JpegImagePlugin import JpegImageFile

            opener = partial(_open, JpegImageFile, reduced_jpeg(source))
        case "WebP":
            from PIL.WebPImagePlugin import WebPImageFile

            opener = partial(_open, WebPImageFile, source.read(0, source.size))
        case "TIFF":
            facts = TiffFacts(source)
            facts.check_layout()
            opener = _tiff_opener(source, facts)
            peak = 4095 if facts.number(BITS, 1) == 12 else peak
            white_is_zero = facts.number(PHOTOMETRIC) == 0
    image = opener()
    if image.size != size[::-1]:
        raise source.corrupt(f"its parts announce different sizes, {image.size} and {size[::-1]}")
    if image.mode.startswith("I;16"):
        return _deep_grey(image, peak, white_is_zero)
    if ";16" in _rawmode(image):
        return _deep_colour(source, opener)
    return _eight_bits(source, image)


def _open(decoder: type[ImageFile.ImageFile], data: bytes) -> ImageFile.ImageFile:
    return decoder(io.BytesIO(data))


def _tiff_opener(source: Source, facts: TiffFacts) -> Opener:
    from PIL.TiffImagePlugin import TiffImageFile

    if facts.number(BITS, 1) == 16 and facts.number(SAMPLES, 1) > 1:
        if facts.number(PLANAR, 1) != 1 or 1 in facts.numbers(EXTRA_SAMPLES):
            raise source.unsupported(
                "its 16-bit bands are stored one after another, or premultiplied by alpha"
            )
        if facts.number(PHOTOMETRIC) == 5:
            raise source.unsupported("it is a 16-bit CMYK image")
    opener = partial(_open, TiffImageFile, facts.reduced())
    try:
        opener()
    except (SyntaxError, KeyError, TypeError, ValueError, OSError) as error:
        raise source.unsupported(f"this kind of TIFF is not known ({error})") from error
    return opener


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the layout of the stored samples."""
    args = image.tile[0].args if image.tile else None
    mode = args[0] if isinstance(args, tuple) else args
    return mode if isinstance(mode, str) else ""


def _with_rawmode(image: ImageFile.ImageFile, rawmode: str) -> ImageFile.ImageFile:
    def replaced(args: object) -> object:
        return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode

    image.tile = [tile._replace(args=replaced(tile.args)) for tile in image.tile]  # type: ignore[arg-type]
    return image


def _to_eight(values: NDArray[np.integer], peak: int = 65535) -> NDArray[np.uint8]:
    """Scale 0…peak to 0…255, to the nearest; row by row, so that the wide products stay small."""
    result = np.empty(values.shape, np.uint8)
    for row, scaled in zip(values, result, strict=True):
        scaled[...] = np.minimum((row.astype(np.uint32) * 510 + peak) // (2 * peak), 255)
    return result


def _deep_grey(image: ImageFile.ImageFile, peak: int, white_is_zero: bool) -> Channels:
    clear = image.info.get("transparency")
    values = np.asarray(image).astype(np.uint16)
    alpha = None if clear is None else np.where(values == clear, 0, 255).astype(np.uint8)
    grey = _to_eight(peak - np.minimum(values, peak) if white_is_zero else values, peak)
    return np.repeat(grey[:, :, None], 3, axis=2), alpha


def _deep_colour(source: Source, opener: Opener) -> Channels:
    """Read 16-bit colour whole, in one pass per byte."""
    image = opener()
    rawmode = _rawmode(image)
    clear = image.info.get("transparency")
    if rawmode == "LA;16B":  # 4 bytes per pixel, like RGBA: both bytes of both bands at once
        packed = np.asarray(_with_rawmode(image, "RGBA")).astype(np.uint16)
        grey, deep_alpha = packed[:, :, 0] << 8 | packed[:, :, 1], packed[:, :, 2] << 8 | packed[:, :, 3]
        return np.repeat(_to_eight(grey)[:, :, None], 3, axis=2), _to_eight(deep_alpha)
    if rawmode not in _LOW_BYTE:
        raise source.unsupported(f"it has 16-bit samples in the layout {rawmode}")
    values = np.asarray(image).astype(np.uint16) << 8
    values |= np.asarray(_with_rawmode(opener(), _LOW_BYTE[rawmode]))
    rgb = _to_eight(values[:, :, :3])
    if values.shape[2] == 4:
        return rgb, _to_eight(values[:, :, 3])
    if clear is None:
        return rgb, None
    return rgb, np.where((values == np.array(clear)).all(axis=2), 0, 255).astype(np.uint8)


def _eight_bits(source: Source, image: ImageFile.ImageFile) -> Channels:
    rawmode = _rawmode(image)
    image.load()
    picture: Image.Image = image
    if rawmode in _SHALLOW_GREY and "transparency" in picture.info:
        picture.info["transparency"] *= _SHALLOW_GREY[rawmode]
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        return rgba[:, :, :3].copy(), rgba[:, :, 3].copy()
    if picture.mode not in _PLAIN_MODES:
        raise source.unsupported(f"its pixels have the mode {picture.mode}")
    return np.array(picture.convert("RGB")), None
