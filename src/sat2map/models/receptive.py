"""How far a network looks: the receptive-field radius, computed by interval arithmetic.

A layer maps an interval of output positions to the interval of input positions that they depend on (one axis is
enough, all our layers are square). Going from a network's output to its input and taking the union over branches
gives the exact theoretical receptive field; a test confirms it with gradients. Networks whose every output depends
on every input (spatial statistics, global pooling) have no radius: `UNBOUNDED`.
"""

from typing import NamedTuple

UNBOUNDED = -1


class Span(NamedTuple):
    """Positions first ... last, both included, on one axis of some layer's grid."""

    first: int
    last: int

    def union(self, other: "Span") -> "Span":
        """Smallest interval that holds both."""
        return Span(min(self.first, other.first), max(self.last, other.last))

    def conv(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Span":
        """Inputs of a convolution: output i reads i*stride - padding + dilation * (0 ... kernel-1)."""
        return Span(self.first * stride - padding, self.last * stride - padding + dilation * (kernel - 1))

    def transposed(self, kernel: int, stride: int, padding: int) -> "Span":
        """Inputs of a transposed convolution: output i gets input j where 0 <= i + padding - j*stride < kernel."""
        return Span(-((kernel - 1 - self.first - padding) // stride), (self.last + padding) // stride)

    def finer(self, factor: int) -> "Span":
        """Inputs of a pixel-unshuffle or pooling by `factor`: each output covers `factor` inputs."""
        return Span(self.first * factor, self.last * factor + factor - 1)

    def coarser(self, factor: int) -> "Span":
        """Inputs of a pixel-shuffle or nearest upsampling by `factor`."""
        return Span(self.first // factor, self.last // factor)

    def bilinear(self) -> "Span":
        """Inputs of a bilinear doubling, pixels placed by their centres: 2k reads k-1 and k, 2k+1 reads k and k+1."""
        return Span((self.first - 1) // 2, (self.last + 1) // 2)

    def radius(self, cell: int) -> int:
        """Pixels beyond the aligned cell 0 ... cell-1 that an output inside it can depend on."""
        return max(-self.first, self.last - (cell - 1), 0)
