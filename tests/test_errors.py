"""What a user sees: every class of errors.py is caused once, by a command, and shown as one message with a remedy."""

import contextlib
import errno
import os
import pathlib
import socket
import struct
import sys
import tarfile
import zlib
from collections.abc import Callable, Collection

import numpy as np
import pytest
from affine import Affine
from PIL import Image

import geotiffs
import photos
import tiny
from sat2map import errors, storage
from sat2map.card import ModelCard
from sat2map.cli import main as command_line
from sat2map.cli.main import main
from sat2map.errors import Sat2MapError


class World:
    """An empty folder to work in, and what a case needs to make its trouble."""

    def __init__(self, folder: pathlib.Path, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> None:
        self.folder, self.patch, self.stack = folder, patch, stack

    def write(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return name

    def picture(self, name: str = "photo.png") -> str:
        Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(self.folder / name)
        return name

    def model(self, name: str = "model", **card: object) -> str:
        tiny.bundle(self.folder / name, **card)
        return name

    def pairs(self, name: str = "pairs", count: int = 6, side: int = 64) -> str:
        """Side by side, noise on the left and a street on the right."""
        random = np.random.default_rng(0)
        for split in ("train", "val"):
            (self.folder / name / split).mkdir(parents=True)
            for i in range(count):
                street = np.full((side, side, 3), (234, 230, 222), np.uint8)
                street[8 * i % side :][:6] = 255
                street[:, :9] = (178, 210, 254)
                street[:, -9:] = (202, 222, 174)
                both = np.hstack([random.integers(0, 255, (side, side, 3), dtype=np.uint8), street])
                Image.fromarray(both).save(self.folder / name / split / f"{i}.png")
        return name


Case = Callable[[World], list[str]]
CASES: dict[type[Sat2MapError], tuple[Case, list[str]]] = {}


def causes(error: type[Sat2MapError], *says: str) -> Callable[[Case], Case]:
    """Register a case: what makes the trouble and gives the command line, and words that the message must hold."""

    def register(case: Case) -> Case:
        assert error not in CASES
        CASES[error] = case, list(says)
        return case

    return register


@causes(errors.NoImagery, "shows", "edge")
def _(world: World) -> list[str]:
    tiny.viewer(world.folder / "geo")
    return ["view", world.picture(), "view.png", "--gsd", "0.9", "--model", "geo"]


@causes(errors.BadPath, "1 places", "two or more")
def _(world: World) -> list[str]:
    tiny.viewer(world.folder / "geo")
    return ["view", "walk.gif", "--world", "1", "--path", "0,0", "--model", "geo"]


@causes(errors.BadWorld, "density 1.5", "from 0 to 1")
def _(world: World) -> list[str]:
    return ["imagine", "town", "--density", "1.5"]


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims this size: sound chunks, no pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", b""),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@causes(errors.FileMissing, "nowhere.png")
def _(world: World) -> list[str]:
    return ["translate", "nowhere.png", "map.png", "--model", world.model()]


@causes(errors.UnsupportedFormat, "photo.png")
def _(world: World) -> list[str]:
    photo = world.write("photo.png", b"<html>no picture here</html>" * 9)
    return ["translate", photo, "map.png", "--model", world.model()]


@causes(errors.CorruptImage, "photo.png")
def _(world: World) -> list[str]:
    whole = (world.folder / world.picture()).read_bytes()
    return ["translate", world.write("photo.png", whole[:50]), "map.png", "--model", world.model()]


@causes(errors.ImageTooLarge, "photo.png", "1,000,000")
def _(world: World) -> list[str]:
    photo = world.write("photo.png", png_header(1_000_000, 1_000_000))
    return ["translate", photo, "map.png", "--model", world.model()]


@causes(errors.WrongBands, "4 bands", "tiny")
def _(world: World) -> list[str]:
    # Ordinary pictures always arrive as RGB, so a scene of four bands stands in for one of them.
    from sat2map.scenes import pictures, translate

    def check(card: ModelCard, bands: int, products: Collection[str]) -> None:
        translate.check(card, 4, products)

    world.patch.setattr(pictures, "check", check)
    return ["translate", world.picture(), "map.png", "--model", world.model()]


@causes(errors.UnusableCrs, "EPSG:99999999", "EPSG:3857")
def _(world: World) -> list[str]:
    geotiffs.write(world.folder / "scene.tif", geotiffs.texture(40, 30))
    return ["translate", "scene.tif", "map.tif", "--model", world.model(), "--output-crs", "EPSG:99999999"]


@causes(errors.WrongResolution, "18 m", "--gsd 0.9")
def _(world: World) -> list[str]:
    coarse = Affine(18, 0, 500_000, 0, -18, 5_000_000)
    geotiffs.write(world.folder / "scene.tif", geotiffs.texture(40, 30), transform=coarse)
    return ["translate", "scene.tif", "map.tif", "--model", world.model()]


@causes(errors.SomeImagesFailed, "photos", "1 of")
def _(world: World) -> list[str]:
    (world.folder / "photos").mkdir()
    world.picture("photos/good.png")
    world.write("photos/bad.png", png_header(30, 40))
    return ["translate", "photos", "maps", "--model", world.model()]


@causes(errors.OutputExists, "map.png", "--overwrite")
def _(world: World) -> list[str]:
    return ["translate", world.picture(), world.write("map.png", b"precious"), "--model", world.model()]


@causes(errors.StorageFailed, "map.png", "No space left")
def _(world: World) -> list[str]:
    arguments = ["translate", world.picture(), "map.png", "--model", world.model()]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.patch.setattr(os, "fsync", full)
    return arguments


@causes(errors.CorruptFile, "model.onnx")
def _(world: World) -> list[str]:
    graph = world.folder / world.model() / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    return ["translate", world.picture(), "map.png", "--model", "model"]


@causes(errors.BadBundle, "card.json")
def _(world: World) -> list[str]:
    (world.folder / world.model() / "card.json").unlink()
    return ["translate", world.picture(), "map.png", "--model", "model"]


@causes(errors.UnknownModel, "nonesuch")
def _(world: World) -> list[str]:
    return ["translate", world.picture(), "map.png", "--model", "nonesuch"]


@causes(errors.UnsuitableModel, "classes")
def _(world: World) -> list[str]:
    model = world.model(palette=None, kind="rgb")
    return ["translate", world.picture(), "map.png", "--model", model, "--products", "colour,classes"]


@causes(errors.MissingExtra, "yaml", "pip install 'sat2map[train]'")
def _(world: World) -> list[str]:
    world.patch.setitem(sys.modules, "yaml", None)
    return ["train", "carto", "--print-config"]


@causes(errors.UnsafeServer, "0.0.0.0", "--token-file")
def _(world: World) -> list[str]:
    return ["serve", "--host", "0.0.0.0", "--model", world.model(), "-q"]


@causes(errors.WorkerFailed, "ended before it was ready", "memory")
def _(world: World) -> list[str]:
    world.patch.setattr(sys, "executable", "/bin/false")  # stands for a process that is killed as it starts
    return ["serve", "--port", "0", "--model", world.model(), "-q"]


@causes(errors.BadRecipe, "data.batch=many")
def _(world: World) -> list[str]:
    return ["train", "carto", "data.batch=many", "--print-config"]


@causes(errors.BadDataset, "empty")
def _(world: World) -> list[str]:
    (world.folder / "empty").mkdir()
    return ["train", "carto", "--data", "empty", "--run", "run"]


@causes(errors.DownloadFailed, "ftp://example.org/maps.tar.gz")
def _(world: World) -> list[str]:
    return ["data", "get", "maps", "maps", "--url", "ftp://example.org/maps.tar.gz"]


@causes(errors.UnsafeArchive, "../outside.jpg")
def _(world: World) -> list[str]:
    with tarfile.open(world.folder / "maps.tar.gz", "w:gz") as archive:
        archive.add(world.folder / world.picture("a.jpg"), "../outside.jpg")
    return ["data", "get", "maps", "maps", "--from", "maps.tar.gz"]


@causes(errors.BadCollection, "line 1", "manifest.jsonl")
def _(world: World) -> list[str]:
    (world.folder / "photos").mkdir()
    world.write("photos/manifest.jsonl", b'{"record": "letter"}\n')
    return ["collect", "filter", "photos", "--keep-people"]


@causes(errors.PortTaken, "127.0.0.1", "--port")
def _(world: World) -> list[str]:
    photos.album(world.folder / "album", 1)
    assert main(["collect", "photos", "album", "photos", "-q"]) == 0
    assert main(["collect", "filter", "photos", "--keep-people", "-q"]) == 0
    taken = world.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return ["collect", "review", "photos", "--port", str(taken.getsockname()[1])]


@causes(errors.BadArea, "37,56,38,55")
def _(world: World) -> list[str]:
    (world.folder / "album").mkdir()
    return ["collect", "photos", "album", "photos", "--bbox", "37,56,38,55"]


@causes(errors.BadNetwork, "yolox.onnx")
def _(world: World) -> list[str]:
    (world.folder / "photos").mkdir()
    world.write("photos/manifest.jsonl", b"")
    return ["collect", "filter", "photos", "--person-model", world.write("yolox.onnx", b"no network")]


TILES = ["--bbox", "8.5,47.3,8.6,47.4"]


@causes(errors.BadAddress, "MAP_KEY", "export MAP_KEY")
def _(world: World) -> list[str]:
    world.patch.delenv("MAP_KEY", raising=False)
    address = "https://tiles.example/{z}/{x}/{y}?key={env:MAP_KEY}"
    return ["translate", address, "map.tif", "--model", world.model(), *TILES]


@causes(errors.BadTileSource, "https://tiles.example/{z}/{x}/{where}", "{where}")
def _(world: World) -> list[str]:
    return ["translate", "https://tiles.example/{z}/{x}/{where}", "map.tif", "--model", world.model(), *TILES]


@causes(errors.TooMuchToFetch, "tiles at zoom 19", "--max-tiles allows 1,024", "--zoom 16")
def _(world: World) -> list[str]:
    address = "https://tiles.example/{z}/{x}/{y}"
    return ["translate", address, "map.tif", "--model", world.model(), *TILES, "--zoom", "19"]


def planned(world: World) -> str:
    geotiffs.write(world.folder / "scene.tif", geotiffs.texture(80, 90))
    assert main(["batch", "plan", "scene.tif", "plan", "--model", world.model(), "--cell", "512", "-q"]) == 0
    return "plan"


@causes(errors.BadPlan, "plan.json")
def _(world: World) -> list[str]:
    (world.folder / planned(world) / "plan.json").write_text("{}")
    return ["batch", "run", "plan"]


@causes(errors.CellsMissing, "cells are not done", "--partial")
def _(world: World) -> list[str]:
    return ["batch", "merge", planned(world)]


@causes(errors.ClusterFailed, "10.0.0.1:6379", "ray start --head")
def _(world: World) -> list[str]:
    ray = pytest.importorskip("ray", reason="Ray is not installed (ray extra)")

    def refuse(**options: object) -> None:
        raise ConnectionError("nobody answers")

    world.patch.setattr(ray, "init", refuse)
    return ["batch", "run", planned(world), "--engine", "ray", "--address", "10.0.0.1:6379"]


@causes(errors.RunExists, "run", "--resume", "--overwrite")
def _(world: World) -> list[str]:
    (world.folder / "run").mkdir()
    world.write("run/recipe.yaml", b"name: earlier\n")
    return ["train", "carto", "--data", world.pairs(), "--run", "run"]


@causes(errors.NothingToResume, "run", "--resume")
def _(world: World) -> list[str]:
    return ["train", "carto", "--data", world.pairs(), "--run", "run", "--resume"]


@causes(errors.RunLocked, "run", str(os.getpid()))
def _(world: World) -> list[str]:
    world.stack.enter_context(storage.locked(world.folder / "run"))
    return ["train", "carto", "--data", world.pairs(), "--run", "run"]


SMALL = [
    "generator.parameters={widths: [8, 16], encoder: [1, 1], decoder: [1], head: 8}",
    "objective.palette=4",
    "data.crop=64",
    "data.finish=null",
    "data.batch=2",
    "data.development=0.3",
    "run.precision=fp32",
    "run.images=8",
]


@causes(errors.TrainingDiverged, "step")
def _(world: World) -> list[str]:
    settings = [*SMALL, "optimiser.kind=adam", "optimiser.rate=1.0e+20", "optimiser.warmup=0"]
    return ["train", "carto", "--data", world.pairs(count=12), "--run", "run", *settings]


@causes(errors.TrainingFailed, "stalled after", "initialisation")
def _(world: World) -> list[str]:
    settings = [*SMALL, "optimiser.rate=1e-12", "optimiser.matrix_rate=1e-12"]
    settings += ["guard.memory=100", "guard.grace=1", "guard.patience=2"]
    return ["train", "carto", "--data", world.pairs(count=12), "--run", "run", *settings]


@causes(errors.NoDevice, "run.device=cuda", "run.device=cpu")
def _(world: World) -> list[str]:
    world.patch.setattr("torch.cuda.is_available", lambda: False)
    return ["train", "carto", "--data", world.pairs(), "--run", "run", "run.device=cuda"]


@causes(errors.RankLost, "rank 0 of 2 found no other ranks", "MASTER_ADDR")
def _(world: World) -> list[str]:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):  # as torchrun sets them, which sets more
        world.patch.setenv(name, value)
    world.patch.delenv("MASTER_ADDR", raising=False)
    return ["train", "carto", "--data", world.pairs(), "--run", "run", *SMALL]


@causes(errors.ParityFailed, "ONNX")
def _(world: World) -> list[str]:
    assert main(["train", "carto", "--data", world.pairs(count=12), "--run", "run", "-q", *SMALL]) == 0
    world.patch.setattr("sat2map.training.export.PARITY", -1.0)  # so that nothing is alike enough
    return ["export", "run", "bundle"]


@causes(errors.TooFewImages, "6", "50")
def _(world: World) -> list[str]:
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 16, 16])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, 1, 1])
    node = helper.make_node("GlobalAveragePool", ["image"], ["features"])
    model = helper.make_model(
        helper.make_graph([node], "mean", [image], [features]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, str(world.folder / "mean.onnx"))
    return ["evaluate", "--model", world.model(), "--data", world.pairs(), "--features", "mean.onnx"]


@causes(errors.NotComparable, "n 6", "3")
def _(world: World) -> list[str]:
    command = ["evaluate", "--model", world.model(), "--data", world.pairs(), "-q", "--protocol", "native"]
    assert main([*command, "--json", "a.json"]) == 0
    assert main([*command, "--json", "b.json", "--limit", "3"]) == 0
    return ["compare", "a.json", "b.json"]


def every_class(of: type[Sat2MapError] = Sat2MapError) -> list[type[Sat2MapError]]:
    return [
        c
        for child in of.__subclasses__()
        for c in (child, *every_class(child))
        if c.__module__ == errors.__name__
    ]


def test_every_class_has_a_case_that_causes_it() -> None:
    missing = [c.__name__ for c in every_class() if c not in CASES]
    assert missing == [], "a new error needs a case here: how does a user come to see it?"


@pytest.mark.parametrize("error", CASES, ids=lambda e: e.__name__)
def test_a_command_shows_the_error_as_one_message_with_a_remedy(
    error: type[Sat2MapError],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if error.__module__ != errors.__name__:
        return
    seen: list[BaseException] = []
    report = command_line._report
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        command_line, "_report", lambda e, arguments: (seen.append(e), report(e, arguments))[1]
    )
    case, says = CASES[error]
    with contextlib.ExitStack() as stack, monkeypatch.context() as patch:
        code = main(case(World(tmp_path, patch, stack)))
    shown = capsys.readouterr().err
    message = next((line for line in shown.splitlines() if line.startswith("error: ")), shown)
    assert message == shown.splitlines()[-1], "the message is one line, and the last"
    assert type(seen[-1]) is error or isinstance(seen[-1], ModuleNotFoundError), f"{seen[-1]!r}"
    assert code == error.exit_code
    assert "Traceback" not in shown
    for word in says:
        assert word in message
    if isinstance(seen[-1], Sat2MapError):
        assert seen[-1].what.rstrip(".") in message and seen[-1].remedy in message
        assert len(seen[-1].remedy.split()) >= 3, "a remedy is something to do"


def test_a_refusal_leaves_everything_as_it_was(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for error in (errors.OutputExists, errors.StorageFailed, errors.UnknownModel):
        folder = tmp_path / error.__name__
        folder.mkdir()
        monkeypatch.chdir(folder)
        with contextlib.ExitStack() as stack, monkeypatch.context() as patch:
            arguments = CASES[error][0](World(folder, patch, stack))
            before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            assert main(arguments) == error.exit_code
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("error", every_class(), ids=lambda e: e.__name__)
def test_the_docstring_says_what_happened_and_the_code_is_1_or_2(error: type[Sat2MapError]) -> None:
    assert error.__doc__ and error.__doc__.strip().endswith(".")
    assert error.exit_code in (1, 2)
    assert str(error("3 of 4.", "Do this")) == "3 of 4. Do this"
