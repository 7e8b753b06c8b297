"""What a TIFF announces before its pixels, and the least TIFF that decodes to the same pixels (TIFF 6.0; BigTIFF)."""

from sat2map.images.containers import Outline
from sat2map.images.exif import ORIENTATION, Directory, Tag, integers, orientation_of, read_directory
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
_MOST_VALUES = 1 << 20
_LONGEST_TILE = 1 << 15  # px


class TiffFacts:
    """The first page of a TIFF: tags that pixels depend on, checked against the file and one another."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.directory: Directory = read_directory(source)
        self._tags: dict[int, Tag] = {}
        for tag in self.directory.tags:
            if tag.number in _PIXEL_TAGS or tag.number == ORIENTATION:
                self._keep(tag)
        self._check_kind()
        self._check_layout()

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
        orientation = orientation_of(self.numbers(ORIENTATION))
        return Outline(self.number(LENGTH), self.number(WIDTH), orientation)

    def reduced(self) -> bytes:
        """Return the file with a new directory at its end that holds one page and no metadata."""
        order = self.directory.order
        tags = [tag for tag in self.directory.tags if tag.number in _PIXEL_TAGS]
        wide = 8 if self.directory.is_big else 4  # bytes of an offset
        counter = 8 if self.directory.is_big else 2
        body = self._source.read(0, self._source.size)
        body += b"\0" * (-len(body) % 8)
        page = len(tags).to_bytes(counter, order) + b"".join(tag.raw for tag in tags) + bytes(wide)
        return (
            body[: 8 - 4 * (wide == 4)] + len(body).to_bytes(wide, order) + body[8 + 8 * (wide == 8) :] + page
        )

    def _keep(self, tag: Tag) -> None:
        if tag.number in self._tags:
            raise self._source.corrupt(f"tag {tag.number} is there twice")
        if tag.values > _MOST_VALUES or not tag.size:
            raise self._source.corrupt(f"tag {tag.number} announces {tag.values} values of type {tag.type}")
        self._source.read(tag.offset, tag.size)
        self._tags[tag.number] = tag

    def _check_kind(self) -> None:
        source = self._source
        if set(self.numbers(SAMPLE_FORMAT)) - {1, 4}:
            raise source.unsupported("its samples are floating-point or signed numbers")
        bits = set(self.numbers(BITS)) or {1}
        if len(bits) > 1 or max(bits) > 16:
            raise source.unsupported(f"its samples have {', '.join(map(str, sorted(bits)))} bits")
        if self.number(COMPRESSION, 1) not in _COMPRESSIONS:
            raise source.unsupported(f"its compression has the number {self.number(COMPRESSION)}")
        if self.number(PHOTOMETRIC) not in _PHOTOMETRICS:
            raise source.unsupported(
                f"its photometric interpretation has the number {self.number(PHOTOMETRIC)}"
            )

    def _check_layout(self) -> None:
        """Bound what decoders allocate per tile and read per strip, whatever the image's own size."""
        source = self._source
        for tag in (TILE_WIDTH, TILE_LENGTH):
            if tag in self._tags and not 0 < self.number(tag) <= _LONGEST_TILE:
                raise source.corrupt(f"its tiles have {self.number(tag)} px on a side")
        stored = sum(self.numbers(STRIP_BYTES)) + sum(self.numbers(TILE_BYTES))
        if stored > source.size:
            raise source.corrupt(f"it has {source.size} bytes, but its strips or tiles {stored}")
