"""The options that say which model works and what it makes, the same in every verb that has them."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sat2map.cli.lists import NameList

Command = TypeVar("Command", bound=Callable[..., Any])


def _products() -> tuple[str, ...]:
    from sat2map.scenes.translate import PRODUCTS

    return PRODUCTS


model_option = click.option(
    "--model",
    default="carto",
    show_default=True,
    metavar="ID|DIR",
    help="Shipped model, or folder of a bundle.",
)


def products_option(default: str, more: str = "") -> Callable[[Command], Command]:
    """Return the option --products; `more` is added to its help."""
    return click.option(
        "--products",
        type=NameList("products", _products),
        default=default,
        show_default=True,
        metavar="LIST",
        help=f"Out of colour,classes,confidence{more}.",
    )
