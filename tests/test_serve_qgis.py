"""A real QGIS shows served layers by XYZ address and by WMTS: the pixels that it draws are those of the tile.

Needs QGIS with its Python (Debian: apt install qgis python3-qgis); skipped where there is none.
"""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

import geotiffs
import tiny
from sat2map import mercator
from sat2map.images import decode_image, read_image
from serving import serving

PYTHON = "/usr/bin/python3"  # distributions build QGIS for their own Python
HAS_QGIS = "import importlib.util, sys; sys.exit(importlib.util.find_spec('qgis') is None)"

pytestmark = pytest.mark.skipif(
    not pathlib.Path(PYTHON).exists() or subprocess.run([PYTHON, "-I", "-c", HAS_QGIS]).returncode != 0,
    reason=f"no QGIS for {PYTHON} (Debian: apt install qgis python3-qgis)",
)


def test_qgis_draws_the_pixels_of_the_tiles(tmp_path):
    geotiffs.write(tmp_path / "town.tif", geotiffs.texture(700, 700))
    tiny.bundle(tmp_path / "tiny")
    with serving(scenes={"town": tmp_path / "town.tif"}, models={"tiny": tmp_path / "tiny"}) as server:
        layer = server.layer("colour")
        zoom, base = layer["own_zoom"], f"http://127.0.0.1:{server.port}"
        window = mercator.window_of(mercator.Degrees(*layer["extent"]), zoom)
        inside = next(t for t in mercator.tiles(window, zoom) if window.covers(t.window.grown(20)))
        box = mercator.bounds(inside.window, zoom)
        served = decode_image(server.get(f"/tiles/colour/{zoom}/{inside.x}/{inside.y}.png").body)
        address = f"{base}/tiles/colour/%7Bz%7D/%7Bx%7D/%7By%7D.png"
        sources = {
            "xyz": f"type=xyz&url={address}&zmin={layer['minzoom']}&zmax={layer['maxzoom']}",
            "wmts": "contextualWMSLegend=0&crs=EPSG:3857&dpiMode=7&format=image/png&layers=colour&styles=default"
            f"&tileMatrixSet=WebMercatorQuad&url={base}/wmts/WMTSCapabilities.xml",
        }
        done = subprocess.run(
            [PYTHON, str(pathlib.Path(__file__).with_name("serve_qgis.py")), ",".join(map(repr, box))]
            + [f"{name}={source}" for name, source in sources.items()],
            cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=200, check=True,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == {"xyz": True, "wmts": True}
    for name in sources:
        drawn = read_image(tmp_path / f"{name}.png")
        assert np.abs(drawn.astype(int) - served).max() <= 1, name
