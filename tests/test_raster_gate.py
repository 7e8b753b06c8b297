"""The gate for scenes: GTiff and nothing else, this file and no other, limits before pixels, no crash on any bytes."""

import http.server
import os
import pathlib
import random
import struct
import threading
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import rasterio

import geotiffs
from mutate import mutant
from sat2map.errors import (
    CorruptImage,
    FileMissing,
    ImageTooLarge,
    Sat2MapError,
    UnsupportedFormat,
    UnusableCrs,
)
from sat2map.grid import Window
from sat2map.scenes.raster import Limits, Place, RasterSource, metres_per_pixel, open_scene

MUTANTS = int(os.environ.get("SAT2MAP_MUTANTS", "2000"))
CHILDREN = 4


def whole(path: pathlib.Path | str, limits: Limits | None = None) -> np.ndarray:
    """Read a scene through the gate, all of it."""
    with open_scene(path, limits or Limits()) as dataset:
        source = RasterSource(dataset, str(path))
        metres_per_pixel(Place.of(dataset, str(path)))
        height, width, _ = source.shape
        pixels = source.read(Window(0, 0, height, width))
        source.valid(Window(0, 0, height, width))
        return pixels


def vrt(source: str, raw: bool = False) -> bytes:
    kind = ' subClass="VRTRawRasterBand"' if raw else ""
    inner = (
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        if raw
        else f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
    )
    band = f'<VRTRasterBand dataType="Byte" band="1"{kind}>{inner}</VRTRasterBand>'
    return f'<VRTDataset rasterXSize="16" rasterYSize="4">{band}</VRTDataset>'.encode()


@pytest.fixture
def canary():
    """A server on this machine that counts who comes."""
    visits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", visits
    server.shutdown()
    server.server_close()
    thread.join()


def test_disguised_files_are_refused_and_nothing_else_is_touched(tmp_path, canary):
    address, visits = canary
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"the canary sings" * 4)
    target = geotiffs.write(tmp_path / "other.tif", geotiffs.texture(4, 16, 1))
    payloads = [
        vrt(str(secret), raw=True),
        vrt(str(target)),
        vrt(f"/vsicurl/{address}/x.tif"),
        vrt(f"/vsizip/{target}"),
        b"<GDAL_WMS><Service name='TMS'><ServerUrl>"
        + address.encode()
        + b"</ServerUrl></Service></GDAL_WMS>",
        b'{"type":"STACTA"}',
        b"%PDF-1.7\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\xff\xd8\xff\xe0" + bytes(100),
        b"",
        b"II",
        b"II*\0",
        b"PK\x03\x04" + bytes(40),
    ]
    # The control: the same bytes under the same name do what they want with plain rasterio.
    disguised = tmp_path / "photo.tif"
    disguised.write_bytes(payloads[1])
    with warnings.catch_warnings(action="ignore"), rasterio.open(disguised) as dataset:
        assert dataset.driver == "VRT"
    for payload in payloads:
        disguised.write_bytes(payload)
        with pytest.raises((UnsupportedFormat, CorruptImage)):
            whole(disguised)
    assert not visits


def test_names_are_files_and_never_instructions(tmp_path, canary, monkeypatch):
    address, visits = canary
    monkeypatch.chdir(tmp_path)
    inner = geotiffs.write(tmp_path / "in.tif", geotiffs.texture(8, 9))
    (tmp_path / "folder.tif").mkdir()
    os.mkfifo(tmp_path / "pipe.tif")
    names = [
        f"{address}/x.tif",
        f"/vsicurl/{address}/x.tif",
        f"vrt://{inner}",
        f"zip://{inner}!in.tif",
        f"/vsizip/{inner}",
        f"/vsigzip/{inner}",
        f"/vsisubfile/0_100,{inner}",
        f"GTIFF_DIR:1:{inner}",
        f"GTIFF_RAW:{inner}",
        f"file://{inner}",
        vrt(str(inner)).decode(),
        "MEM:::DATAPOINTER=1,PIXELS=9",
        "folder.tif",
        "pipe.tif",
        "/dev/zero",
        "",
        "in.tif\0",
        "\udcff.tif",
    ]
    # The control: rasterio follows several of them, also with the driver forced.
    with rasterio.open(f"GTIFF_DIR:1:{inner}", driver="GTiff") as dataset:
        assert dataset.shape == (8, 9)
    for name in names:
        with pytest.raises(FileMissing):
            whole(name)
    assert not visits
    # Even a file of such a name is only that file.
    os.link(inner, tmp_path / "GTIFF_DIR:1:in.tif")
    assert whole("GTIFF_DIR:1:in.tif").shape == (8, 9, 3)


