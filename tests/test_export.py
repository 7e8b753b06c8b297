"""Export: the bundle computes what the network computes, keeps nothing else, and refuses what it cannot prove."""

import os
from pathlib import Path

import numpy as np
import pytest

from pairs import toy_pair, write_toy_set

torch = pytest.importorskip("torch", reason="export needs the [train] extra")

from sat2map import bundle  # noqa: E402
from sat2map.errors import NothingToResume, OutputExists, ParityFailed  # noqa: E402
from sat2map.models import build_generator  # noqa: E402
from sat2map.palette import MAPS, Palette  # noqa: E402
from sat2map.runtime import OnnxTranslator  # noqa: E402
from sat2map.training import export, familiarity, graph, loop  # noqa: E402
from test_training import small  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    toy = write_toy_set(tmp_path_factory.mktemp("toy") / "set")
    folder = tmp_path_factory.mktemp("runs") / "run"
    loop.train(small("run.images=60", "run.checkpoint_every=60", "optimiser.warmup=8"), toy, folder)
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.export_run(run, tmp_path_factory.mktemp("out") / "toy", model_id="toy")


def test_the_bundle_says_what_the_run_says(run, exported):
    found, trained = bundle.open_bundle(exported), export.load_run(run)
    card = found.card
    assert card.palette == trained.palette and card.parameters == trained.recipe.generator.parameters
    assert card.training.images_seen == 60 and card.training.pairs == 9 and card.temperature > 0
    assert card.halo >= card.receptive_radius and card.halo % card.stride == card.cell % card.stride == 0


def test_no_limits_of_the_familiar_are_set_on_a_handful_of_pictures(exported):
    assert bundle.open_bundle(exported).card.familiar is None


def test_the_card_knows_the_training_pictures_from_others(run, monkeypatch, tmp_path):
    monkeypatch.setattr(familiarity, "LEAST", 1)
    known = bundle.open_bundle(export.export_run(run, tmp_path / "toy", model_id="toy")).card.familiar
    assert known is not None and not known.colours
    assert all(known.judge([255 - toy_pair(seed)[0]]).strange for seed in range(100, 110))


def test_graph_and_network_agree_on_sizes_that_were_not_traced(run, exported):
    found = bundle.open_bundle(exported)
    trained = export.load_run(run)
    trained.network.load_state_dict(graph.rounded(trained.network.state_dict()))
    deployed = graph.Deployed(trained.network, trained.palette, found.card.temperature).eval()
    translator = OnnxTranslator(found)
    for rows, cols in ((64, 64), (96, 200), (8, 72)):
        sat = np.random.default_rng(rows).integers(0, 256, (rows, cols, 3), np.uint8)
        assert export.parity(deployed, translator, sat) <= export.PARITY


def test_safetensors_hold_the_same_network(run, exported):
    from safetensors.torch import load

    found = bundle.open_bundle(exported)
    network = build_generator("carto", len(found.card.palette), found.card.parameters)
    network.load_state_dict(load(found.weights.read_bytes()))
    deployed = graph.Deployed(network.eval(), found.card.palette, found.card.temperature).eval()
    assert export.parity(deployed, OnnxTranslator(found), toy_pair(5)[0]) <= export.PARITY


def test_colour_index_class_and_confidence_tell_one_story(exported):
    found = bundle.open_bundle(exported)
    got = OnnxTranslator(found)(toy_pair(3)[0][None], ("colour", "index", "confidence", "probabilities"))
    palette = found.card.palette
    assert (palette.decode(got.index) == got.colour).all()
    shares = np.zeros((len(palette.names), *got.index.shape[1:]))
    np.add.at(shares, list(palette.classes), got.probabilities[0])
    assert (shares.argmax(0) == palette.to_classes(got.index)[0]).mean() > 0.9999
    assert np.abs(shares.max(0) * 100 - got.confidence[0]).max() <= 0.51


def test_a_class_of_several_colours_wins_by_their_sum():
    palette = Palette(((0, 0, 0), (9, 9, 9), (255, 255, 255)), (0, 0, 2))

    class Fixed(torch.nn.Module):
        def forward(self, image):
            scores = torch.tensor([0.3, 0.32, 0.38]).log().view(1, 3, 1, 1)
            return scores.expand(image.shape[0], 3, *image.shape[2:])

    deployed = graph.Deployed(Fixed(), palette, 1.0)
    _, index, confidence, _ = deployed(torch.zeros(1, 4, 4, 3, dtype=torch.uint8))
    assert (index == 1).all() and (confidence == 62).all()


def test_a_graph_of_other_weights_fails_parity(exported):
    found = bundle.open_bundle(exported)
    torch.manual_seed(99)
    stranger = build_generator("carto", len(found.card.palette), found.card.parameters).eval()
    deployed = graph.Deployed(stranger, found.card.palette, 1.0).eval()
    with pytest.raises(ParityFailed):
        export.parity(deployed, OnnxTranslator(found), toy_pair(1)[0])


def test_export_refuses_to_overwrite_and_leaves_the_bundle_untouched(run, exported):
    before = {p.name: p.read_bytes() for p in exported.iterdir()}
    with pytest.raises(OutputExists):
        export.export_run(run, exported, model_id="toy")
    assert before == {p.name: p.read_bytes() for p in exported.iterdir()}


def test_a_step_that_was_not_kept_is_refused(run, tmp_path):
    with pytest.raises(NothingToResume, match="kept no checkpoint"):
        export.export_run(run, tmp_path / "x", step=12345, model_id="toy")


@pytest.mark.parametrize(
    "name,parameters", [("unet", {"levels": 3, "width": 8}), ("resnet", {"blocks": 1, "width": 8})]
)
def test_classic_generators_export_too(name, parameters):
    network = build_generator(name, 3, parameters).eval()
    model = graph.halve(graph.export(graph.Deployed(network, None, 1.0), 64, 64))
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    sat = toy_pair(2, 64)[0][None]
    with torch.no_grad():
        network.load_state_dict(graph.rounded(network.state_dict()))
        (expected,) = graph.Deployed(network, None, 1.0)(torch.from_numpy(sat))
    (got,) = session.run(["colour"], {"image": sat})
    assert np.abs(got.astype(int) - expected.numpy()).max() <= 1


def test_the_maps_palette_survives_the_card(exported):
    assert MAPS.names == bundle.open_bundle(exported).card.palette.names
