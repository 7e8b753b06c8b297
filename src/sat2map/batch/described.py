"""What a plan says of its sources: enough to open them again on any machine, and to notice that they changed."""

import msgspec

from sat2map.grid import Window

Box = tuple[float, float, float, float]  # west, south, east (above 180 across that line), north; degrees


class SceneSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="scene"):
    """One scene: where it is, how it is known again, where it lies."""

    path: str
    identity: str  # SHA-256 of its length, beginning and end
    extent: Box
    window: Window  # of the plan's grid, within which it has its pixels
    item: str = ""  # id of the STAC item that named it

    @property
    def name(self) -> str:
        """As it may be shown."""
        return self.path


class TilesSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="tiles"):
    """The area of a tile service. Tokens are not filled in: `{env:NAME}` stands for them, also in `headers`."""

    address: str
    name: str  # the address, as it may be shown
    level: str  # its label
    cover: Window  # of the level
    tiles: int  # how many the area needs
    extent: Box
    window: Window  # of the plan's grid, within which it has its pixels
    document: str = ""  # TileJSON or WMTS capabilities, as they came; empty for a template
    attribution: str = ""
    layer: str = ""
    matrix_set: str = ""
    style: str = ""
    image_format: str = ""
    tile_size: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    allow_hosts: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()  # paths
    rate: float = 8.0
    cache: bool = True
    item: str = ""  # as for scenes; never set


Source = SceneSource | TilesSource
