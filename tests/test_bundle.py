"""Bundles: a card survives its STAC form exactly, a bundle is whole and untouched or refused."""

import json

import msgspec
import pytest

import fakes
import tiny
from sat2map import bundle as bundles
from sat2map import storage
from sat2map.bundle import Metrics, find, open_bundle, readme, shipped
from sat2map.card import Asset, from_stac, to_stac
from sat2map.errors import BadBundle, CorruptFile, FileMissing, OutputExists, UnknownModel

ASSETS = {"model.onnx": Asset("0a" * 32, 7), "model.safetensors": Asset("0b" * 32, 9)}
FIGURES = Metrics(
    protocol="maps-600",
    split="val",
    n=100,
    figures={"miou6": 0.5, "road_f1_3px": 0.75},
    command="sat2map evaluate",
    baselines={"blank": {"miou6": 0.08, "road_f1_3px": 0.0}, "copy": {"miou6": 0.01}},
)
RGB = {"kind": "rgb", "palette": None}
BLEND = {"windowing": "blend", "receptive_radius": -1, "halo": 64, "cell": 128, "stride": 256}


@pytest.fixture
def folder(tmp_path):
    return tiny.bundle(tmp_path / "tiny", metrics=(FIGURES,), limits=("It knows nothing.",)).folder


@pytest.mark.parametrize(
    "changes", [{}, RGB, {**RGB, **BLEND}, {"metrics": (FIGURES,), "limits": ("One.", "Two.")}]
)
def test_a_card_survives_stac_and_json_exactly(changes):
    card = fakes.card(**changes)
    item = json.loads(json.dumps(to_stac(card, ASSETS)))
    assert from_stac(item) == (card, ASSETS)


@pytest.mark.parametrize("changes", [{}, RGB])
def test_a_card_has_what_the_mlm_extension_requires(changes):
    item = to_stac(fakes.card(**changes), ASSETS)
    properties = item["properties"]
    assert item["type"] == "Feature" and item["stac_version"] == "1.1.0" and item["geometry"] is None
    assert {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"} <= set(properties)
    assert ("semantic-segmentation" in properties["mlm:tasks"]) == (not changes)
    for name, asset in zip(("onnx", "weights"), ASSETS.values(), strict=True):
        assert "mlm:model" in item["assets"][name]["roles"] and item["assets"][name]["mlm:artifact_type"]
        assert item["assets"][name]["file:checksum"] == "1220" + asset.sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../evil"},
        {"id": "Carto"},
        {"id": ""},
        {"bands": 4},
        {"palette": None},
        {"kind": "rgb"},
        {"stride": 0},
        {"halo": -4},
        {"halo": 6},
        {"cell": 30},
        {"receptive_radius": 9},
        {"receptive_radius": -1},
        {"temperature": 0.0},
        {"metres_per_pixel": 0.0},
        {**BLEND, "halo": 128},
        {**BLEND, "stride": 96},
    ],
)
def test_cards_that_contradict_themselves_are_refused(changes):
    with pytest.raises(BadBundle):
        fakes.card(**changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sat2map:stride", "four"), ("sat2map:colour", 1), ("sat2map:kind", "magic"), ("sat2map:stride", None)],
)
def test_a_wrong_field_of_a_card_is_named(key, value):
    item = to_stac(fakes.card(), ASSETS)
    item["properties"][key] = value
    with pytest.raises(BadBundle, match=key.removeprefix("sat2map:")):
        from_stac(item)


def test_a_bundle_opens_as_it_was_written(folder):
    opened = open_bundle(folder)
    assert opened.card == tiny.card(metrics=(FIGURES,), limits=("It knows nothing.",))
    assert opened.onnx.read_bytes() == tiny.graph(opened.card)
    assert opened.weights.is_file()
    assert set(json.loads((folder / "manifest.json").read_bytes())) == {
        "README.md",
        "card.json",
        "model.onnx",
        "model.safetensors",
    }


def test_an_existing_bundle_is_kept_unless_told_otherwise(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputExists):
        tiny.bundle(folder, title="Another")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "name", ["card.json", "model.onnx", "model.safetensors", "README.md", "manifest.json"]
)
def test_one_changed_byte_anywhere_is_noticed(folder, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises((CorruptFile, BadBundle)):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["card.json", "model.onnx", "model.safetensors", "manifest.json"])
def test_a_missing_part_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadBundle, match=name):
        open_bundle(folder)


def test_weights_of_another_model_are_noticed_even_with_a_fresh_manifest(folder):
    (folder / "model.onnx").write_bytes(tiny.graph(tiny.card(), seed=1))
    storage.write_manifest(folder)
    with pytest.raises(BadBundle, match="written for another model"):
        open_bundle(folder)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"type": "Feature"}', b"[" * 100_000])
def test_whatever_stands_in_card_json_the_error_is_ours(folder, text):
    (folder / "card.json").write_bytes(text)
    storage.write_manifest(folder)
    with pytest.raises(BadBundle):
        open_bundle(folder)


def test_an_oversized_card_is_neither_written_nor_read(folder, tmp_path):
    with pytest.raises(BadBundle, match="bytes"):
        tiny.bundle(tmp_path / "large", limits=("x" * (1 << 20),))
    assert not (tmp_path / "large").exists()
    (folder / "card.json").write_bytes(b" " * ((1 << 20) + 1))
    storage.write_manifest(folder)
    with pytest.raises(BadBundle, match="larger"):
        open_bundle(folder)


def test_ids_are_looked_up_and_never_become_paths(folder, monkeypatch):
    monkeypatch.setattr(bundles, "shipped", lambda: {"tiny": folder})
    monkeypatch.chdir(folder.parent.parent)
    assert find("tiny").folder == folder
    assert find(folder).folder == folder
    for wrong in ("../tiny", "tiny/..", "nothing", ""):
        with pytest.raises((UnknownModel, BadBundle)):
            find(wrong)
    with pytest.raises(UnknownModel, match="tiny"):  # the message lists what there is
        find("nothing")


def test_every_shipped_bundle_is_sound():
    for name, path in shipped().items():
        assert open_bundle(path).card.id == name


def test_a_folder_that_is_none_is_said_so(tmp_path):
    with pytest.raises(FileMissing):
        open_bundle(tmp_path / "nothing")


def test_the_readme_shows_figures_beside_their_baselines_and_all_limits():
    text = readme(fakes.card(metrics=(FIGURES,), limits=("It knows nothing.",)))
    assert "| figure | this model | blank | copy |" in text
    assert "| road_f1_3px | 0.75 | 0 |  |" in text
    assert "n = 100" in text and "- It knows nothing." in text


def test_cards_are_values():
    assert fakes.card() == fakes.card()
    with pytest.raises(AttributeError):
        fakes.card().title = "other"
    assert msgspec.structs.replace(fakes.card(), cell=48).patch == 64
