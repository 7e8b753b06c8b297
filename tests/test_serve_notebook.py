"""A notebook's server: shown in a frame, for this machine only, gone when it is closed."""

import pathlib
import re
import urllib.request

import pytest

import geotiffs
import tiny
from sat2map.errors import FileMissing
from sat2map.serve.notebook import show


def test_a_scene_is_shown_in_a_frame_until_it_is_closed(tmp_path):
    geotiffs.write(tmp_path / "town.tif", geotiffs.texture(200, 200))
    tiny.bundle(tmp_path / "tiny")
    shown = show(tmp_path / "town.tif", tmp_path / "tiny")
    try:
        (address,) = re.findall(r'src="([^"]+)"', shown._repr_html_())
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert b"sat2map" in answer.read() and "X-Frame-Options" not in answer.headers
            assert "frame-ancestors http://localhost:*" in answer.headers["Content-Security-Policy"]
        with urllib.request.urlopen(address + "tilejson/colour.json") as answer:
            assert answer.status == 200
    finally:
        shown.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(address)


def test_what_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(FileMissing, match="no file"):
        show(pathlib.Path(tmp_path / "none.tif"))
