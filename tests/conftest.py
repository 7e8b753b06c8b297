"""Fixtures that every room's tests share."""

import importlib
import os
import pathlib
import signal
import sys
from types import ModuleType

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Take Ctrl-C as at a terminal: shells start background jobs with the signal ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder of real data that developers and CI have and users do not (SAT2MAP_SHARED, or ../shared)."""
    folder = pathlib.Path(os.environ.get("SAT2MAP_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set SAT2MAP_SHARED): this test needs real imagery")
    return folder


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    """Import a benchmark, and forget it and its neighbours afterwards."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)

    def by_name(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield by_name
    for name in set(sys.modules) - before:
        if pathlib.Path(getattr(sys.modules[name], "__file__", None) or "").parent == ROOT / "benchmarks":
            del sys.modules[name]
