"""Bytes to be parsed, from memory or from a file, whose every shortage is a typed error."""

from typing import BinaryIO

from sat2map.errors import CorruptImage, UnsupportedFormat


class Source:
    """`size` bytes named `name`, read at any offset."""

    def __init__(self, data: bytes | BinaryIO, size: int, name: str) -> None:
        self._data = data
        self.size = size
        self.name = name

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes; `CorruptImage` if the file ends before."""
        if offset < 0 or offset + length > self.size:
            raise self.corrupt(f"it ends at byte {self.size}, but announces data up to {offset + length}")
        if isinstance(self._data, bytes):
            return self._data[offset : offset + length]
        self._data.seek(offset)
        data = self._data.read(length)
        if len(data) < length:
            raise self.corrupt("it became shorter while it was read")
        return data

    def head(self, length: int) -> bytes:
        """Return the first `length` bytes, or fewer if there are no more."""
        return self.read(0, min(length, self.size))

    def corrupt(self, fact: str) -> CorruptImage:
        """Return the error for a file that breaks the rules of its format."""
        return CorruptImage(f"{self.name} is damaged: {fact}", "Copy or download it again, or save it anew.")

    def unsupported(self, fact: str) -> UnsupportedFormat:
        """Return the error for a valid file of a kind that we do not read."""
        return UnsupportedFormat(
            f"{self.name} cannot be read: {fact}", "Save it as 8-bit RGB PNG or TIFF first."
        )
