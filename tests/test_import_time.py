"""Importing sat2map defines names and does nothing else; the core does so without the `train` extra.

Each test runs a fresh interpreter, since this one has long imported everything.
"""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
TRAIN_EXTRA = ["torch", "safetensors", "onnx", "onnxscript", "scipy", "tensorboard", "torchmetrics", "yaml"]
NEEDS_TRAIN_EXTRA = (
    "sat2map.models",
    "sat2map.losses",
    "sat2map.training",
    "sat2map.data.batches",
    "sat2map.data.unaligned",
)

# Refuses the extra's packages as if they were not installed.
BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {TRAIN_EXTRA}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""

# Notes whatever an import does to the world, and to the process beyond `sys.modules`.
WATCH = """
import json, logging, os, signal, sys, threading, warnings
done = []
def watch(event, arguments):
    if event == "open":
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and arguments[0] != os.devnull:
            done.append(f"opened {arguments[0]} for writing")
    elif event.partition(".")[0] in {"socket", "subprocess", "shutil", "tempfile"} or event in {
        "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.putenv", "os.unsetenv", "os.system", "os.fork"
    }:
        done.append(event)
def state():
    handlers = [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
    return [handlers, len(logging.root.handlers), logging.root.level, threading.active_count(), dict(os.environ)]
"""


def run(source: str) -> str:
    """Standard output of `source` in a fresh interpreter that sees the package and nothing of pytest."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-B", "-c", source],
        env={"PYTHONPATH": str(SOURCE), "PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def names() -> list[str]:
    """The dotted name of every module in the package, but for `__main__`."""
    parts = [path.relative_to(SOURCE).with_suffix("").parts for path in SOURCE.rglob("*.py")]
    return sorted(".".join(p).removesuffix(".__init__") for p in parts if p[-1] != "__main__")


def test_the_package_itself_costs_nothing() -> None:
    source = (
        "import sys; before = set(sys.modules); import sat2map; print(*sorted(set(sys.modules) - before))"
    )
    assert run(source).split() == ["sat2map"]


def test_import_takes_less_than_the_promised_time() -> None:
    # CPU seconds of this process, so a busy machine does not matter; the best of three, so a cold disk does not.
    source = "import time; start = time.process_time(); import sat2map; print(time.process_time() - start)"
    assert min(float(run(source)) for _ in range(3)) < 0.3


def test_help_loads_no_verb_and_no_heavy_library() -> None:
    source = (
        "import sys; from sat2map.cli.main import main; main(['--help']); print('\\nLOADED', *sys.modules)"
    )
    loaded = set(run(source).rpartition("LOADED")[2].split())
    heavy = {"numpy", "PIL", "rasterio", "onnxruntime", "rich", "msgspec", *TRAIN_EXTRA}
    assert not loaded & heavy
    assert {name for name in loaded if name.startswith("sat2map")} == {
        "sat2map",
        "sat2map.errors",
        "sat2map.cli",
        "sat2map.cli.main",
    }


def test_the_core_imports_without_the_train_extra() -> None:
    core = [name for name in names() if not name.startswith(NEEDS_TRAIN_EXTRA)]
    assert (
        run(f"{BLOCK}\nimport importlib\nfor n in {core}: importlib.import_module(n)\nprint('ok')") == "ok\n"
    )


@pytest.mark.parametrize("blocked", [True, False], ids=["core", "everything"])
def test_no_import_does_anything(blocked: bool) -> None:
    """Files, sockets, processes, environment, signal handlers, loggers and threads are as they were."""
    wanted = [name for name in names() if not (blocked and name.startswith(NEEDS_TRAIN_EXTRA))]
    # Other people's packages may do as they like: they are loaded before the watch begins.
    warm = (
        "numpy PIL.Image rasterio onnxruntime click rich.progress msgspec urllib3 starlette.applications uvicorn"
        + ("" if blocked else " torch yaml safetensors.torch onnx scipy.ndimage torchmetrics tensorboard")
    )
    source = f"""
{BLOCK if blocked else ""}
import importlib
for name in {warm.split()}:
    importlib.import_module(name)
{WATCH}
before = state()
sys.addaudithook(watch)
for name in {wanted}:
    importlib.import_module(name)
done += [f"{{a}} became {{b}}" for a, b in zip(before, state()) if a != b]
print("DONE" + json.dumps(done))
"""
    if not blocked:
        pytest.importorskip("torch")
        source = "import warnings; warnings.simplefilter('ignore')\n" + source
    assert json.loads(run(source).rpartition("DONE")[2]) == []


def test_the_watch_sees_what_it_forbids(tmp_path: pathlib.Path) -> None:
    source = f"""
{WATCH}
sys.addaudithook(watch)
before = state()
open({str(tmp_path / "x")!r}, "w").close()
os.environ["SAT2MAP_X"] = "1"
import socket
socket.socket().close()
print(json.dumps([done, before != state()]))
"""
    done, changed = json.loads(run(source))
    assert changed and {"os.putenv", "socket.__new__"} <= set(done) and any("writing" in d for d in done)