def test_companions_of_a_file_are_not_read(tmp_path):
    pixels = geotiffs.texture(64, 64)
    path = geotiffs.write(tmp_path / "in.tif", pixels, crs=None, transform=None)
    (tmp_path / "in.tfw").write_text("1\n0\n0\n-1\n500000\n5000000\n")
    (tmp_path / "in.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32632</SRS></PAMDataset>")
    mask = np.zeros((64, 64, 1), np.uint8)
    geotiffs.write(
        tmp_path / "in.tif.msk", mask, crs=None, transform=None, tags={"INTERNAL_MASK_FLAGS_1": "2"}
    )
    with rasterio.open(path) as dataset:  # the control
        assert dataset.crs is not None and not dataset.dataset_mask().any()
    with open_scene(path) as dataset:
        assert dataset.crs is None and dataset.transform.is_identity
        source = RasterSource(dataset, "in.tif")
        assert not source.has_missing
        assert np.array_equal(source.read(Window(0, 0, 64, 64)), pixels)


# -- limits -------------------------------------------------------------------------------------------------------


def header(entries: dict[int, int], *, big: bool = False, following: int = 0, padding: int = 0) -> bytes:
    """A TIFF of one directory with these numbers, and no pixels."""
    field, code, kind = (8, "Q", 16) if big else (4, "I", 4)
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    table = b"".join(
        struct.pack(f"<HH{code}{code}", tag, kind, 1, value) for tag, value in sorted(entries.items())
    )
    count = struct.pack("<Q" if big else "<H", len(entries))
    return head + count + table + following.to_bytes(field, "little") + bytes(padding)


SOUND = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: 64, 279: 4096}
BOMBS: dict[str, dict[int, int]] = {
    "wide": {256: 1 << 31},
    "high": {257: 4_000_001, 278: 1},
    "one strip": {256: 100_000, 257: 100_000, 278: 100_000},
    "one tile": {322: 1 << 20, 323: 1 << 20},
    "bands": {277: 60_000},
    "bits": {256: 1 << 20, 257: 1 << 20, 278: 1, 258: 65_535},
    "holes": {256: 200_000, 257: 200_000, 322: 512, 323: 512},
    "rows": {256: 1_000_000, 257: 1_000_000, 278: 1},
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("big", [False, True])
def test_bombs_are_refused_by_the_header_alone(name, big, tmp_path, monkeypatch):
    (tmp_path / "bomb.tif").write_bytes(header({**SOUND, **BOMBS[name]}, big=big))
    monkeypatch.setattr(rasterio, "open", None)  # GDAL is not asked
    start = time.process_time()
    with pytest.raises(ImageTooLarge, match="bomb"):
        whole(tmp_path / "bomb.tif")
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    ("entries", "following"),
    [({256: 0}, 0), ({257: 0}, 0), ({277: 0}, 0), ({278: 0}, 0), ({322: 0, 323: 16}, 0), ({}, 8)],
)
def test_impossible_headers_are_damage(entries, following, tmp_path):
    (tmp_path / "bad.tif").write_bytes(header({**SOUND, **entries}, following=following, padding=4500))
    with pytest.raises(CorruptImage):
        whole(tmp_path / "bad.tif")


def test_the_header_of_a_bomb_without_the_bomb_is_read(tmp_path):
    (tmp_path / "sound.tif").write_bytes(header(SOUND, padding=4500))
    assert whole(tmp_path / "sound.tif").shape == (64, 64, 3)


def test_pages_are_counted(tmp_path):
    parts, at = [], 8
    for number in range(300):
        page = header(SOUND)[8:-4]
        at += len(page) + 4
        parts.append(page + struct.pack("<I", at if number < 299 else 0))
    (tmp_path / "pages.tif").write_bytes(struct.pack("<2sHI", b"II", 42, 8) + b"".join(parts) + bytes(5000))
    with pytest.raises(ImageTooLarge, match="256 pages"):
        whole(tmp_path / "pages.tif")


