"""The whole process `sat2map translate` on one 600×600 image: seconds from nothing to a map on disk, and memory.

python benchmarks/translate.py [--model ID|DIR] [--side 600] [--rounds 5] [--json FILE]
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from inference import find_or_stand_in
from measuring import arguments, finish
from sat2map.bundle import DEFAULT


class Run(NamedTuple):
    """One process."""

    seconds: float
    megabytes: float  # peak resident memory


# Started in a process of its own: on Linux a child's peak memory is never below that of the process that started it,
# and this one has torch in it.
WATCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


def once(command: list[str]) -> Run:
    """Run a command to its end; raises RuntimeError with what it said if it fails."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", WATCH, *command], capture_output=True, text=True, check=True
    )
    seconds, memory, code = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux KiB
    return Run(seconds, memory / unit)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT, help=f"id or folder of a bundle (default {DEFAULT})")
    parser.add_argument("--side", type=int, default=600, help="px (default 600)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = find_or_stand_in(options.model, folder)
        noise = (
            np.random.default_rng(0)
            .integers(0, 256, (options.side // 8, options.side // 8, 3))
            .astype(np.uint8)
        )
        image = folder / "image.png"
        Image.fromarray(noise).resize((options.side, options.side), Image.Resampling.BICUBIC).save(image)
        command = [sys.executable, "-m", "sat2map", "translate", str(image), str(folder / "map.png")]
        command += ["--model", str(bundle.folder), "--overwrite", "-q"]
        runs = [once(command) for _ in range(options.rounds)]
    seconds, memory = [run.seconds for run in runs], [run.megabytes for run in runs]
    print(f"sat2map translate, {options.side}×{options.side}, model {bundle.card.id}, {len(runs)} processes")
    print(
        f"  seconds: fastest {min(seconds):.2f}, median {statistics.median(seconds):.2f}, slowest {max(seconds):.2f}"
    )
    print(f"  peak memory: {max(memory):.0f} MiB")
    finish(
        options.json, {"model": bundle.card.id, "side": options.side, "seconds": seconds, "megabytes": memory}
    )


if __name__ == "__main__":
    main()
