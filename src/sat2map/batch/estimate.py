"""What a plan takes: time, storage and money, from what a million pixels took (docs/scale.md has the formula).

The figures of `RATES` are of the shipped model on one core of the machine named in docs/scale.md; measure your own with
benchmarks/scale.py.
"""

from dataclasses import dataclass

from sat2map.batch.described import TilesSource
from sat2map.batch.plan import Plan

# Square kilometres: the city of Zürich, Switzerland, all land with Antarctica.
REGIONS = {
    "a city (Zürich)": 88.0,
    "a country (Switzerland)": 41_285.0,
    "the land surface of the Earth": 148_900_000.0,
}
OVERLAP = 1.05  # cells at the edges are not full, and neighbouring scenes overlap


@dataclass(frozen=True)
class Rates:
    """What one core of a machine does."""

    seconds: float  # of the processor, for a million pixels of map
    size: float  # bytes of all products, for a pixel of map
    start: float  # seconds of the processor that a worker takes to begin


MEASURED = "carto"  # the model that the figures are of
RATES = Rates(seconds=5.1, size=0.48, start=1.0)


@dataclass(frozen=True)
class Prices:
    """In one currency. Examples; every provider has others."""

    core_hour: float = 0.04
    gigabyte_month: float = 0.023


@dataclass(frozen=True)
class Cost:
    """What a region takes."""

    megapixels: float
    core_hours: float
    gigabytes: float
    money: float  # to compute it, and to keep it for a month

    def __str__(self) -> str:
        return (
            f"{self.megapixels:,.0f} million px, {_hours(self.core_hours)}, {_bytes(self.gigabytes)}, "
            f"{self.money:,.2f} in money"
        )


def cost_of(
    square_km: float, rates: Rates, *, metres: float = 1.0, workers: int = 1, prices: Prices | None = None
) -> Cost:
    """Return what a region takes at `metres` per pixel."""
    return _cost(square_km / metres**2 * OVERLAP, rates, workers, prices or Prices())


def cost_of_plan(megapixels: float, rates: Rates, workers: int = 1, prices: Prices | None = None) -> Cost:
    """Return what the cells of a plan take, whose costs add up to so many megapixels."""
    return _cost(megapixels, rates, workers, prices or Prices())


def _cost(megapixels: float, rates: Rates, workers: int, prices: Prices) -> Cost:
    hours = (workers * rates.start + megapixels * rates.seconds) / 3600
    gigabytes = megapixels * rates.size / 1000
    return Cost(megapixels, hours, gigabytes, hours * prices.core_hour + gigabytes * prices.gigabyte_month)


def requests_of(plan: Plan) -> tuple[int, float]:
    """Return how many tiles a plan fetches at most, and how many seconds that takes at the rates it was given."""
    services = [source for source in plan.sources if isinstance(source, TilesSource)]
    return sum(s.tiles for s in services), sum(s.tiles / s.rate for s in services)


def told(plan: Plan, rates: Rates | None = None) -> str:
    """Return what is to be expected of a plan, for people; time and storage only for the model that was measured."""
    parts = [f"{plan.megapixels:,.1f} million px"]
    if plan.model.id == MEASURED or rates:
        cost = cost_of_plan(plan.megapixels, rates or RATES)
        parts.append(f"{_hours(cost.core_hours)} of a processor like that of docs/scale.md")
        parts.append(f"{_bytes(cost.gigabytes)} of rasters")
    tiles, seconds = requests_of(plan)
    if tiles:
        parts.append(f"{tiles:,} tiles to fetch, at least {seconds / 60:,.1f} minutes")
    return ", ".join(parts)


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.1f} core minutes" if hours * 60 >= 0.1 else "less than 0.1 core minutes"
    return f"{hours:,.1f} core hours" if hours < 20_000 else f"{hours / 8766:,.1f} core years"


def _bytes(gigabytes: float) -> str:
    if gigabytes < 1:
        return f"{gigabytes * 1000:.0f} MB" if gigabytes >= 0.001 else "less than 1 MB"
    return f"{gigabytes:,.1f} GB" if gigabytes < 10_000 else f"{gigabytes / 1000:,.0f} TB"
