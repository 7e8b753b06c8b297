"""Public paired sets that `data get` fetches: where they are, what they must hold, under which terms."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sat2map import storage
from sat2map.data.archive import Caps, unpack
from sat2map.data.download import Limits, download
from sat2map.data.imports import halves_size
from sat2map.data.layouts import find_pairs
from sat2map.data.manifest import write_manifest
from sat2map.data.pairs import PairedSet
from sat2map.data.pieces import Chain, Pieces
from sat2map.errors import BadDataset, DownloadFailed, FileMissing, OutputExists, UnsafeArchive

Progress = Callable[[int, int, str], None]  # (done, total or 0, what)


@dataclass(frozen=True)
class KnownSet:
    """One public set. `counts` are pairs by split, `size` (height, width) of one half in px."""

    name: str
    url: str
    counts: Mapping[str, int]
    size: tuple[int, int]
    licence: str
    attribution: str
    sha256: str = ""  # empty where nobody has published one


KNOWN = {
    "maps": KnownSet(
        name="maps",
        url="http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/maps.tar.gz",
        counts={"train": 1096, "val": 1098},
        size=(600, 600),
        licence="No licence stated: an academic data set of Google imagery, for research; do not redistribute",
        attribution="Imagery and map data: Google. Pairs: Isola, Zhu, Zhou, Efros, "
        "Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017",
    )
}


class Got(NamedTuple):
    """What `get` brought."""

    folder: Path
    sha256: str  # of the archive
    size: int  # bytes of the archive
    pairs: dict[str, int]
    left_out: int  # files of the archive that are no images


def get(
    known: KnownSet,
    folder: Path,
    *,
    archive: Path | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Got:
    """Fetch, verify and unpack a public set into the new folder `folder`, or unpack an `archive` that is here.

    A fetch that was interrupted goes on where it stopped; its bytes wait in a folder beside `folder`. Raises
    OutputExists before anything is fetched, DownloadFailed, UnsafeArchive, and BadDataset when the archive is whole
    but holds another number or size of pairs than the set is known to have.
    """
    if folder.exists():
        raise OutputExists(f"{folder} already exists", "Give another name, or remove it first")
    report: Progress = progress or (lambda done, total, what: None)
    pieces: Pieces | None = None
    if archive is None:
        waiting = folder.with_name(folder.name + ".download")
        pieces = download(
            known.url,
            waiting,
            sha256=known.sha256,
            limits=limits,
            progress=lambda done, total: report(done, total, "fetching"),
        )
        paths, size = pieces.paths, pieces.size
    else:
        if not archive.is_file():
            raise FileMissing(f"there is no archive {archive}", "Check the path")
        paths, size = [archive], archive.stat().st_size
    digest = Chain(paths).drain()
    if archive is not None and known.sha256 and digest != known.sha256:
        raise DownloadFailed(
            f"{archive} has the SHA-256 {digest}, not {known.sha256}", "Get the archive again"
        )
    note: dict[str, str | int] = {
        "url": known.url if archive is None else "",
        "archive": archive.name if archive else "",
    }
    note |= {"sha256": digest, "bytes": size, "unpacked": time.strftime("%Y-%m-%d", time.gmtime())}
    pairs: dict[str, int] = {}

    def finish(unpacked: Path) -> None:
        found = verify(known, unpacked)
        sizes = {pair.name: known.size for pair in found}
        write_manifest(found, sizes)
        terms = {"licence": known.licence, "attribution": known.attribution}
        storage.write_json(unpacked / "SOURCE.json", note | terms)
        pairs.update(found.splits)

    try:
        left_out = unpack(
            Chain(paths),
            folder,
            strip=1,
            caps=Caps(entries=4 * sum(known.counts.values())),
            finish=finish,
            progress=lambda done: report(done, size, "unpacking"),
        )
    except (UnsafeArchive, BadDataset):
        if pieces is not None:
            pieces.remove()  # whole, but not what it should be: the next call must fetch it again
        raise
    if pieces is not None:
        pieces.remove()
    return Got(folder, digest, size, pairs, len(left_out))


def verify(known: KnownSet, folder: Path) -> PairedSet:
    """Hold an unpacked set against what is known of it; raises BadDataset with the first difference."""
    pairs = PairedSet(folder, find_pairs(folder), known.licence, known.attribution)
    if pairs.splits != dict(known.counts):
        raise BadDataset(
            f"the archive holds {pairs.splits} pairs, but {known.name} has {dict(known.counts)}",
            "Get it again, or import other data with `sat2map data import`",
        )
    for pair in pairs:
        if halves_size(pair) != known.size:
            raise BadDataset(
                f"{pair.name} measures {halves_size(pair)} px for each half, not {known.size}", "Get it again"
            )
    return pairs
