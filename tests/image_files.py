"""Small image files of every kind that we read, made by Pillow, by GDAL or by hand."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine
from rasterio.io import MemoryFile

HEIGHT, WIDTH = 17, 24


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours with an edge in them, `uint8 (17, 24, 3)`, the same for the same seed."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [rows * 12 + seed, columns * 9, (rows + columns) * 5 + 40 * (columns > rows)]
    return np.stack(planes, axis=2).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_by_hand(samples: NDArray[Any], bits: int = 16, extra: bytes = b"") -> bytes:
    """Return a PNG of `(H, W, bands)` samples with 1, 2, 4, 8 or 16 bits; `extra` chunks go before the pixels."""
    height, width, bands = samples.shape
    if bits >= 8:
        rows = [row.astype(f">u{bits // 8}").tobytes() for row in samples]
    else:
        spread = samples[:, :, 0, None] >> np.arange(bits - 1, -1, -1) & 1
        rows = [np.packbits(row.astype(np.uint8)).tobytes() for row in spread.reshape(height, -1)]
    header = struct.pack(">IIBBBBB", width, height, bits, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def geotiff(samples: NDArray[Any], **options: Any) -> bytes:
    """Return a georeferenced TIFF of `(H, W, bands)` samples as GDAL writes it."""
    height, width, bands = samples.shape
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": bands,
        "dtype": samples.dtype.name,
    }
    with MemoryFile() as memory:
        with memory.open(
            **profile, crs="EPSG:32645", transform=Affine(1, 0, 300000, 0, -1, 3100000), **options
        ) as out:
            out.write(samples.transpose(2, 0, 1))
        return bytes(memory.read())


def exif(orientation: int, secret: str = "") -> Image.Exif:
    """Return an EXIF block with an orientation, an author and a place."""
    block = Image.Exif()
    block[274] = orientation
    if secret:
        block[315] = secret  # artist
        block.get_ifd(0x8825)[29] = secret  # GPS date
    return block


def zoo() -> dict[str, bytes]:
    """Return files by name; the name begins with the format."""
    rgb = Image.fromarray(picture())
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(picture(9)[:, :, 1]))
    palette = rgb.quantize(16)
    deep = Image.fromarray(picture()[:, :, 0].astype(np.uint16) * 250)
    wide = picture().astype(np.uint16) * 257 + 100
    files = {
        "PNG rgb text exif": saved(rgb, "PNG", exif=exif(6)),
        "PNG rgba": saved(rgba, "PNG"),
        "PNG grey": saved(rgb.convert("L"), "PNG"),
        "PNG grey alpha": saved(rgba.convert("LA"), "PNG"),
        "PNG 1 bit": saved(rgb.convert("1"), "PNG"),
        "PNG palette": saved(palette, "PNG"),
        "PNG palette clear": saved(palette, "PNG", transparency=3),
        "PNG deep grey": saved(deep, "PNG"),
        "PNG deep rgb": png_by_hand(wide),
        "JPEG rgb": saved(rgb, "JPEG", quality=90, exif=exif(8)),
        "JPEG 444": saved(rgb, "JPEG", quality=95, subsampling="4:4:4"),
        "JPEG grey": saved(rgb.convert("L"), "JPEG"),
        "JPEG cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "JPEG progressive": saved(rgb, "JPEG", progressive=True),
        "WebP lossy": saved(rgb, "WEBP", quality=80),
        "WebP lossless": saved(rgb, "WEBP", lossless=True),
        "WebP alpha exif": saved(rgba, "WEBP", lossless=True, exif=exif(3)),
        "WebP lossy alpha": saved(rgba, "WEBP", quality=70),
        "TIFF 1 bit fax": saved(rgb.convert("1"), "TIFF", compression="group4"),
        "TIFF jpeg": saved(rgb, "TIFF", compression="jpeg"),
        "TIFF palette": saved(palette, "TIFF"),
        "TIFF cmyk": saved(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        "TIFF tiles": geotiff(
            picture(), tiled=True, blockxsize=16, blockysize=16, compress="deflate", predictor=2
        ),
        "TIFF bands apart": geotiff(picture(), interleave="band", compress="lzw"),
        "TIFF big endian": geotiff(picture(), ENDIANNESS="BIG"),
        "TIFF BigTIFF": geotiff(picture(), BIGTIFF="YES", compress="packbits"),
        "TIFF zstd": geotiff(picture(), compress="zstd"),
        "TIFF deep rgb": geotiff(wide, photometric="rgb"),
        "TIFF deep rgb lzw": geotiff(wide, photometric="rgb", compress="lzw", ENDIANNESS="BIG"),
        "TIFF deep grey": geotiff(wide[:, :, :1], compress="deflate"),
    }
    for mode in ("RGB", "L", "RGBA", "LA"):
        files[f"TIFF {mode}"] = saved(rgba.convert(mode), "TIFF", exif=exif(5))
        files[f"TIFF {mode} deflate"] = saved(rgba.convert(mode), "TIFF", compression="tiff_deflate")
    return files
