"""From nothing to a landscape model of one's own: the three commands of docs/ground-view.md, against a fake service."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from photoservices import Vk, running, shots  # noqa: E402
from sat2map.bundle import open_bundle  # noqa: E402
from sat2map.cli.main import main  # noqa: E402

BOX = (37.0, 55.0, 37.08, 55.1)
TINY = [
    "generator.parameters={latent: 6, side: 32, widths: [12, 8], head: 8}",
    "discriminator.parameters={side: 32, widths: [4, 8]}",
    "data.crop=32", "data.batch=2", "run.images=8", "run.checkpoint_every=4", "run.sample_every=8", "run.threads=1",
]  # fmt: skip


def test_a_token_and_a_region_become_a_landscape_model(tmp_path, monkeypatch):
    monkeypatch.setenv("VK_TOKEN", "own-token")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos, run, bundle = (str(tmp_path / name) for name in ("landscapes", "run", "mine"))
    region = ["--bbox", ",".join(map(str, BOX))]
    with running(Vk(shots(12, BOX), token="own-token")) as server:
        service = ["--url", server.url("/method"), "--rate", "500"]
        assert main(["collect", "photos", "vk", photos, *region, *service, "-q"]) == 0
    assert main(["collect", "filter", photos, "--keep-people", "--smallest", "40", "-q"]) == 0
    assert main(["train", "landscape", "--data", photos, "--run", run, *TINY, "-q"]) == 0
    assert main(["export", run, bundle]) == 0
    found = open_bundle(tmp_path / "mine")
    assert found.card.direction == "latent2view" and 2 <= found.card.training.pairs <= 12
    session = onnxruntime.InferenceSession(str(found.onnx))
    (drawn,) = session.run(["colour"], {"latent": np.eye(3, 6, dtype=np.float32)})
    assert drawn.shape == (3, 32, 32, 3) and drawn.dtype == np.uint8
