"""A source of imagery by what the user called it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path

from sat2map.collect.collection import SPENT
from sat2map.collect.imagery import yandex
from sat2map.collect.imagery.scene import Scene
from sat2map.collect.imagery.tiles import Tiles
from sat2map.collect.imagery.views import Cut, ImagerySource
from sat2map.errors import FileMissing
from sat2map.network import Budget, Client, Clock, HostRules, Limits, Secrets
from sat2map.scenes.sources.job import TileOptions, TileSource


@dataclass(frozen=True)
class ImageryWish:
    """What is asked for."""

    source: str  # "yandex", an address of tiles, or a path
    base: str = ""  # Yandex: another address
    headers: tuple[tuple[str, str], ...] = ()
    layer: str = ""
    tile_size: int | None = None
    attribution: str = ""
    allowed: tuple[str, ...] = ()
    rate: float | None = None  # requests per second
    most_requests: int | None = None
    most_bytes: int | None = None


@contextmanager
def opened(
    wish: ImageryWish, cut: Cut, folder: Path, *, clock: Clock | None = None
) -> Iterator[ImagerySource]:
    """Yield the source; what it asks of others is counted in the collection `folder`.

    Raises FileMissing, and what the tile and raster rooms raise for a source that is none.
    """
    if wish.source == "yandex":
        with _yandex(wish, cut, folder, clock) as imagery:
            yield imagery
    elif wish.source.startswith(("http://", "https://")):
        with _tiles(wish, cut, folder, clock) as imagery:
            yield imagery
    else:
        path = Path(wish.source).expanduser()
        if not path.is_file():
            raise FileMissing(
                f"there is no file {path}",
                "Name `yandex`, an address like https://host/{z}/{x}/{y}.png, or a GeoTIFF",
            )
        with Scene(path, cut) as scene:
            scene.attribution = wish.attribution
            yield scene


@contextmanager
def _yandex(wish: ImageryWish, cut: Cut, folder: Path, clock: Clock | None) -> Iterator[ImagerySource]:
    base = wish.base or yandex.BASE
    has_key = bool(environ.get(yandex.KEY))
    client = Client(
        HostRules([base], wish.allowed),
        secrets=Secrets.named_in(f"{{env:{yandex.KEY}}}" if has_key else ""),
        limits=Limits(rate=wish.rate or yandex.RATE),
        budget=_budget(wish, folder),
        clock=clock,
    )
    with client:
        source = yandex.Yandex(client, cut, base, has_key=has_key)
        source.attribution = wish.attribution or source.attribution
        yield source


@contextmanager
def _tiles(wish: ImageryWish, cut: Cut, folder: Path, clock: Clock | None) -> Iterator[ImagerySource]:
    rate = wish.rate or Limits.rate
    options = TileOptions(
        layer=wish.layer, tile_size=wish.tile_size, headers=wish.headers, allow_hosts=wish.allowed, rate=rate
    )
    source = TileSource(wish.source, options, clock=clock)
    homes = [source.secrets.fill(home, in_url=True) for home in source.layer.template.homes]
    client = Client(
        HostRules(homes, wish.allowed),
        secrets=source.secrets,
        headers=dict(wish.headers),
        homes=homes,
        limits=Limits(rate=rate),
        budget=_budget(wish, folder),
        clock=clock,
    )
    with client:
        yield Tiles(client, source.layer, cut, source.shown, wish.attribution)


def _budget(wish: ImageryWish, folder: Path) -> Budget:
    return Budget(wish.most_requests, wish.most_bytes, folder / SPENT)
