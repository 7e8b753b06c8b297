"""Hostile and damaged files: a typed error, or exactly the picture that Pillow sees; limits before decoders."""

import io
import random
import struct
import warnings
import zlib
from unittest import mock

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from image_files import geotiff, picture, png_by_hand, png_chunk, saved, zoo
from mutate import mutant
from sat2map.errors import CorruptImage, FileMissing, ImageTooLarge, Sat2MapError, UnsupportedFormat
from sat2map.images import Limits, decode_image, image_size, read_image, reading, sniff
from sat2map.images.containers import reduced_jpeg, reduced_png
from sat2map.images.source import Source
from sat2map.images.tiff import TiffFacts

ZOO = zoo()
MUTANTS = 10_000  # 2 seconds
TIGHT = Limits(pixels=1 << 18, bytes=1 << 20)
EXPECTED = (CorruptImage, UnsupportedFormat, ImageTooLarge)


def without_metadata(data: bytes) -> bytes:
    source = Source(data, len(data), "mutant")
    match sniff(data):
        case "PNG":
            return reduced_png(source)
        case "JPEG":
            return reduced_jpeg(source)
        case "TIFF":
            return TiffFacts(source).reduced()
    return data.replace(b"EXIF", b"XXXX")


def turned(image: np.ndarray) -> list[np.ndarray]:
    """The eight ways to hold a picture."""
    quarters = [np.rot90(image, k) for k in range(4)]
    return [*quarters, *(quarter.swapaxes(0, 1) for quarter in quarters)]


def same(image: np.ndarray, expected: np.ndarray, name: str) -> bool:
    # Pillow drops the low byte of deep colours; half a level for its rounding of alpha.
    return image.shape == expected.shape and np.abs(image - expected).max() <= (1 if "deep" in name else 0.5)


def reference(data: bytes) -> np.ndarray | None:
    """Decode with Pillow alone, restricted to the format that the file's magic names; None if it refuses."""
    kind = {"WebP": "WEBP"}.get(sniff(data) or "", sniff(data))
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[kind or ""]) as opened,
        ):
            opened.load()
            opened.info.pop("xmp", None)
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                grey = np.rint(np.asarray(image).astype(np.uint16) / 257)
                if isinstance(opened, TiffImageFile) and opened.tag_v2[262] == 0:
                    grey = 255 - grey  # white is zero, which Pillow forgets at this depth
                return np.repeat(grey[:, :, None], 3, axis=2)
            image = image.convert("LA") if image.mode == "La" else image
            if not image.has_transparency_data:
                return np.asarray(image.convert("RGB")).astype(float)
            rgba = np.asarray(image.convert("RGBA")).astype(float)
    except Exception:  # whatever Pillow says to it
        return None
    share = rgba[:, :, 3:] / 255
    return rgba[:, :, :3] * share + 255 * (1 - share)


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_is_read_as_pillow_reads_it(name) -> None:
    data = ZOO[name]
    assert sniff(data[:12]) == name.split()[0]
    expected = reference(data)
    assert expected is not None
    assert same(decode_image(data), expected, name)


def test_mutants_give_a_typed_error_or_the_picture_that_pillow_sees() -> None:
    rng = random.Random(20261120)
    decoded = refused = 0
    for number in range(MUTANTS):
        name = rng.choice(sorted(ZOO))
        data = mutant(ZOO[name], rng)
        try:
            image = decode_image(data, TIGHT, name=f"mutant {number} of {name}")
        except EXPECTED as error:
            assert f"mutant {number} of" in str(error)
            refused += 1
            continue
        decoded += 1
        expected = reference(data)
        if expected is None:  # for damaged metadata, which Pillow looks at and we do not
            expected = reference(without_metadata(data))
        assert expected is not None, (number, name)
        # There is more than one way to read a damaged orientation; the test of orientations is in test_images.py.
        assert any(same(image, way, name) for way in turned(expected)), (number, name)
    assert decoded > MUTANTS // 10 and refused > MUTANTS // 4, (decoded, refused)


