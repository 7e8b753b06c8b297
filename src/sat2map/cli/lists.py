"""Option values that are comma-separated names out of a known few."""

from collections.abc import Callable, Collection

import click


class NameList(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of names; `known` is asked only when a value is given, so that help loads no room."""

    def __init__(self, name: str, known: Callable[[], Collection[str]]) -> None:
        self.name = name
        self._known = known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names once each, in the order given."""
        if isinstance(value, tuple):
            return value
        known = self._known()
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names or any(name not in known for name in names):
            self.fail(f"{value!r}: use a list out of {','.join(known)}", param, ctx)
        return names
