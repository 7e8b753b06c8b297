"""Random numbers of a part of a batch: those rows that the whole batch would have drawn for its samples.

Within `rows_of` the functions by which networks and steps draw for each sample make the draws of the whole batch and
keep the part's rows. However a batch is divided, the same sample then meets the same noise, dropout and
augmentation, and the random state moves on alike. A draw belongs to samples if its first dimension is the number of
samples in the part.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class _Rows(TorchFunctionMode):
    """Stands between torch and whoever draws, for rows first to first + count of `whole`."""

    def __init__(self, first: int, count: int, whole: int) -> None:
        super().__init__()
        self.rows, self.count, self.whole = slice(first, first + count), count, whole

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        draw = _DRAWS.get(func)
        return func(*args, **kwargs) if draw is None else draw(self, func, *args, **kwargs)

    def sized(self, func: Callable[..., Tensor], *size: Any, **options: Any) -> Tensor:
        """`torch.rand` and `torch.randn`, with the size as numbers or as one tuple."""
        shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], Sequence) else size
        if not shape or shape[0] != self.count:
            return func(shape, **options)
        return func((self.whole, *shape[1:]), **options)[self.rows]

    def integers(self, func: Callable[..., Tensor], *bounds_and_size: Any, **options: Any) -> Tensor:
        """`torch.randint(low, high, size)` or `(high, size)`."""
        *bounds, shape = bounds_and_size
        if not len(shape) or shape[0] != self.count:
            return func(*bounds, shape, **options)
        return func(*bounds, (self.whole, *shape[1:]), **options)[self.rows]

    def like(self, func: Callable[..., Tensor], given: Tensor, **options: Any) -> Tensor:
        """`torch.randn_like` and `torch.rand_like`."""
        if not given.ndim or given.shape[0] != self.count:
            return func(given, **options)
        return func(self._like(given), **options)[self.rows]

    def dropout(
        self,
        func: Callable[..., Tensor],
        given: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        """`nn.Dropout` by way of the factors (0 or 1 / (1 - p)) that it would give to a batch of ones."""
        if not training or not p or given.shape[0] != self.count:
            return func(given, p, training, inplace)
        return given * func(torch.ones_like(self._like(given)), p, True)[self.rows]

    def _like(self, given: Tensor) -> Tensor:
        """As many samples as the whole has, in the memory layout of the part: draws follow the order of memory."""
        size = given[0].numel()
        return torch.empty_strided(
            (self.whole, *given.shape[1:]),
            (size, *given.stride()[1:]),
            dtype=given.dtype,
            device=given.device,
        )


_DRAWS: dict[Any, Callable[..., Tensor]] = {
    torch.rand: _Rows.sized,
    torch.randn: _Rows.sized,
    torch.randint: _Rows.integers,
    torch.rand_like: _Rows.like,
    torch.randn_like: _Rows.like,
    F.dropout: _Rows.dropout,
}


_now: ContextVar[tuple[int, int, int] | None] = ContextVar("rows", default=None)


@contextmanager
def rows_of(first: int, count: int, whole: int) -> Iterator[None]:
    """Draw for samples `first` to `first + count` of a batch of `whole`; nothing changes where that is all of it."""
    if count == whole:
        yield
        return
    token = _now.set((first, count, whole))
    try:
        with _Rows(first, count, whole):
            yield
    finally:
        _now.reset(token)


def same_rows() -> AbstractContextManager[None]:
    """To draw once more for the samples of this moment, in a place where torch has forgotten them: a backward pass."""
    now = _now.get()
    return nullcontext() if now is None else rows_of(*now)


def random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The state of the generators that a step on this device draws from."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    """Inverse of `random_state`."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