@pytest.mark.parametrize("name", ZOO)
def test_every_truncation_is_noticed(name) -> None:
    data = ZOO[name]
    whole = decode_image(data)
    for length in range(0, len(data), max(1, len(data) // 80)):
        try:
            image = decode_image(data[:length])
        except EXPECTED:
            continue
        assert name.startswith("TIFF"), length  # only there may something other than pixels come last
        assert np.array_equal(image, whole), length
    if not name.startswith("TIFF"):
        with pytest.raises(CorruptImage, match=r"the image is damaged: .*\. Copy or download it again"):
            decode_image(data[:-1])


# -- limits, before any decoder ---------------------------------------------------------------------------------


def png_of(width: int, height: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_of(width: int, height: int) -> bytes:
    data = saved(Image.fromarray(picture()), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp_of(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = struct.pack("<4sIB3s", b"VP8X", 10, 0, b"") + canvas + ZOO["WebP lossy"][12:]
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WEBP") + body


def tiff_with(data: bytes, **tags: int) -> bytes:
    """Change first values of tags of a little-endian TIFF whose entries hold them inline."""
    changed = bytearray(data)
    start = int.from_bytes(data[4:8], "little")
    numbers = {
        "width": 256,
        "length": 257,
        "rows": 278,
        "tile": 322,
        "bits": 258,
        "kind": 339,
        "compression": 259,
    }
    for index in range(int.from_bytes(data[start : start + 2], "little")):
        at = start + 2 + 12 * index
        for name, value in tags.items():
            if int.from_bytes(data[at : at + 2], "little") == numbers[name]:
                changed[at + 2 : at + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(changed)


GREY_TIFF = saved(Image.fromarray(picture()).convert("L"), "TIFF")
BOMBS = {
    "PNG": png_of(20_000, 20_000),
    "PNG as wide as can be": png_of(2**31 - 1, 1),
    "PNG just above": png_of(8193, 8192),
    "JPEG": jpeg_of(65_000, 65_000),
    "WebP": webp_of(1 << 14, 1 << 14),
    "WebP huge": webp_of(1 << 24, 1 << 24),
    "TIFF": tiff_with(GREY_TIFF, width=100_000, length=100_000),
    "TIFF sparse": geotiff(np.zeros((1, 1, 1), np.uint8), compress="deflate"),
}
BOMBS["TIFF sparse"] = tiff_with(BOMBS["TIFF sparse"], width=1 << 20, length=1 << 20)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_from_the_header_and_no_decoder_is_entered(tmp_path, name) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name])
    with mock.patch.object(reading, "decode", side_effect=AssertionError("a decoder was entered")):
        for look in (read_image, image_size, lambda path: decode_image(path.read_bytes())):
            with pytest.raises(
                ImageTooLarge, match=r"px, the limit is 67,108,864 px\. Cut it into smaller images"
            ):
                look(path)


def test_files_with_too_many_bytes_are_refused_unread(tmp_path) -> None:
    path = tmp_path / "long.png"
    with path.open("wb") as file:
        file.write(ZOO["PNG grey"])
        file.truncate(1 << 40)  # sparse
    for look in (read_image, image_size):
        with pytest.raises(ImageTooLarge, match="bytes, the limit is"):
            look(path)
    with pytest.raises(ImageTooLarge):
        decode_image(ZOO["PNG grey"], Limits(bytes=100))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_bombs_in_metadata_are_never_unpacked(kind) -> None:
    bomb = zlib.compress(bytes(1 << 24))
    data = {b"zTXt": b"key\0\0", b"iTXt": b"key\0\1\0\0\0", b"iCCP": b"key\0\0"}[kind] + bomb
    samples = picture()
    with mock.patch("PIL.PngImagePlugin.PngStream.chunk_" + kind.decode(), side_effect=AssertionError):
        image = decode_image(png_by_hand(samples, bits=8, extra=png_chunk(kind, data) * 80))
    assert np.array_equal(image, samples)


HOSTILE_TIFFS = {
    "huge tiles": (tiff_with(ZOO["TIFF tiles"], tile=1 << 31), CorruptImage),
    "no rows per strip": (tiff_with(GREY_TIFF, rows=0), CorruptImage),
    "more rows than stored": (tiff_with(GREY_TIFF, length=18), CorruptImage),
    "strips missing": (tiff_with(GREY_TIFF, rows=1), CorruptImage),
    "floating-point": (geotiff(picture().astype(np.float32)), UnsupportedFormat),
    "signed": (geotiff(picture().astype(np.int16)), UnsupportedFormat),
    "32 bits": (geotiff(picture().astype(np.uint32)), UnsupportedFormat),
    "deep bands apart": (geotiff(picture().astype(np.uint16), interleave="band"), UnsupportedFormat),
    "old JPEG": (tiff_with(GREY_TIFF, compression=6), UnsupportedFormat),
    "odd bits": (tiff_with(GREY_TIFF, bits=7), UnsupportedFormat),
    "seven bands": (geotiff(np.repeat(picture(), 3, axis=2)[:, :, :7].copy()), UnsupportedFormat),
}


@pytest.mark.parametrize("name", HOSTILE_TIFFS)
def test_tiffs_that_lie_or_say_too_much_are_typed_errors(name) -> None:
    data, expected = HOSTILE_TIFFS[name]
    with pytest.raises(expected, match=r"^the image .*\. [A-Z].*\.$"):
        decode_image(data)


def test_scans_without_end_are_refused() -> None:
    """Every further scan of a progressive JPEG costs a few bytes and a pass over the whole image."""
    data = ZOO["JPEG progressive"]
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(CorruptImage, match="more than 100 scans"):
        decode_image(data[:-2] + scan * 200 + data[-2:])


# -- other things than images -----------------------------------------------------------------------------------


def test_no_other_format_that_pillow_knows_reaches_a_decoder(tmp_path) -> None:
    Image.init()
    tried = []
    for kind in sorted(set(Image.SAVE) - {"PNG", "JPEG", "WEBP", "TIFF"}):
        try:
            with warnings.catch_warnings(action="ignore"):  # some formats are about to leave Pillow
                data = saved(Image.fromarray(picture()).resize((32, 32)), kind)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            continue  # it has no encoder for this picture
        if sniff(data):
            continue  # MPO and the like: JPEG files with more behind them
        path = tmp_path / "photo.png"
        path.write_bytes(data)
        tried.append(kind)
        with (
            mock.patch.object(reading, "decode", side_effect=AssertionError(kind)),
            pytest.raises(UnsupportedFormat, match=r"photo\.png is no PNG, JPEG, WebP or TIFF image"),
        ):
            read_image(path)
    assert {"GIF", "BMP", "PDF", "EPS"} <= set(tried)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"<VRTDataset/>", b"RIFF\0\0\0\0WAVE", b"\xff\xd8", b"BM" * 100]
)
def test_what_is_no_image_is_said_to_be_none(tmp_path, data) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(UnsupportedFormat, match="Convert it to PNG first"):
        read_image(path)


def test_missing_files_and_folders_are_typed_errors(tmp_path) -> None:
    for look in (read_image, image_size):
        with pytest.raises(FileMissing, match=r"nowhere\.png does not exist"):
            look(tmp_path / "nowhere.png")
        with pytest.raises(FileMissing, match="is not a file"):
            look(tmp_path)


@pytest.mark.parametrize(
    "head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\xff\0\0\0WEBP", b"II*\0", b"MM\0+"]
)
def test_a_magic_and_noise_is_a_typed_error(head) -> None:
    rng = random.Random(1)
    for length in (*range(40), 1000, 100_000):
        for filling in (bytes(length), b"\xff" * length, rng.randbytes(length)):
            with pytest.raises(Sat2MapError):
                decode_image(head + filling)
