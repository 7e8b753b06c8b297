"""The benchmarks' arithmetic, and that the reference networks are the published ones."""

import sys

import pytest


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
