"""The pictures of a report: what is where, at most 600 px wide, as data URIs so that a page is one file."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2map.evaluation.metrics import classes_of

UInt8 = npt.NDArray[np.uint8]

WIDEST = 600  # px
# Classes in reports: unlike the colours of the maps themselves, these can be told apart on any background.
CLASS_COLOURS: dict[str, str] = {
    "land": "#c9a27a",
    "building": "#d9628a",
    "road": "#e9e4da",
    "highway": "#f2a33c",
    "green": "#4fae68",
    "water": "#4a90e2",
    "other": "#9a8fb8",
}
_RIGHT = (24, 27, 33)  # RGB of what is right on an error map: nearly black, so that mistakes shine


def photo(rgb: UInt8) -> str:
    """(H, W, 3) -> data URI of a JPEG: satellite pictures, and maps that came as JPEG."""
    return _uri(_reduced(rgb, Image.Resampling.LANCZOS), "JPEG", quality=88, subsampling=0)


def drawing(rgb: UInt8) -> str:
    """(H, W, 3) -> data URI of a PNG: flat colours, exact and small."""
    image = _reduced(rgb, Image.Resampling.LANCZOS)
    if image.size == (rgb.shape[1], rgb.shape[0]) and image.getcolors(256) is not None:
        image = image.quantize(256, dither=Image.Dither.NONE)
    return _uri(image, "PNG", optimize=True)


def picture(rgb: UInt8) -> str:
    """(H, W, 3) -> data URI, as a PNG where there are few colours and as a JPEG otherwise."""
    few = Image.fromarray(rgb).getcolors(256) is not None
    return drawing(rgb) if few else photo(rgb)


def class_errors(truth: UInt8, guess: UInt8) -> UInt8:
    """(H, W, 3) maps -> (H, W, 3): dark where the class is right, otherwise the colour of the class that is missing."""
    true_class, guess_class = classes_of(truth), classes_of(guess)
    out = np.array([_rgb(colour) for colour in CLASS_COLOURS.values()], np.uint8)[true_class]
    out[true_class == guess_class] = _RIGHT
    return out


def level_errors(truth: UInt8, guess: UInt8) -> UInt8:
    """(H, W, 3) -> (H, W, 3): mean absolute error, 0 levels black to 128 white through red and yellow."""
    error = np.abs(truth.astype(np.int16) - guess).mean(-1) / 128
    ramp = np.stack([error * 3, error * 3 - 1, error * 3 - 2], -1)
    out: UInt8 = (np.clip(ramp, 0, 1) * 255).astype(np.uint8)
    return out


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _reduced(rgb: UInt8, resampling: Image.Resampling) -> Image.Image:
    image = Image.fromarray(rgb)
    if image.width > WIDEST:
        image = image.resize((WIDEST, max(round(image.height * WIDEST / image.width), 1)), resampling)
    return image


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
