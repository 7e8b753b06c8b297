"""From what a user names to a plan on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sat2map import bundle, mercator, storage
from sat2map.batch.area import Ring, box_of, from_bbox, from_geojson
from sat2map.batch.described import Source
from sat2map.batch.grids import Grid, WebGrid, metric_grid
from sat2map.batch.plan import HEADER, LEAST_ZOOM, Model, Plan, make_plan, margin_for, zoom_for
from sat2map.batch.services import describe_service, planned
from sat2map.batch.sources import Found, look_at, on_grid
from sat2map.errors import BadArea, BadPlan
from sat2map.mercator import Degrees
from sat2map.scenes import raster
from sat2map.scenes.resolution import choose
from sat2map.scenes.sources.job import TileOptions, TileSource
from sat2map.scenes.sources.matrix import Cover
from sat2map.scenes.tiles.scene import cell_side
from sat2map.scenes.translate import check

Progress = Callable[[int, int, str], None]
Service = tuple[TileSource, Cover, int]


@dataclass(frozen=True)
class GridOptions:
    """What may be said of the grid. None: web tiles at the zoom nearest to the model's ground sampling distance."""

    crs: str | None = None  # a projected CRS in metres, AUTHORITY:CODE
    gsd: float | None = None  # metres per pixel; the model's if not given
    origin: tuple[float, float] | None = None  # left and top of pixel (0, 0), in units of `crs`
    zoom: int | None = None  # of web tiles


@dataclass(frozen=True)
class AreaOptions:
    """The area of interest: a box, or a GeoJSON file of polygons."""

    bbox: Sequence[float] | None = None  # west, south, east, north; degrees
    file: Path | None = None

    def rings(self) -> tuple[Ring, ...] | None:
        """Raises BadArea."""
        if self.bbox is not None and self.file is not None:
            raise BadArea("--bbox and --area were both given", "Give one of them")
        if self.file is not None:
            return from_geojson(self.file)
        return from_bbox(self.bbox) if self.bbox is not None else None


@dataclass(frozen=True)
class Reading:
    """How samples of scenes are read, as for `RasterSource`."""

    bidx: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    nodata: float | None = None


@dataclass(frozen=True)
class PlanOptions:
    """All that may be said of a plan but its sources."""

    model: str = "carto"
    products: tuple[str, ...] = ("colour", "classes", "confidence")
    side: int = 2048  # px of a cell
    grid: GridOptions = field(default_factory=GridOptions)
    area: AreaOptions = field(default_factory=AreaOptions)
    reading: Reading = field(default_factory=Reading)
    tiles: TileOptions = field(default_factory=TileOptions)


def plan_batch(
    sources: Sequence[Path | str],
    folder: Path,
    options: PlanOptions | None = None,
    *,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> Plan:
    """Look at the sources, choose the grid, write the plan. A source that is text is the address of a tile service.

    Raises what `look_at`, `describe_service`, `make_plan`, `bundle.find` and `translate.check` raise; BadArea, also for
    a service without an area; UnusableCrs; WrongResolution for scenes that are far from what the network is to see;
    BadPlan for cells that do not hold a whole number of the network's.
    """
    options = options or PlanOptions()
    found = bundle.find(options.model)
    card, wanted = found.card, options.grid
    is_web = wanted.crs is None or wanted.crs.upper() == mercator.CRS
    check(card, card.bands, options.products)
    if options.side % cell_side(card):
        raise BadPlan(
            f"cells of {options.side} px do not hold a whole number of the {cell_side(card)} px cells of {card.id}",
            f"Choose a --cell that is a multiple of {cell_side(card)}",
        )
    storage.refuse_existing(folder / HEADER, overwrite=overwrite)
    rings, metres = options.area.rings(), wanted.gsd or card.metres_per_pixel
    seen = _looked_at(sources, options.tiles, rings, metres, is_web, on_progress)
    for scene in seen:
        if isinstance(scene, Found):
            choose(raster.metres_per_pixel(scene.place), card.metres_per_pixel, _told(wanted, scene))
    grid = _web(wanted, metres, seen, rings) if is_web else _metric(wanted, metres)
    where = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    plan = Plan(
        model=Model(card.id, where, storage.sha256(found.onnx)),
        grid=grid,
        side=options.side,
        margin=margin_for(card.halo, card.stride),
        products=options.products,
        sources=tuple(_source(scene, grid) for scene in seen),
        bidx=options.reading.bidx,
        scale=options.reading.scale,
        nodata=options.reading.nodata,
        area=rings,
    )
    return make_plan(plan, folder, overwrite=overwrite, on_progress=on_progress)


def _looked_at(
    sources: Sequence[Path | str], tiles: TileOptions, rings: tuple[Ring, ...] | None, metres: float, is_web: bool,
    on_progress: Progress | None,
) -> list[Found | Service]:  # fmt: skip
    """Look at all sources, in their order; a scene that is named twice counts once."""
    services = {source for source in sources if isinstance(source, str)}
    if len(services) > 1 and tiles.headers:
        raise BadPlan(
            f"--header would go to all {len(services)} services, and may be a token of one of them",
            "Write tokens into the addresses as {env:NAME}, or plan the services one by one",
        )
    seen: dict[object, Found | Service] = {}
    for source in sources:
        if isinstance(source, Path):
            for found in look_at([source], in_degrees=is_web, on_progress=on_progress):
                seen.setdefault((found.path, found.item), found)
        elif rings is None:
            raise BadArea(
                f"which area of {source}?", "Give --bbox W,S,E,N in degrees, or --area FILE.geojson"
            )
        else:
            seen.setdefault(source, describe_service(source, tiles, rings, metres))
    return list(seen.values())


def _told(wanted: GridOptions, scene: Found) -> float | None:
    """Return the metres per pixel that the user asked for, if any."""
    if wanted.gsd or not (wanted.zoom and scene.extent):
        return wanted.gsd
    middle = (scene.extent.south + scene.extent.north) / 2
    return mercator.ground_size(wanted.zoom, min(max(middle, -85.0), 85.0))


def _metric(wanted: GridOptions, metres: float) -> Grid:
    assert wanted.crs is not None, "looked at by the caller"
    if wanted.zoom is not None:
        raise BadPlan("--zoom is for web tiles, and --crs names another grid", "Give --gsd instead of --zoom")
    return metric_grid(wanted.crs, metres, wanted.origin)


def _web(
    wanted: GridOptions, metres: float, seen: Sequence[Found | Service], rings: tuple[Ring, ...] | None
) -> Grid:
    if wanted.origin:
        raise BadPlan("--origin is for --crs; web tiles have theirs", "Leave out --origin")
    extents = [scene.extent for scene in seen if isinstance(scene, Found) and scene.extent]
    if rings and len(extents) < len(seen):
        extents.append(Degrees(*box_of(rings)))
    return WebGrid(max(wanted.zoom or zoom_for(metres, extents), LEAST_ZOOM))


def _source(scene: Found | Service, grid: Grid) -> Source:
    return on_grid(scene, grid) if isinstance(scene, Found) else planned(*scene, grid)
