"""Option values that are numbers with commas between them."""

import click


class Numbers(click.ParamType[tuple[float, ...]]):
    """A comma-separated list of numbers, all whole for band numbers; what they mean is judged elsewhere."""

    name = "numbers"

    def __init__(
        self, kind: type[int] | type[float], count: int | None = None, form: str = "numbers"
    ) -> None:
        """`count`: how many there must be; `form`: what to give, for whoever gave something else."""
        self._kind, self._count, self._form = kind, count, form

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers in the order given."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or self._count not in (None, len(numbers)):
            self.fail(f"{value!r}: give {self._form}, with commas between them", param, ctx)
        return numbers


class Levels(Numbers):
    """LOW,HIGH, once or for each band."""

    def __init__(self) -> None:
        super().__init__(float, form="numbers, LOW,HIGH")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return pairs, LOW below HIGH."""
        numbers = super().convert(value, param, ctx)
        pairs = zip(numbers[::2], numbers[1::2], strict=False)
        if len(numbers) % 2 or not all(-1e38 < low < high < 1e38 for low, high in pairs):
            self.fail(f"{value!r}: give LOW,HIGH with LOW below HIGH, once or for each band", param, ctx)
        return numbers


class Box(Numbers):
    """WEST,SOUTH,EAST,NORTH in degrees; whether they make sense is said by the room that uses them."""

    def __init__(self) -> None:
        super().__init__(float, 4, "WEST,SOUTH,EAST,NORTH in degrees")


class LonLat(Numbers):
    """A point on web maps."""

    def __init__(self) -> None:
        super().__init__(float, 2, "LON,LAT in degrees, as 13.4,52.5")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return longitude and latitude."""
        lon, lat = super().convert(value, param, ctx)
        if not (-180 <= lon <= 180 and -85 <= lat <= 85):
            self.fail(f"{value!r} lies outside -180 to 180 and -85 to 85 degrees", param, ctx)
        return lon, lat
