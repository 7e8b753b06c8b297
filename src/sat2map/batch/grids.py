"""The rasters that cells may lie on: web tiles of the whole world, or square pixels of a projected CRS.

A grid has one pixel for each place on the ground that it knows, whatever is planned on it, so two plans on one grid
have the same pixels where they overlap. Web Mercator goes round the world and is a whole number of cells; a projected
CRS has its rows and columns counted from one point of it, the origin of its coordinates unless told otherwise, to the
south and to the east, and below zero on the other sides.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.errors import UnusableCrs
from sat2map.grid import Window
from sat2map.mercator import Degrees, Metres
from sat2map.scenes import raster

Float = npt.NDArray[np.float64]

LONLAT = "OGC:CRS84"
_SLACK = 1e-4  # px by which an edge may miss a pixel's and is still taken to lie on it
_STRETCHED = 1.25  # times that a pixel may be longer or shorter on the ground than its CRS says
_POINTS = 65  # per side of an outline; odd, so that every other one is an outline of its own
_SIDES = np.array(
    [(0, 0), (0, 0.5), (0, 1), (0.5, 1), (1, 1), (1, 0.5), (1, 0), (0.5, 0)]
)  # of a window, row and col


class WebGrid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="web"):
    """The world's raster of web tiles at one zoom (`sat2map.mercator`)."""

    zoom: int

    @property
    def crs(self) -> str:
        """AUTHORITY:CODE."""
        return mercator.CRS

    @property
    def label(self) -> str:
        """For people."""
        return f"zoom {self.zoom}"

    @property
    def turn(self) -> int:
        """Columns after which the grid comes back to where it began; 0 if it never does."""
        return mercator.side(self.zoom)

    def cell_id(self, row: int, col: int) -> str:
        """Name a cell, counted in cells."""
        return f"{self.zoom}-{row}-{col}"

    def bounds(self, window: Window) -> Metres:
        """Return what a window covers, in units of the CRS."""
        return mercator.bounds(window, self.zoom)

    def place(self, window: Window) -> raster.Place:
        """Return where a window lies on the ground."""
        box = self.bounds(window)
        return raster.north_up(
            self.crs, box.left, box.top, mercator.pixel_size(self.zoom), window.height, window.width
        )

    def degrees(self, windows: Sequence[Window]) -> list[Degrees]:
        """Return the longitudes and latitudes that windows cover."""
        return [mercator.degrees(window, self.zoom) for window in windows]

    def positions(self, lons: Sequence[float], lats: Sequence[float]) -> tuple[Float, Float]:
        """Return rows and columns of points in degrees; longitudes beyond 180 lie on the next turn."""
        size = mercator.pixel_size(self.zoom)
        points = np.array([mercator.to_metres(lon, lat) for lon, lat in zip(lons, lats, strict=True)])
        return (mercator.EDGE - points[:, 1]) / size, (points[:, 0] + mercator.EDGE) / size


