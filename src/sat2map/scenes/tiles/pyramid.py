"""Tiles of other zooms than the one at which the network works, and tiles as PNG files.

A tile of a smaller zoom is made of its four children, two by two pixels: colours and confidence are the mean of the
valid ones (overviews of a map are anti-aliased, as those of the GeoTIFFs are), class numbers are never mixed: the most
frequent one, of several the first in reading order. A tile of a larger zoom repeats pixels: there is no more to know.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.images import encode_png
from sat2map.mercator import TILE
from sat2map.palette import Palette

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

NO_CLASS = 255  # in tiles of classes and confidence: no pixel of the scene


class TilePixels(NamedTuple):
    """What one tile shows."""

    pixels: UInt8  # (256, 256, 3) colours, or (256, 256) class numbers or percent
    valid: Bool  # (256, 256), True where the scene has a pixel


def joined(children: Sequence[TilePixels | None], product: str) -> TilePixels | None:
    """Return the tile above four, given in the order of `Tile.children`; None if all are empty."""
    known = [child for child in children if child is not None]
    if not known:
        return None
    depth = known[0].pixels.shape[2:]
    pixels = np.zeros((2 * TILE, 2 * TILE, *depth), np.uint8)
    valid = np.zeros((2 * TILE, 2 * TILE), np.bool_)
    for number, child in enumerate(children):
        if child is not None:
            row, col = number // 2 * TILE, number % 2 * TILE
            pixels[row : row + TILE, col : col + TILE] = child.pixels
            valid[row : row + TILE, col : col + TILE] = child.valid
    return TilePixels(*halved(pixels, valid, product))


def halved(pixels: UInt8, valid: Bool, product: str) -> tuple[UInt8, Bool]:
    """(2h, 2w, …) and (2h, 2w) -> (h, w, …) and (h, w): valid where any of the four pixels is."""
    four = [pixels[row::2, col::2] for row in (0, 1) for col in (0, 1)]
    known = [valid[row::2, col::2] for row in (0, 1) for col in (0, 1)]
    some = np.logical_or.reduce(known)
    if product == "classes":
        return _most_frequent(four, known), some
    deep = (slice(None), slice(None), *(None,) * (pixels.ndim - 2))
    count = np.stack(known).sum(0, np.uint16)[deep]
    shown = [np.where(mask[deep], values, 0) for values, mask in zip(four, known, strict=True)]
    mean = (np.stack(shown).sum(0, np.uint16) + count // 2) // np.maximum(count, 1)
    return mean.astype(np.uint8), some


def _most_frequent(four: Sequence[UInt8], known: Sequence[Bool]) -> UInt8:
    stack, masks = np.stack(four), np.stack(known)
    votes = [((own == stack) & masks).sum(0) * here for own, here in zip(four, known, strict=True)]
    best = np.stack(votes).argmax(0)  # of equals the first
    chosen: UInt8 = np.take_along_axis(stack, best[None], 0)[0]
    return chosen


def enlarged(tile: TilePixels, factor: int, row: int, col: int) -> TilePixels:
    """Return the part of a tile at `row`, `col` (of `factor` by `factor` parts), as a tile; `factor` is a power of 2.

    Beyond a factor of 256 a tile shows one pixel.
    """
    scale = min(factor, TILE)
    size = TILE // scale
    top, left = row * TILE // factor, col * TILE // factor
    part = slice(top, top + size), slice(left, left + size)
    pixels, valid = tile.pixels[part], tile.valid[part]
    return TilePixels(
        pixels.repeat(scale, 0).repeat(scale, 1),
        valid.repeat(scale, 0).repeat(scale, 1),
    )


def encode(tile: TilePixels, product: str, palette: Palette | None) -> bytes:
    """Return a tile as PNG: RGB, or RGBA if pixels are missing; classes indexed, confidence grey, 255 transparent."""
    pixels, valid = tile
    is_whole = bool(valid.all())
    if pixels.ndim == 3:
        if is_whole:
            return encode_png(pixels)
        shown = np.where(valid[..., None], pixels, 0)
        return encode_png(np.dstack([shown, valid.astype(np.uint8) * np.uint8(255)]))
    transparent = None if is_whole else NO_CLASS
    shown = pixels if is_whole else np.where(valid, pixels, NO_CLASS).astype(np.uint8)
    if product != "classes" or palette is None:
        return encode_png(shown, transparent=transparent)
    colours = np.zeros((len(palette.names) if is_whole else NO_CLASS + 1, 3), np.uint8)
    colours[: len(palette.names)] = palette.class_colours()
    return encode_png(shown, palette=colours, transparent=transparent)
