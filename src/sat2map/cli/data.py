"""`sat2map data`: get, import and check paired sets."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from sat2map.cli.progress import progress


@click.group(short_help="Get, import and check paired sets.")
def data() -> None:
    """Bring a paired set to this machine, or look for its faults.

    A paired set is a folder of image pairs: a satellite view and the street map of the same ground.
    """


@data.command(short_help="Download a public set.")
@click.argument("name", type=click.Choice(["maps"]))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--url", help="Fetch the archive from here instead.")
@click.option(
    "--from",
    "archive",
    type=click.Path(path_type=Path),
    metavar="ARCHIVE",
    help="Unpack this .tar.gz, fetch nothing.",
)
@click.option("--sha256", metavar="HEX", help="Refuse the archive if it has another checksum.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def get(
    name: str, folder: Path, url: str | None, archive: Path | None, sha256: str | None, quiet: bool
) -> None:
    """Download the public set NAME into the new folder DIR.

    The result of `data get` is a paired set with a manifest. An interrupted download goes on when the same command is
    given again. Number and sizes of the images are checked before DIR appears.

    \b
    Examples:
      sat2map data get maps data/maps
      sat2map data get maps data/maps --from maps.tar.gz
    """
    from sat2map.data.known import KNOWN
    from sat2map.data.known import get as fetch

    if url and archive:
        raise click.UsageError("--url and --from exclude each other: one archive is unpacked at a time")
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise click.UsageError(f"--sha256 {sha256}: a SHA-256 has 64 hexadecimal digits")
    known = KNOWN[name]
    known = dataclasses.replace(known, url=url or known.url, sha256=(sha256 or known.sha256).lower())
    if not quiet:
        click.echo(f"{name}: {known.licence}.\n{known.attribution}.")
    with progress(f"getting {name}", quiet=quiet) as bar:
        got = fetch(known, folder, archive=archive, progress=bar)
    if not quiet:
        click.echo(f"{folder}: {_counted(got.pairs)}")
        click.echo(
            f"SHA-256 of the archive: {got.sha256}{'' if known.sha256 else ' (nothing to compare with)'}"
        )


def _counted(splits: Mapping[str, int]) -> str:
    """Say how many pairs there are; without a split there is but one heap, `all`."""
    if list(splits) == ["all"]:
        return f"{splits['all']:,} pairs"
    return ", ".join(f"{count:,} {split}" for split, count in splits.items()) + " pairs"


@data.command("import", short_help="Take over pairs that are here already.")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--street",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Street maps with the names of the satellite views in SRC.",
)
@click.option(
    "--sat-side",
    type=click.Choice(["left", "right"]),
    default="left",
    show_default=True,
    help="Side of the satellite view, where both are in one file.",
)
@click.option(
    "--split-by-place",
    "place_share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Give this share to validation; pictures that overlap stay together.",
)
@click.option(
    "--val-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Give this share to validation, at random.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option("--reference", is_flag=True, help="Point to the images instead of copying them.")
@click.option("--licence", default="", metavar="TEXT", help="Noted in the manifest.")
@click.option("--attribution", default="", metavar="TEXT", help="Noted in the manifest.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def import_(
    source: Path,
    out: Path,
    street: Path | None,
    sat_side: Literal["left", "right"],
    place_share: float | None,
    val_share: float | None,
    seed: int,
    reference: bool,
    licence: str,
    attribution: str,
    quiet: bool,
) -> None:
    """Take over the pairs in SRC as the new paired set OUT.

    SRC holds files with both halves side by side, or two folders sat/ and street/; either may lie below train/ and
    val/. The result of `data import` is a folder with the images, byte for byte, and a manifest.

    \b
    Examples:
      sat2map data import scans pairs --sat-side right --split-by-place 0.1
      sat2map data import ortho pairs --street maps
    """
    from sat2map.data import imports
    from sat2map.data.pairs import PairedSet
    from sat2map.errors import OutputExists

    if place_share and val_share:
        raise click.UsageError("--split-by-place and --val-share exclude each other: there is one split")
    if out.exists():
        raise OutputExists(f"{out} already exists", "Give another name, or remove it first")
    pairs = imports.find_source(source, sat_side, street)
    pairs = PairedSet(pairs.folder, pairs, licence or pairs.licence, attribution or pairs.attribution)
    share = place_share or val_share
    if share:
        with progress("finding places", quiet=quiet) as bar:
            pairs = imports.assign_splits(
                pairs, share, bool(place_share), seed, lambda done, total: bar(done, total, "")
            )
    with progress("importing", quiet=quiet) as bar:
        made = imports.import_pairs(
            pairs, out, copy=not reference, progress=lambda done, total: bar(done, total, "")
        )
    if not quiet:
        click.echo(f"{out}: {_counted(made.splits)}")


@data.command(short_help="Look for faults in a paired set.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all findings here."
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with pictures here."
)
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the pairs that training is better off without; DIR/quarantine.jsonl is honoured unasked.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILEs that are there.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing; the exit code says whether there are faults."
)
@click.pass_context
def check(
    ctx: click.Context,
    folder: Path,
    json_file: Path | None,
    report: Path | None,
    quarantine: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Look for faults in the paired set DIR.

    Unreadable and unequal pairs, duplicates, shared ground across splits, empty and swapped pairs, placeholders,
    misalignment. The result of `data check` is a list of findings, with --report as a page with thumbnails; the exit
    code is 1 when something would spoil training or its figures.

    A quarantine list has one pair a line with the reasons; take lines out or add some. `train` leaves these pairs out.

    \b
    Examples:
      sat2map data check data/maps
      sat2map data check pairs --report faults.html --json faults.json
      sat2map data check pairs --quarantine pairs/quarantine.jsonl
    """
    from sat2map.data.check import audit
    from sat2map.data.check_page import write_page
    from sat2map.data.findings import KINDS
    from sat2map.data.pairs import PairedSet
    from sat2map.data.quarantine import propose, write_quarantine
    from sat2map.storage import refuse_existing, write_json

    for output in (json_file, report, quarantine):
        if output:
            refuse_existing(output, overwrite=overwrite)
    pairs = PairedSet.open(folder)
    with progress("checking", quiet=quiet) as bar:
        found = audit(pairs, lambda done, total: bar(done, total, ""))
    unfit = propose(found, pairs)
    if quarantine:
        write_quarantine(quarantine, unfit, overwrite=overwrite)
    if json_file:
        write_json(json_file, found.as_json(), overwrite=overwrite)
    if report:
        write_page(report, found, pairs, unfit, overwrite=overwrite)
    if not quiet:
        click.echo(f"{folder}: {_counted(found.splits)}")
        for kind, (severity, count) in found.summary().items():
            click.echo(f"{severity}: {kind}: {count:,}. {KINDS[kind][1]}")
        click.echo(f"better left out of training: {len(unfit)} pairs")
        for output in (json_file, report, quarantine):
            if output:
                click.echo(f"{output}: written")
        if found.summary() and not (json_file or report):
            click.echo("which pairs these are: --report FILE.html, or --json FILE")
    if found.faults:
        ctx.exit(1)
