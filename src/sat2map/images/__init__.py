"""The only opener of image files, and the conversion between bytes and the range of networks.

Four formats, told by their first bytes, never by their names: PNG, JPEG, WebP and TIFF. Sizes are read from the
header and held against limits before anything is decoded; the decoder then gets a file reduced to what pixels
need (no text, profiles, thumbnails, further frames), and only the decoder of that format is entered.

One rule for each kind of pixel, so that a picture means the same everywhere (`read_image` returns `uint8 (H, W, 3)`):

- orientation (EXIF) is applied, then all metadata is dropped; nothing of it is ever written;
- 16 bits per sample become the nearest of v / 257 (12 bits: of v · 255 / 4095), never clipped;
- grey, 1-bit and palette images become RGB; a palette entry marked transparent is alpha;
- alpha is composited over white, the paper of a map; `read_image_with_alpha` returns it instead;
- CMYK is converted without colour profiles; in JPEG it is read as Adobe writes it (inverted);
- colour profiles are not applied: values are taken as sRGB;
- of several frames or pages the first is read; a georeferenced TIFF is read as a plain picture;
- floating-point, signed and 32-bit samples are refused: they have no white.
"""

from sat2map.images.header import Limits, image_size, sniff
from sat2map.images.metadata import Metadata, read_metadata
from sat2map.images.reading import (
    decode_image,
    decode_image_with_alpha,
    read_image,
    read_image_with_alpha,
)
from sat2map.images.resizing import resized, within
from sat2map.images.scale import from_unit, to_unit
from sat2map.images.writing import encode_jpeg, encode_png, write_image

__all__ = [
    "Limits",
    "Metadata",
    "decode_image",
    "decode_image_with_alpha",
    "encode_jpeg",
    "encode_png",
    "from_unit",
    "image_size",
    "read_image",
    "read_image_with_alpha",
    "read_metadata",
    "resized",
    "sniff",
    "to_unit",
    "within",
    "write_image",
]
