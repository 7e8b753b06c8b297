"""Fetching goes on through faults and kills, and asks for nothing twice."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import rasterio

import tileserver
from badnet import FakeClock, Faulty, Server
from sat2map.errors import DownloadFailed, NothingToResume, OutputExists
from tileserver import serving
from tilesources import COL, ROW, gathered, own_cache, world

__all__ = ["own_cache"]


def test_a_third_of_all_requests_may_fail(tmp_path):
    at = world(14, 14, side=64)
    faulty = Faulty(lambda path: at.tile(*tileserver.xyz(path)), 0.3, seed=2)
    with Server(faulty, FakeClock()) as server:
        pixels, valid, _ = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", tile_size=64)
        assert np.array_equal(pixels, at.pixels) and valid.all()
        assert len(server.seen) <= 1.5 * 196 + 20
        assert all(n == 1 for n in faulty.delivered.values())


def test_what_arrived_before_an_error_is_not_fetched_again(tmp_path):
    at = world(4, 4)
    tiles, closed = serving(at), [True]
    delivered: list[str] = []

    def answer(handler, seen, number):
        if closed[0] and len(delivered) >= 7:
            return handler.send(b"", 403)
        delivered.append(seen.path)
        return tiles(handler, seen, number)

    with Server(answer, FakeClock()) as server:
        with pytest.raises(DownloadFailed, match=r"403; [4-7] of 16 tiles are here.*--resume"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif")
        with pytest.raises(OutputExists, match="--resume"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif")
        with pytest.raises(NothingToResume, match="window"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", resume=True, bbox=at.bbox(10))
        (broken,) = tmp_path.glob(f".a.tif.tiles/{ROW}-{COL}.tile")
        broken.write_bytes(b"rotten")
        closed[0] = False
        pixels, _, _ = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", resume=True)
        assert np.array_equal(pixels, at.pixels)
    assert len(set(delivered)) == 16 and len(delivered) == 17, "one of them was rotten"
    assert list(tmp_path.glob(".*")) == []


WORKER = """
import pathlib, sys
from sat2map.scenes.sources.area import area_of, cover_of
from sat2map.scenes.sources.job import TileOptions, TileSource
address, out, bbox = sys.argv[1:]
source = TileSource(address, TileOptions(rate=1000.0, cache=False, tile_size=64))
cover = cover_of(source.layer, source.layer.level("17"), area_of(tuple(map(float, bbox.split(",")))), 999)
out = pathlib.Path(out)
with source.gathered(cover, out, resume=True) as mosaic:
    out.write_bytes(mosaic.read_bytes())
"""


def test_kills_lose_nothing_and_repeat_nothing(tmp_path):
    """Killed again and again while it fetches or writes; only what was under way is asked for twice."""
    at, kills, random_ = world(9, 9, side=64), 6, random.Random(3)
    tiles = serving(at)
    delivered: list[str] = []

    def answer(handler, seen, number):
        time.sleep(0.01)
        tiles(handler, seen, number)
        delivered.append(seen.path)

    with Server(answer) as server:
        whole, _, profile = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "whole.tif", tile_size=64)
        asked, done = len(server.seen), 0
        bbox = ",".join(map(repr, at.bbox()))
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(WORKER),
            server.url("/{z}/{x}/{y}"),
            str(tmp_path / "a.tif"),
            bbox,
        ]
        while done < kills:
            start = len(delivered)
            process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
            enough = start + random_.randint(1, 12)
            while len(delivered) < enough and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            assert not (tmp_path / "a.tif").exists()
        subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)
        assert len(server.seen) - asked <= 81 + kills * 8, (
            "at most those under way, and those not yet written"
        )
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert np.array_equal(np.moveaxis(dataset.read(), 0, -1), whole)
        assert dataset.profile["transform"] == profile["transform"]
    assert list(tmp_path.glob(".a.tif*")) == []
