"""What an evaluation found, with everything that is needed to believe or repeat it; JSON on disk."""

import importlib.metadata
import platform
from pathlib import Path
from typing import Literal

import msgspec

import sat2map
from sat2map.errors import BadDataset, FileMissing
from sat2map.evaluation.calibration import ReliabilityBin
from sat2map.evaluation.metrics import PairScore
from sat2map.evaluation.realism import Realism

FORMAT = 1  # of the JSON; rises when a field changes its meaning


class Subject(msgspec.Struct, frozen=True):
    """What was scored."""

    label: str
    kind: Literal["model", "predictions", "baseline"]
    checksum: str = ""  # SHA-256 of the graph, or of a folder's files


class Scores(msgspec.Struct, frozen=True):
    """Figures of one subject over all images of a split."""

    subject: Subject
    figures: dict[str, float]
    iou: dict[str, float] = {}  # class name -> IoU over all images; empty for satellite pictures
    confusion: tuple[tuple[int, ...], ...] = ()  # pixels, [true class][predicted class]
    images: tuple[PairScore, ...] = ()  # empty for baselines


class Calibration(msgspec.Struct, frozen=True):
    """How far a palette model's confidence can be believed: right means the class of the truth."""

    expected_error: float  # 0-1
    pixels: int
    bins: tuple[ReliabilityBin, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation: the subject's scores, never without those of the trivial baselines."""

    format: int = FORMAT
    protocol: str
    direction: Literal["sat2map", "map2sat"]
    data: str  # name of the data folder
    split: str
    n: int  # images
    scores: Scores
    baselines: tuple[Scores, ...]
    notes: tuple[str, ...] = ()  # what the reader must know, e.g. why a baseline is missing
    calibration: Calibration | None = None
    realism: Realism | None = None
    cycle: Scores | None = None  # map → satellite → map by a frozen model, scored against the input map
    versions: dict[str, str]
    command: str
    created: str  # RFC 3339
    seconds: float


def versions() -> dict[str, str]:
    """Versions on which figures may depend."""
    found = {
        "sat2map": sat2map.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for package in ("numpy", "Pillow", "onnxruntime"):
        found[package.lower()] = importlib.metadata.version(package)
    return found


def to_json(result: Result) -> bytes:
    """The result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def read_result(path: Path) -> Result:
    """Read a result that `evaluate` wrote; raises FileMissing, and BadDataset for anything else."""
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except OSError as error:
        raise FileMissing(
            f"result {path} cannot be read ({error.strerror})", "Name a JSON of `evaluate`"
        ) from error
    except msgspec.DecodeError as error:
        raise BadDataset(
            f"{path} is no result of `evaluate` ({error})", "Evaluate again with --json"
        ) from error
    if result.format != FORMAT:
        raise BadDataset(
            f"{path} has result format {result.format}, this version reads {FORMAT}",
            "Evaluate again with --json",
        )
    return result
