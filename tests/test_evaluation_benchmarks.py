"""The benchmarks' arithmetic, and that the reference networks are the published ones."""

import sys

import numpy as np
import pytest

import fakes


def test_contestants_take_turns_and_the_order_turns_too(load) -> None:
    measuring = load("measuring")
    order: list[str] = []
    three = [measuring.Contestant(name, 1, lambda name=name: order.append(name)) for name in "abc"]
    rates = measuring.interleaved(three, rounds=3, seconds=0)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(values) for name, values in rates.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_taken_within_a_round(load) -> None:
    measuring = load("measuring")
    # the machine slows down tenfold; the ratio does not
    rates = {"ours": [100.0, 50.0, 10.0], "theirs": [50.0, 25.0, 5.0]}
    assert measuring.ratio(rates, "ours", "theirs") == (2.0, 2.0, 2.0)


def test_rates_count_items_over_time(load, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring = load("measuring")
    clock = iter([0.0, 0.4, 0.8, 1.2])
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: next(clock))
    assert measuring.rate(measuring.Contestant("x", 4, lambda: None), seconds=1.0) == pytest.approx(
        3 * 4 / 1.2
    )


def test_the_reference_networks_have_the_published_sizes(load) -> None:
    pytest.importorskip("torch")
    reference = load("reference")
    for name, build in (("U-Net-256", reference.unet_256), ("ResNet-9", reference.resnet_9)):
        assert reference.parameters(build()) == reference.PARAMETERS[name]
    assert round(reference.PARAMETERS["U-Net-256"] / 1e6, 1) == 54.4
    assert round(reference.PARAMETERS["ResNet-9"] / 1e6, 1) == 11.4


def test_a_process_is_timed_with_its_own_memory_and_its_failure_is_told(load) -> None:
    pytest.importorskip("torch")
    translate = load("translate")
    small = translate.once([sys.executable, "-c", "pass"])
    large = translate.once([sys.executable, "-c", "x = b'1' * (200 << 20)"])
    assert 0 < small.seconds < 30
    assert large.megabytes > small.megabytes + 150
    assert translate.once([sys.executable, "-c", "pass"]).megabytes < large.megabytes - 150
    with pytest.raises(RuntimeError, match="said why"):
        translate.once([sys.executable, "-c", "raise SystemExit('said why')"])


# -- one table of several models ----------------------------------------------------------------------------------


def gradual(side: int) -> np.ndarray:
    """A picture (side, side, 3) that survives being reduced."""
    across = np.linspace(40, 210, side)
    return np.stack([np.broadcast_to(across, (side, side))] * 3, -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("metres", "protocol", "seen"), [(1.8, "maps-600", 300), (0.9, "maps-256", 600), (0.91, "maps-600", 600)]
)
def test_a_model_sees_the_ground_resolution_that_it_learned(
    load, monkeypatch, metres, protocol, seen
) -> None:
    results, shapes = load("results"), []

    def painted(self, name, source):
        shapes.append(source.shape[:2])
        return results.Prediction(255 - source)

    monkeypatch.setattr(results.Model, "__call__", painted)
    known = results.PROTOCOLS[protocol]
    system = results.AtOwnScale(fakes.FakeTranslator(fakes.card(metres_per_pixel=metres)), known)
    source = gradual(known.reduced or 600)
    made = system("1", source).colour
    assert shapes == [(seen, seen)] and made.shape == source.shape
    assert np.abs(made.astype(int) - (255 - source.astype(int))).max() <= 2


def test_other_data_are_left_at_the_size_they_have(load) -> None:
    results = load("results")
    card = fakes.card(metres_per_pixel=1.8)
    assert results.scale_of(card, results.PROTOCOLS["native"]) == 1


def test_a_table_is_put_where_the_document_wants_it_and_again(load, tmp_path) -> None:
    results, document = load("results"), tmp_path / "a.md"
    document.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    for table in ("| one |\n", "| two |\n"):
        results.put_into(document, table)
    assert document.read_text() == f"before\n{results.BEGIN}\n\n| two |\n\n{results.END}\nafter\n"
    document.write_text("nothing")
    with pytest.raises(SystemExit, match="no lines"):
        results.put_into(document, "| three |")
    assert document.read_text() == "nothing"