class MetricGrid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="metric"):
    """Square pixels of `size` metres in a projected CRS; pixel (0, 0) has its top-left corner at (left, top)."""

    crs: str
    size: float
    left: float = 0.0
    top: float = 0.0

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.size:g} m in {self.crs}"

    @property
    def turn(self) -> int:
        """0: the grid does not go round the world."""
        return 0

    def cell_id(self, row: int, col: int) -> str:
        """Name a cell by where it lies from the origin."""
        down = f"s{row}" if row >= 0 else f"n{-row}"
        return f"{self.crs.rpartition(':')[2]}-{down}-{f'e{col}' if col >= 0 else f'w{-col}'}"

    def bounds(self, window: Window) -> Metres:
        """Return what a window covers, in units of the CRS."""
        left, top = self.left + window.col * self.size, self.top - window.row * self.size
        return Metres(left, top - window.height * self.size, left + window.width * self.size, top)

    def place(self, window: Window) -> raster.Place:
        """Return where a window lies on the ground. Raises UnusableCrs."""
        box = self.bounds(window)
        return raster.north_up(self.crs, box.left, box.top, self.size, window.height, window.width)

    def degrees(self, windows: Sequence[Window]) -> list[Degrees]:
        """Return the longitudes and latitudes that windows cover, of many windows at once.

        From their corners and the middles of their sides; all longitudes where a pole lies inside. `east` is above 180
        where a window crosses that line.
        """
        sizes = np.array([(w.height, w.width) for w in windows], np.float64)
        points = np.array([(w.row, w.col) for w in windows], np.float64)[:, None] + _SIDES * sizes[:, None]
        lons, lats = self._on_earth(points.reshape(-1, 2))
        found = []
        poles = [self._pole(latitude) for latitude in (-90.0, 90.0)]
        for window, lon, lat in zip(windows, lons.reshape(-1, 8), lats.reshape(-1, 8), strict=True):
            west, east = _arc(lon)
            south, north = float(lat.min()), float(lat.max())
            for latitude, pole in zip((-90.0, 90.0), poles, strict=True):
                if pole and window.covers(Window(*pole, 0, 0)):
                    west, east = -180.0, 180.0
                    south, north = min(south, latitude), max(north, latitude)
            found.append(Degrees(west, south, east, north))
        return found

    def positions(self, lons: Sequence[float], lats: Sequence[float]) -> tuple[Float, Float]:
        """Return rows and columns of points in degrees; infinite where the CRS does not reach."""
        return self._seen(list(lons), list(lats), LONLAT)

    def _pole(self, latitude: float) -> tuple[int, int] | None:
        """Return the pixel of a pole; None if the CRS does not reach it, or shows it as more than a point."""
        rows, cols = self._seen([-120.0, 0.0, 120.0], [latitude] * 3, LONLAT)
        if not (np.isfinite(rows).all() and np.isfinite(cols).all()) or max(np.ptp(rows), np.ptp(cols)) > 1:
            return None
        return math.floor(rows[0]), math.floor(cols[0])

    def _on_earth(self, points: Float) -> tuple[Float, Float]:
        """Return longitudes and latitudes of (n, 2) rows and columns. Raises UnusableCrs where there are none."""
        xs, ys = self.left + points[:, 1] * self.size, self.top - points[:, 0] * self.size
        degrees = raster.north_up(LONLAT, 0, 0, 1, 1, 1)
        found = raster.pixels_at(degrees, xs.tolist(), ys.tolist(), self.crs)
        lons, lats = (np.asarray(found[0]), -np.asarray(found[1])) if found else (np.array([np.inf]),) * 2
        if not (np.isfinite(lons).all() and np.isfinite(lats).all()):
            raise UnusableCrs(
                f"a cell would lie where {self.crs} is not defined", "Choose a --crs that suits the area"
            )
        return lons, lats

    def _seen(self, xs: list[float], ys: list[float], crs: str) -> tuple[Float, Float]:
        """Return rows and columns of points of another CRS."""
        whole = raster.north_up(self.crs, self.left, self.top, self.size, 1, 1)
        found = raster.pixels_at(whole, xs, ys, crs)
        if found is None:
            raise UnusableCrs(f"there is no way to {self.crs}", "Choose a --crs on the same body")
        return np.asarray(found[1], np.float64), np.asarray(found[0], np.float64)

    def window_of(self, place: raster.Place, name: str) -> Window:
        """Return the smallest window of whole pixels that holds a scene.

        By its outline, with room for what it bends between the points that are looked at. Raises UnusableCrs where the
        CRS does not reach.
        """
        affine = place.affine()
        assert affine is not None, "looked at by who asks where the scene lies"
        edge = np.linspace(0, 1, _POINTS)
        ends = np.zeros(_POINTS), np.ones(_POINTS)
        down = np.concatenate([edge, edge, *ends]) * place.height
        across = np.concatenate([*ends, edge, edge]) * place.width
        xs = affine.a * across + affine.b * down + affine.c
        ys = affine.d * across + affine.e * down + affine.f
        rows, cols = self._seen(xs.tolist(), ys.tolist(), raster.wkt_of(place.crs))
        if not (np.isfinite(rows).all() and np.isfinite(cols).all()):
            raise UnusableCrs(
                f"{name} reaches to where {self.crs} is not defined", "Choose a --crs that suits the area"
            )
        bend = max(_bend(rows), _bend(cols))
        row, col = math.floor(rows.min() - bend + _SLACK), math.floor(cols.min() - bend + _SLACK)
        below, beyond = math.ceil(rows.max() + bend - _SLACK), math.ceil(cols.max() + bend - _SLACK)
        window = Window(row, col, max(below - row, 1), max(beyond - col, 1))
        self._refuse_far(window, name)
        return window

    def _refuse_far(self, window: Window, name: str) -> None:
        """Projections give numbers far outside of where they are any good."""
        ground = raster.metres_per_pixel(self.place(window))
        if ground is None or max(max(g / self.size, self.size / g) for g in ground) > _STRETCHED:
            shown = " x ".join(f"{g:.3g}" for g in ground or ())
            raise UnusableCrs(
                f"where {name} lies, a pixel of {self.size:g} m in {self.crs} has {shown or 'no'} m on the ground",
                "Choose a --crs that suits the area",
            )


Grid = WebGrid | MetricGrid


def metric_grid(crs: str, size: float, origin: Sequence[float] | None = None) -> MetricGrid:
    """Return the grid of a projected CRS in metres. Raises UnusableCrs for any other."""
    parsed: Any = raster.parse_crs(crs)
    if not parsed.is_projected or abs(raster.units_of(crs).metres - 1) > 1e-9:
        raise UnusableCrs(
            f"{raster.label_of(parsed)} does not count metres",
            "Name a projected CRS in metres, e.g. a UTM zone, EPSG:3035 or EPSG:2056",
        )
    left, top = origin or (0.0, 0.0)
    return MetricGrid(crs.upper(), size, float(left), float(top))


def _bend(values: Float) -> float:
    """Return how far an outline may go beyond its points: at most as far as half of them fall short of all."""
    few = values.reshape(4, -1)[:, ::2]
    short = max(values.max() - few.max(), few.min() - values.min())
    return float(short) if short > 1e-6 else 0.0


def _arc(lons: Float) -> tuple[float, float]:
    """Return west and east of points that lie on less than half the globe; east may be above 180."""
    if np.ptp(lons) > 180:
        lons = np.where(lons < 0, lons + 360, lons)
    west, east = float(lons.min()), float(lons.max())
    return (west - 360, east - 360) if west >= 180 else (west, east)
