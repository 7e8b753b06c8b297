"""`sat2map collect review`: look through what the funnel left."""

import contextlib
from pathlib import Path

import click


@click.command(short_help="Look photos through in a browser, and keep or reject them.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of the page; 0: a free one.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print the address and nothing else.")
def review(folder: Path, port: int, quiet: bool) -> None:
    """Look through the photos of the collection DIR that `collect filter` has kept, and keep or reject them.

    Prints an address to open in a browser on this machine; nobody else can reach or use it. Keys: arrows, K keep, X
    reject, Z undo, Space select, Enter large, ? all of them. Every decision is on disk before it is shown as done. The
    result of `collect review` is decisions in the manifest, complete whenever you stop it with Ctrl-C; the next time it
    goes on there.

    \b
    Examples:
      sat2map collect review landscapes
      sat2map collect review landscapes --port 8765
    """
    from sat2map.collect.collection import Collection
    from sat2map.collect.review.server import ReviewServer
    from sat2map.collect.review.session import Review

    with Collection.held(folder) as collection:
        sitting = Review(collection)
        if not sitting.photos:
            raise click.UsageError(
                f"{folder} has no photos to look through: run `sat2map collect filter {folder}` first."
            )
        with contextlib.suppress(KeyboardInterrupt), ReviewServer(sitting, port) as server:
            click.echo(server.address)
            if not quiet:
                click.echo(f"{len(sitting.photos)} photos; Ctrl-C ends the review.", err=True)
            server.serve_forever()
    if not quiet:
        now = sitting.progress()
        click.echo(
            f"{now['kept']} kept, {now['rejected']} rejected, {now['photos'] - now['kept'] - now['rejected']} to do"
        )
