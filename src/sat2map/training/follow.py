"""What every rank but the first does: the same steps, and nothing else. It writes no file and judges nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sat2map.errors import NothingToResume, RankLost
from sat2map.training.dataset import Data
from sat2map.training.player import System
from sat2map.training.team import Order, Team

Progress = Callable[[int, int, str], None]


class Followed(Protocol):
    """What a follower needs of a run."""

    data: Data
    system: System
    step: int
    seen: int
    folder: Path

    def advance(self) -> Any:
        """One step, together with the other ranks."""

    def resume(self) -> None:
        """Stand where the newest checkpoint does."""


def order_of(work: Followed, *, with_data: bool = False) -> Order:
    """What rank 0 tells the others of its run before a step; before the first one also which data it has."""
    scales = {name: player.optimiser.scale for name, player in work.system.players.items()}
    return Order(work.step, scales, data=work.data.key if with_data else "")


def follow(team: Team, open_run: Callable[[], Followed], on_progress: Progress) -> None:
    """Train as rank 0 says until it ends. `open_run` is called when rank 0 has prepared the data and the run folder.

    Being asked to stop (`on_progress` raises) is passed on to rank 0, which stops all ranks between the same two steps.
    Raises RankLost, NothingToResume, and what `on_progress` raised.
    """
    order = team.hear()
    if order.end is None:
        work = open_run()
        _check_data(work, order)
        team.meet()
        order = team.hear()
    asked: BaseException | None = None
    while order.end is None:
        _stand_at(work, order)
        work.advance()
        try:
            on_progress(work.seen, work.data.recipe.run.images, "")
        except BaseException as error:
            asked, team.asked_to_stop = error, True
        order = team.hear()
    if order.end:
        raise asked or RankLost(
            f"rank 0 ended the run: {order.end.rstrip('.')}", "What it says is to be done there"
        )


def _check_data(work: Followed, order: Order) -> None:
    if work.data.key != order.data:
        raise NothingToResume(
            f"{work.data.folder} holds other pictures for this rank than for rank 0",
            "Give all ranks the same folder of pictures, or equal copies",
        )


def _stand_at(work: Followed, order: Order) -> None:
    """Go where rank 0 is: it has resumed the run, or the guard took it back to an earlier checkpoint."""
    if work.step != order.step:
        work.resume()
    if work.step != order.step:
        raise NothingToResume(
            f"rank 0 is at step {order.step}, and this rank sees {work.folder} at step {work.step}",
            "Let all ranks see the same run folder",
        )
    for name, player in work.system.players.items():
        player.optimiser.scale = order.scales[name]
