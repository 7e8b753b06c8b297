"""Batches whose two halves have nothing to do with each other, for training without pairs."""

from collections.abc import Callable

from sat2map.data.batches import Batch, UInt8

APART = (
    2**31
)  # added to the seed of the street side, whose order and crops are its own; recipes have no seeds so large


class Lone:
    """Pictures of one kind in the shape of a store of pairs, for a `BatchMaker` of which one half is used."""

    def __init__(self, picture: Callable[[int], UInt8], count: int) -> None:
        self.sat = self.street = self.index = picture
        self._count = count

    def __len__(self) -> int:
        return self._count


def unaligned(sat: Batch, street: Batch, direction: str, street_offset: int) -> Batch:
    """The satellite half of one batch with the street half of another, both drawn in the direction sat2map.

    `names` are the numbers of all pictures, satellite first; street pictures have theirs plus `street_offset`.
    """
    names = (*sat.names, *(street_offset + number for number in street.names))
    if direction == "map2sat":
        return Batch(street.target, sat.source, None, names, sat.parts)
    return Batch(sat.source, street.target, None, names, sat.parts)
