"""The quarantine list of a paired set: pairs that training leaves out, and why.

`data check --quarantine` proposes it and people may add to it: one JSON object a line,

    {"pair": "train/12", "why": ["swapped: flatness 0.81 and 0.22"]}

A list beside the data, `quarantine.jsonl`, is honoured without being asked for. Only training honours it: figures are
measured on the pairs that a protocol names, bad ones among them, or they would not compare.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from sat2map import storage
from sat2map.data.check import Audit
from sat2map.data.findings import Finding
from sat2map.data.pairs import PairedSet
from sat2map.errors import BadDataset, FileMissing

QUARANTINE = "quarantine.jsonl"
HELD_OUT = ("test", "val", "dev")  # splits whose pairs stay when the same ground is in training too


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line: the name of a pair, and the reasons, each as "kind: figures"."""

    pair: str
    why: tuple[str, ...] = ()


def propose(found: Audit, pairs: PairedSet) -> list[Entry]:
    """The pairs of an audit that training is better off without, in the order of the set.

    Of duplicates one stays: the one that is held out, or the first. Warnings that are often wrong (odd sizes, overlap,
    misalignment of the whole set) and notes put nobody in quarantine.
    """
    splits = {pair.name: pair.split for pair in pairs}
    why: dict[str, list[str]] = {}
    for finding in found.findings:
        for name in _unfit(finding, splits):
            why.setdefault(name, []).append(f"{finding.kind}: {finding.detail}")
    return [Entry(pair.name, tuple(why[pair.name])) for pair in pairs if pair.name in why]


def _unfit(finding: Finding, splits: Mapping[str, str]) -> Iterator[str]:
    """Which pairs of a finding have to go."""
    match finding.kind:
        case (
            "unreadable"
            | "swapped"
            | "placeholder"
            | "contradiction"
            | "empty map"
            | "empty scene"
            | "misaligned"
        ):
            yield from finding.pairs
        case "duplicate":
            yield from finding.pairs[1:]
        case "duplicate across splits":
            ranks = {name: _rank(splits[name]) for name in finding.pairs}
            best = min(ranks.values())
            keeper = next(name for name in finding.pairs if ranks[name] == best)
            yield from (name for name in finding.pairs if name != keeper)


def _rank(split: str) -> int:
    return HELD_OUT.index(split) if split in HELD_OUT else len(HELD_OUT)


def write_quarantine(path: Path, entries: Sequence[Entry], *, overwrite: bool = False) -> None:
    """Write a list. Raises OutputExists, StorageFailed."""
    lines = [msgspec.json.encode(entry) + b"\n" for entry in entries]
    storage.write_bytes(path, b"".join(lines), overwrite=overwrite)


def read_quarantine(path: Path) -> list[Entry]:
    """Read a list; empty lines are skipped. Raises FileMissing, BadDataset naming the line that is wrong."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise FileMissing(
            f"cannot read the quarantine list {path}: {error.strerror}", "Check the path"
        ) from error
    entries = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entries.append(msgspec.json.decode(line, type=Entry))
            except msgspec.DecodeError as error:
                raise BadDataset(
                    f"{path}, line {number}: {error}",
                    'Write one {"pair": NAME, "why": [TEXT]} a line, or `sat2map data check --quarantine`',
                ) from error
    return entries


def leave_out(pairs: PairedSet, file: Path | None = None) -> tuple[PairedSet, list[Entry]]:
    """The pairs that are not in quarantine, and the entries that took effect; names of no pair here are ignored.

    `file` is the list; without it, the one beside the data if there is one. Raises FileMissing, BadDataset (a bad
    line, or nothing left).
    """
    if file is None:
        file = pairs.folder / QUARANTINE
        if not file.is_file():
            return pairs, []
    entries = {entry.pair: entry for entry in read_quarantine(file)}
    kept = [pair for pair in pairs if pair.name not in entries]
    if not kept:
        raise BadDataset(f"all {len(pairs)} pairs are in quarantine ({file})", "Shorten the list")
    taken = [entries[pair.name] for pair in pairs if pair.name in entries]
    return PairedSet(pairs.folder, kept, pairs.licence, pairs.attribution), taken
