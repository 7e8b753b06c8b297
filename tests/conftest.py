"""Fixtures that every room's tests share."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Folder of real data that developers and CI have and users do not (SAT2MAP_SHARED, or ../shared)."""
    folder = pathlib.Path(os.environ.get("SAT2MAP_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set SAT2MAP_SHARED): this test needs real imagery")
    return folder
