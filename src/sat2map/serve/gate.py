"""One network at a time, and tiles first: long work gives way between two cells."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from sat2map.card import ModelCard
from sat2map.runtime import Field, Translation, Translator


class Gate:
    """A lock with two doors. Whoever comes by `first` is let in before all who come by `later`."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._busy, self._first = False, 0

    @contextmanager
    def first(self) -> Iterator[None]:
        """Hold the gate; those at the other door wait as long as anybody waits here."""
        with self._change:
            self._first += 1
            self._change.wait_for(lambda: not self._busy)
            self._first -= 1
            self._busy = True
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def later(self) -> Iterator[None]:
        """Hold the gate when nobody else wants it."""
        with self._change:
            self._change.wait_for(lambda: not self._busy and not self._first)
            self._busy = True
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._change:
            self._busy = False
            self._change.notify_all()


class Yielding:
    """A translator that gives way to tiles before each call."""

    def __init__(self, translator: Translator, gate: Gate) -> None:
        self._translator, self._gate = translator, gate

    @property
    def card(self) -> ModelCard:
        """The card of the translator."""
        return self._translator.card

    def __call__(self, batch: npt.NDArray[np.uint8], want: Collection[Field]) -> Translation:
        """Translate when nobody wants a tile."""
        with self._gate.later():
            return self._translator(batch, want)
