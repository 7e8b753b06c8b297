"""The only place that makes files durable: temporary name, fsync, checksum, rename, directory fsync, locks.

A file or folder under its final name is complete, whatever happened while it was written: `kill -9`, a full disk,
an I/O error, a power cut. What a killed process leaves behind has a name that `sweep` recognises. Formats do not
notice most corruption themselves, so folders of ours carry a manifest of SHA-256 sums, and are read through it.

    write_json(run / "report.json", figures)
    with replacing(out, overwrite=False) as temporary:
        some_library.save(temporary)
    with committing_folder(run / "checkpoints" / "step-000123") as folder:
        (folder / "weights.safetensors").write_bytes(weights)
    with locked(run):
        sweep(run / "checkpoints", exclusive=True)
        checkpoint = newest_valid(run / "checkpoints")
"""

from sat2map.storage.files import (
    make_folder,
    refuse_existing,
    replacing,
    write_bytes,
    write_json,
    write_text,
)
from sat2map.storage.folders import committing_folder, restore, sweep
from sat2map.storage.journal import append_line, read_lines
from sat2map.storage.lock import locked
from sat2map.storage.manifest import MANIFEST, newest_valid, read_verified, sha256, verify, write_manifest

__all__ = [
    "MANIFEST",
    "append_line",
    "committing_folder",
    "locked",
    "make_folder",
    "newest_valid",
    "read_lines",
    "read_verified",
    "refuse_existing",
    "replacing",
    "restore",
    "sha256",
    "sweep",
    "verify",
    "write_bytes",
    "write_json",
    "write_manifest",
    "write_text",
]
