"""What a TIFF announces before its pixels, and the least TIFF that decodes to the same pixels (TIFF 6.0; BigTIFF)."""

from sat2map.images.containers import Outline
from sat2map.images.exif import Directory, Tag, integers, orientation_of, read_directory
from sat2map.images.source import Source

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, COLOUR_MAP = 277, 278, 279, 284, 317, 320
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339
FILL_ORDER, T4_OPTIONS, T6_OPTIONS, JPEG_TABLES = 266, 292, 293, 347
YCC_COEFFICIENTS, YCC_SUBSAMPLING, YCC_POSITIONING, BLACK_WHITE = 529, 530, 531, 532

_PIXEL_TAGS = {
    *(
        WIDTH,
        LENGTH,
        BITS,
        COMPRESSION,
        PHOTOMETRIC,
        STRIP_OFFSETS,
        SAMPLES,
        ROWS_PER_STRIP,
        STRIP_BYTES,
        PLANAR,
    ),
    *(PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT),
    *(FILL_ORDER, T4_OPTIONS, T6_OPTIONS, JPEG_TABLES),
    *(YCC_COEFFICIENTS, YCC_SUBSAMPLING, YCC_POSITIONING, BLACK_WHITE),
}
_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000, 50001}
_PHOTOMETRICS = {0, 1, 2, 3, 5, 6}  # white or black is zero, RGB, palette, CMYK, YCbCr
_MOST_SAMPLES = 6  # per pixel: four and two more that nobody describes
_MOST_VALUES = 1 << 20
_LONGEST_TILE = 1 << 15  # px


class TiffFacts:
    """The first page of a TIFF: the tags that pixels depend on, none of them cut off, of a kind that we read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.directory: Directory = read_directory(source)
        self._tags: dict[int, Tag] = {}
        for tag in self.directory.tags:
            if tag.number in _PIXEL_TAGS:
                self._keep(tag)
        self._check_kind()

    def number(self, tag: int, default: int | None = None) -> int:
        """Return the first value of a tag."""
        values = self.numbers(tag)
        if values:
            return values[0]
        if default is None:
            raise self._source.corrupt(f"it lacks tag {tag}")
        return default

    def numbers(self, tag: int) -> list[int]:
        """Return the values of a tag, none if it is absent."""
        found = self._tags.get(tag)
        return integers(self._source, self.directory, found) if found else []

    @property
    def outline(self) -> Outline:
        """Size and orientation of the page."""
        return Outline(self.number(LENGTH), self.number(WIDTH), orientation_of(self._source, self.directory))

    def reduced(self) -> bytes:
        """Return the file, as long as before, with a directory in its place that holds one page and no metadata."""
        directory = self.directory
        kept = [tag.raw for tag in directory.tags if tag.number in _PIXEL_TAGS]
        page = len(kept).to_bytes(8 if directory.is_big else 2, directory.order) + b"".join(kept)
        body = bytearray(self._source.read(0, self._source.size))
        room = min(directory.stop, len(body)) - directory.start  # the link to the next page may be missing
        body[directory.start : directory.start + room] = page.ljust(room, b"\0")
        return bytes(body)

    def _keep(self, tag: Tag) -> None:
        if tag.number in self._tags:
            raise self._source.corrupt(f"tag {tag.number} is there twice")
        if tag.values > _MOST_VALUES or not tag.size:
            raise self._source.corrupt(f"tag {tag.number} announces {tag.values} values of type {tag.type}")
        self._source.read(tag.offset, tag.size)
        is_apart = (
            tag.size > len(tag.raw) // 2 - 2
        )  # the last 4 of 12 bytes, 8 of 20, hold values or their offset
        if is_apart and self._meets_directory(tag.offset, tag.size):
            raise self._source.corrupt(f"the values of tag {tag.number} overlap the directory")
        self._tags[tag.number] = tag

    def _meets_directory(self, offset: int, length: int) -> bool:
        return offset < self.directory.stop and offset + length > self.directory.start

    def _check_kind(self) -> None:
        source = self._source
        if set(self.numbers(SAMPLE_FORMAT)) - {1, 4}:
            raise source.unsupported("its samples are floating-point or signed numbers")
        bits = set(self.numbers(BITS)) or {1}
        if len(bits) > 1 or max(bits) > 16:
            raise source.unsupported(f"its samples have {', '.join(map(str, sorted(bits)))} bits")
        if not 1 <= self.number(SAMPLES, 1) <= _MOST_SAMPLES:
            raise source.unsupported(f"it has {self.number(SAMPLES)} bands")
        if self.number(COMPRESSION, 1) not in _COMPRESSIONS:
            raise source.unsupported(f"its compression has the number {self.number(COMPRESSION)}")
        if self.number(PHOTOMETRIC) not in _PHOTOMETRICS:
            raise source.unsupported(
                f"its photometric interpretation has the number {self.number(PHOTOMETRIC)}"
            )

    def check_layout(self) -> None:
        """Check that the strips or tiles are as many as the image needs, and lie in the file without overlap.

        Decoders allocate by tile and read by strip, whatever the image's own size, and fill gaps with what they find.
        Call it when the image's size was found to be within the limits. Raises `CorruptImage`, `UnsupportedFormat`.
        """
        source = self._source
        tiled = TILE_OFFSETS in self._tags
        offsets = self.numbers(TILE_OFFSETS if tiled else STRIP_OFFSETS)
        lengths = self.numbers(TILE_BYTES if tiled else STRIP_BYTES)
        height, width = self.number(LENGTH), self.number(WIDTH)
        rows = self.number(TILE_LENGTH) if tiled else min(self.number(ROWS_PER_STRIP, height), height)
        columns = self.number(TILE_WIDTH) if tiled else width
        if min(height, width, rows, columns) < 1 or (tiled and max(rows, columns) > _LONGEST_TILE):
            raise source.corrupt(f"its strips or tiles have {columns} x {rows} px")
        planes = self.number(SAMPLES, 1) if self.number(PLANAR, 1) == 2 else 1
        needed = -(-height // rows) * -(-width // columns) * planes
        if len(offsets) != needed or len(lengths) != needed:
            raise source.corrupt(
                f"it has {len(offsets)} strips or tiles and {len(lengths)} lengths, not {needed}"
            )
        if self.number(COMPRESSION, 1) == 1:
            self._check_plain(lengths, rows, columns, planes, tiled)
        self._check_extents(sorted(zip(offsets, lengths, strict=True)))

    def _check_plain(self, lengths: list[int], rows: int, columns: int, planes: int, tiled: bool) -> None:
        """Uncompressed strips must be as long as their pixels."""
        samples = 1 if planes > 1 else self.number(SAMPLES, 1)
        if self.number(PHOTOMETRIC) == 6 and self.numbers(YCC_SUBSAMPLING) != [1, 1]:
            raise self._source.unsupported("its colour is subsampled, but not compressed")
        line = -(-columns * samples * self.number(BITS, 1) // 8)  # bytes
        last = rows if tiled else self.number(LENGTH) - (len(lengths) // planes - 1) * rows
        for index, length in enumerate(lengths):
            is_last = (index + 1) % (len(lengths) // planes) == 0
            if length < line * (last if is_last else rows):
                raise self._source.corrupt(f"strip or tile {index} has only {length} bytes")

    def _check_extents(self, extents: list[tuple[int, int]]) -> None:
        end = 8  # of the file's header
        for offset, length in extents:
            stop = offset + length
            if offset < end or stop > self._source.size or self._meets_directory(offset, length):
                raise self._source.corrupt(
                    f"the strip or tile at byte {offset} leaves the file or overlaps a part"
                )
            end = stop
