"""The rules by which files become `uint8 (H, W, 3)`, and arrays become files."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from image_files import exif, geotiff, picture, png_by_hand, png_chunk, saved
from sat2map.errors import OutputExists, UnsupportedFormat
from sat2map.images import (
    decode_image,
    encode_png,
    from_unit,
    image_size,
    read_image,
    read_image_with_alpha,
    to_unit,
    write_image,
)

CANARY = "CANARY-47N85E"
RNG = np.random.default_rng(7)


# -- orientation and metadata -----------------------------------------------------------------------------------


def held(image: np.ndarray, orientation: int) -> np.ndarray:
    """Store an upright image as a camera held in that way does (EXIF 3.0, tag 274: where row 0 and column 0 are)."""
    rows_and_columns = {
        1: image,  # top, left
        2: image[:, ::-1],  # top, right
        3: image[::-1, ::-1],  # bottom, right
        4: image[::-1],  # bottom, left
        5: image.swapaxes(0, 1),  # left, top
        6: image.swapaxes(0, 1)[::-1],  # right, top
        7: image.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: image.swapaxes(0, 1)[:, ::-1],  # left, bottom
    }
    return np.ascontiguousarray(rows_and_columns[orientation])


LOSSLESS = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [*LOSSLESS, "jpg"])
def test_all_orientations_of_a_picture_are_read_as_the_same_picture(tmp_path, suffix, orientation) -> None:
    upright = np.kron(
        picture()[::4, ::8, :], np.ones((16, 16, 1), np.uint8)
    )  # whole JPEG blocks of one colour
    kind, options = LOSSLESS.get(suffix, ("JPEG", {"quality": 100, "subsampling": "4:4:4"}))
    path = tmp_path / f"photo.{suffix}"
    stored = Image.fromarray(held(upright, orientation))
    path.write_bytes(saved(stored, kind, exif=exif(orientation), **options))
    image = read_image(path)
    assert image_size(path) == image.shape[:2] == upright.shape[:2]
    assert np.abs(image.astype(int) - upright).max() <= (2 if suffix == "jpg" else 0)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_nothing_of_the_metadata_that_was_read_is_written(tmp_path, suffix) -> None:
    source = tmp_path / "photo.jpg"
    source.write_bytes(saved(Image.fromarray(picture()), "JPEG", exif=exif(1, CANARY), comment=CANARY))
    assert CANARY.encode() in source.read_bytes()
    write_image(tmp_path / f"out{suffix}", read_image(source), overwrite=False)
    written = (tmp_path / f"out{suffix}").read_bytes()
    assert CANARY.encode() not in written and b"Exif" not in written and b"EXIF" not in written
    assert len(Image.open(io.BytesIO(written)).getexif()) == 0


def test_a_broken_exif_block_leaves_the_picture_as_it_is_stored() -> None:
    for block in (b"", b"noise", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
        data = png_by_hand(picture(), bits=8, extra=png_chunk(b"eXIf", block))
        assert np.array_equal(decode_image(data), picture())


# -- depth ------------------------------------------------------------------------------------------------------

DEEP = RNG.integers(0, 65536, (16, 32, 4), dtype=np.uint16)
DEEP[0] = np.arange(128).reshape(32, 4) * 2
NEAREST = np.rint(DEEP / 257).astype(np.uint8)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_deep_png_samples_become_the_nearest_of_v_over_257(tmp_path, bands) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(png_by_hand(DEEP[:, :, :bands]))
    rgb, alpha = read_image_with_alpha(path)
    assert np.array_equal(rgb, NEAREST[:, :, :3] if bands > 2 else np.repeat(NEAREST[:, :, :1], 3, axis=2))
    assert (alpha is None) == (bands in (1, 3))
    assert alpha is None or np.array_equal(alpha, NEAREST[:, :, bands - 1])


@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
@pytest.mark.parametrize("compress", ["none", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_deep_tiff_samples_become_the_nearest_of_v_over_257(bands, compress, order) -> None:
    photometric = "rgb" if bands > 1 else "minisblack"
    options = {"alpha": "unspecified"} if bands == 4 else {}
    data = geotiff(
        DEEP[:, :, :bands], compress=compress, ENDIANNESS=order, photometric=photometric, **options
    )
    expected = NEAREST[:, :, :3] if bands > 1 else np.repeat(NEAREST[:, :, :1], 3, axis=2)
    assert np.array_equal(decode_image(data), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits) -> None:
    samples = picture()[:, :, :1].astype(f"uint{bits}") * (257 if bits == 16 else 1)
    data = geotiff(samples, photometric="miniswhite")
    assert np.array_equal(decode_image(data), 255 - np.repeat(picture()[:, :, :1], 3, axis=2))


def test_twelve_bits_are_stretched_to_all_of_the_range() -> None:
    samples = np.arange(0, 4096, 8, dtype=np.uint16).reshape(16, 32, 1)
    expected = np.rint(samples / 4095 * 255).astype(np.uint8)
    assert np.array_equal(decode_image(geotiff(samples, nbits=12)), np.repeat(expected, 3, axis=2))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_stretched_to_all_of_the_range(bits) -> None:
    levels = 2**bits - 1
    samples = RNG.integers(0, levels + 1, (8, 16, 1))
    expected = np.repeat(samples * 255 // levels, 3, axis=2)
    assert np.array_equal(decode_image(png_by_hand(samples, bits=bits)), expected)


# -- colour and alpha -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_one_bit_and_palette_become_rgb(kind) -> None:
    image = Image.fromarray(picture())
    for mode in ("L", "1"):
        grey = np.asarray(image.convert(mode).convert("L"))
        assert np.array_equal(
            decode_image(saved(image.convert(mode), kind)), np.repeat(grey[:, :, None], 3, axis=2)
        )
    few = image.quantize(7)
    assert np.array_equal(decode_image(saved(few, kind)), np.asarray(few.convert("RGB")))


def test_cmyk_is_ink_on_paper_and_adobe_inverts_it_in_jpeg() -> None:
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, 8:, 1] = 255  # magenta on the right half, paper on the left
    picture_of_ink = Image.frombytes("CMYK", (16, 16), ink.tobytes())
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        data = saved(picture_of_ink, kind, **options)
        image = decode_image(data)
        assert np.abs(image[:, :8].astype(int) - 255).max() <= 2
        assert np.abs(image[:, 8:].astype(int) - [255, 0, 255]).max() <= 2
    assert b"Adobe" in data


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_alpha_is_composited_over_white_or_returned(tmp_path, suffix) -> None:
    colours = picture()
    alpha = np.broadcast_to(np.linspace(0, 255, colours.shape[1]).astype(np.uint8), colours.shape[:2])
    kind, options = LOSSLESS[suffix]
    path = tmp_path / f"a.{suffix}"
    rgba = Image.fromarray(np.dstack([colours, alpha]))
    path.write_bytes(saved(rgba, kind, **options, **({"exact": True} if suffix == "webp" else {})))
    rgb, read_alpha = read_image_with_alpha(path)
    assert np.array_equal(rgb, colours) and read_alpha is not None and np.array_equal(read_alpha, alpha)
    share = alpha[:, :, None] / 255
    assert np.abs(read_image(path) - (colours * share + 255 * (1 - share))).max() <= 0.5


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_that_png_calls_transparent_is_paper(bits) -> None:
    samples = RNG.integers(0, 2**bits, (8, 16, 1))
    clear = int(samples[3, 5, 0])
    data = png_by_hand(samples, bits=bits, extra=png_chunk(b"tRNS", clear.to_bytes(2)))
    expected = np.where(samples == clear, 255, np.rint(samples * 255 / (2**bits - 1)))
    assert np.array_equal(decode_image(data), np.repeat(expected, 3, axis=2))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_colour_that_png_calls_transparent_is_paper(bits) -> None:
    samples = RNG.integers(0, 2**bits - 1, (8, 16, 3))
    samples[3, 5] = clear = [7, 200, 33]
    samples[4, 6] = [7, 200, 34]  # nearly
    data = png_by_hand(samples, bits=bits, extra=png_chunk(b"tRNS", b"".join(v.to_bytes(2) for v in clear)))
    expected = np.rint(samples * 255 / (2**bits - 1))
    expected[3, 5] = 255
    assert np.array_equal(decode_image(data), expected)


def test_of_several_pages_and_frames_the_first_is_read() -> None:
    pages = [Image.fromarray(picture(seed)) for seed in (0, 50, 99)]
    for kind, options in (("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = saved(pages[0], kind, save_all=True, append_images=pages[1:], **options)
        assert np.array_equal(decode_image(data), picture())


@pytest.mark.parametrize(
    "options", [{"tiled": True, "blockxsize": 16, "blockysize": 16}, {"interleave": "band"}, {}]
)
@pytest.mark.parametrize("compress", ["none", "packbits", "lzw", "deflate", "zstd"])
def test_a_georeferenced_tiff_is_read_as_a_plain_picture(compress, options) -> None:
    if compress == "none" and options.get("tiled"):
        options = {**options, "ENDIANNESS": "BIG"}
    assert np.array_equal(decode_image(geotiff(picture(), compress=compress, **options)), picture())


# -- writing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp", ".PNG"])
@pytest.mark.parametrize("bands", [0, 3, 4])
def test_png_and_webp_give_back_the_same_pixels(tmp_path, suffix, bands) -> None:
    pixels = RNG.integers(0, 256, (9, 13, bands) if bands else (9, 13), dtype=np.uint8)
    path = tmp_path / f"new/image{suffix}"
    write_image(path, pixels, overwrite=False)
    rgb, alpha = read_image_with_alpha(path)
    expected = pixels if bands else np.repeat(pixels[:, :, None], 3, axis=2)
    assert np.array_equal(rgb, expected[:, :, :3])
    assert (alpha is not None and np.array_equal(alpha, pixels[:, :, 3])) if bands == 4 else alpha is None


def test_jpeg_is_nearly_the_same_with_full_colour_resolution(tmp_path) -> None:
    write_image(tmp_path / "a.jpg", picture(), overwrite=False)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - picture()).mean() < 2
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.layer[0][1:3] == (1, 1)  # no subsampling


def test_indices_keep_their_palette(tmp_path) -> None:
    palette = RNG.integers(0, 256, (5, 3), dtype=np.uint8)
    indices = RNG.integers(0, 5, (8, 8), dtype=np.uint8)
    write_image(tmp_path / "classes.png", indices, palette=palette, overwrite=False)
    assert np.array_equal(read_image(tmp_path / "classes.png"), palette[indices])
    with Image.open(tmp_path / "classes.png") as image:
        assert image.mode == "P" and np.array_equal(np.asarray(image), indices)
    assert encode_png(indices, palette) == (tmp_path / "classes.png").read_bytes()


def test_refused_outputs_leave_what_is_there(tmp_path) -> None:
    path = tmp_path / "a.png"
    write_image(path, picture(), overwrite=False)
    before = path.read_bytes()
    with pytest.raises(OutputExists):
        write_image(path, picture(9), overwrite=False)
    with pytest.raises(UnsupportedFormat, match=r"no image format for '\.gif'\. Use \.png"):
        write_image(tmp_path / "a.gif", picture(), overwrite=False)
    with pytest.raises(UnsupportedFormat, match=r"at most 16,383 px .* Use \.png"):
        write_image(tmp_path / "a.webp", np.zeros((2, 16_384, 3), np.uint8), overwrite=False)
    with pytest.raises(UnsupportedFormat, match="no palette or alpha"):
        write_image(tmp_path / "a.jpg", np.zeros((2, 2, 4), np.uint8), overwrite=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"] and path.read_bytes() == before
    write_image(path, picture(9), overwrite=True)
    assert np.array_equal(read_image(path), picture(9))


# -- the range of networks --------------------------------------------------------------------------------------


def test_every_byte_survives_the_way_to_the_unit_range_and_back() -> None:
    values = np.arange(256, dtype=np.uint8)
    unit = to_unit(values)
    assert unit.dtype == np.float32 and unit[0] == -1 and unit[-1] == 1
    assert np.array_equal(from_unit(unit), values)
    assert np.array_equal(from_unit(unit.astype(np.float64)), values)


@given(
    arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 5)), elements=st.floats(-4, 4, width=32))
)
def test_the_nearest_byte_is_taken_and_what_lies_outside_is_clipped(unit) -> None:
    exact = np.clip((unit.astype(np.float64) + 1) * 127.5, 0, 255)
    before = unit.copy()
    assert np.abs(from_unit(unit) - exact).max(initial=0) <= 0.5 + 1e-4
    assert np.array_equal(unit, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_never_becomes_a_colour(value) -> None:
    with pytest.raises(AssertionError, match="finite"):
        from_unit(np.array([0.0, value], np.float32))


def test_real_maps_are_read_as_pillow_reads_them(shared) -> None:
    paths = list(itertools.islice((shared / "data").rglob("*.jpg"), 3))
    assert paths, "the shared data hold no photographs"
    for path in paths:
        with Image.open(path) as image:
            assert np.array_equal(read_image(path), np.asarray(image.convert("RGB")))
            assert image_size(path) == image.size[::-1]


def test_reading_one_format_imports_the_decoder_of_that_one_only() -> None:
    code = "import sys, sat2map.images as i; i.decode_image(sys.stdin.buffer.read()); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=saved(Image.fromarray(picture()), "WEBP"),
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    plugins = {name for name in done.stdout.decode().split() if name.endswith("ImagePlugin")}
    assert plugins == {"PIL.WebPImagePlugin"}