def test_a_lying_mask_or_overview_is_a_bomb_too(tmp_path):
    second = len(header(SOUND))
    page = header({**SOUND, 254: 4, 256: 1 << 20, 257: 1 << 20, 278: 1 << 20})[8:]
    (tmp_path / "mask.tif").write_bytes(header(SOUND, following=second) + page + bytes(5000))
    with pytest.raises(ImageTooLarge):
        whole(tmp_path / "mask.tif")


def test_complex_samples_and_foreign_colours_are_refused(tmp_path):
    geotiffs.write(tmp_path / "complex.tif", np.ones((8, 8, 1), np.complex64))
    inks = geotiffs.texture(8, 8, 4).astype(np.uint16)
    geotiffs.write(tmp_path / "cmyk.tif", inks, photometric="cmyk")
    for name, says in (("complex.tif", "complex64"), ("cmyk.tif", "cyan")):
        with pytest.raises(UnsupportedFormat, match=says):
            whole(tmp_path / name)


# -- damage -------------------------------------------------------------------------------------------------------


def seeds(folder: pathlib.Path) -> list[bytes]:
    """Small sound files of many kinds; the directory comes first in each, so that mutations meet it."""
    kinds: list[tuple[str, int, dict]] = [
        ("uint8", 3, {}),
        ("uint8", 3, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}),
        ("uint8", 3, {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 16, "blockysize": 16}),
        ("uint8", 4, {"compress": "webp", "tiled": True, "blockxsize": 16, "blockysize": 16}),
        ("uint8", 1, {"compress": "packbits"}),
        ("uint16", 3, {"compress": "lzw", "predictor": 2, "interleave": "band"}),
        ("int16", 1, {"compress": "zstd", "nodata": -9}),
        ("float32", 1, {"compress": "deflate", "predictor": 3, "nodata": float("nan")}),
        ("uint8", 1, {"nbits": 1, "compress": "ccittfax4"}),
        ("uint8", 3, {"compress": "lerc"}),
    ]  # fmt: skip
    found = []
    for kind, bands, profile in kinds:
        pixels = geotiffs.texture(40, 33, bands).astype(kind)
        if "nbits" in profile:
            pixels = pixels // 128
        mask = np.arange(40 * 33).reshape(40, 33) % 7 > 0 if kind == "uint8" and bands == 3 else None
        found.append(geotiffs.write(folder / "seed.tif", pixels, mask=mask, **profile).read_bytes())
    geotiffs.write(folder / "seed.tif", geotiffs.texture(40, 33, 1), colormap={3: (1, 2, 3, 255)})
    return [*found, (folder / "seed.tif").read_bytes()]


def in_child(work: Callable[[], None], seconds: int) -> int:
    """Run `work` in a forked process with little memory and time; return its exit status as `os.waitpid` has it."""
    import resource

    with warnings.catch_warnings(
        action="ignore"
    ):  # pytest has threads here and there; the child uses none of them
        child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def test_mutants_give_pixels_or_a_typed_error_and_never_end_the_process(tmp_path):
    files = seeds(tmp_path)
    limits = Limits(decoded=1 << 26, block=1 << 24)

    def share(part: int) -> None:
        rng = random.Random(part)
        read = refused = 0
        slowest = 0.0
        path = tmp_path / f"mutant-{part}.tif"
        for number in range(part, MUTANTS, CHILDREN):
            path.write_bytes(mutant(files[number % len(files)], rng))
            start = time.process_time()
            try:
                whole(path, limits)
                read += 1
            except Sat2MapError as error:
                assert str(path) in str(error) or isinstance(error, UnusableCrs), error
                refused += 1
            slowest = max(slowest, time.process_time() - start)
        (tmp_path / f"report-{part}").write_text(f"{read} {refused} {slowest}")

    for part in range(CHILDREN):
        status = in_child(lambda part=part: share(part), 30 + MUTANTS // 20)
        kept = tmp_path / f"mutant-{part}.tif"
        assert status == 0, f"mutant {kept} ended the process with status {status} (signal {status & 127})"
    reports = [(tmp_path / f"report-{part}").read_text().split() for part in range(CHILDREN)]
    read, refused = (sum(int(line[i]) for line in reports) for i in (0, 1))
    assert read + refused == MUTANTS and read > MUTANTS // 10 and refused > MUTANTS // 10
    assert max(float(line[2]) for line in reports) < 5


def test_a_child_that_dies_would_be_seen():
    import ctypes

    assert in_child(lambda: ctypes.string_at(0), 5) != 0  # type: ignore[arg-type, return-value]
