"""Pre-decoded pixels on disk, mapped into memory, so that training never waits for a JPEG.

A cache is a folder named after the key of its set (`PairedSet.key`): names, file sizes, times of change, checksums. A
set that changed has another key, so a stale cache is never opened. `content` names the same pixels wherever their
files lie and whenever they were copied there: what a run is resumed with is compared by it. The pixels of
all images of one side lie one behind the other in one flat file, whatever their sizes; opening maps the files and reads
one small JSON.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import storage
from sat2map.data.pairs import PairedSet, read
from sat2map.errors import BadDataset, CorruptFile, OutputExists
from sat2map.palette import Palette

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]  # (done, total)

LAYOUT = 2  # of the files; part of the folder's name
INDEX = "cache.json"


class CacheIndex(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies where: names, (height, width) and the offset in px of each image, in the order of the set."""

    key: str
    content: str
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    def offsets(self) -> npt.NDArray[np.int64]:
        """(N + 1,) first pixel of each image in the flat files, and the total."""
        areas = np.array([height * width for height, width in self.sizes], np.int64)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(areas)])


def default_root() -> Path:
    """Folder of all pixel caches: below $XDG_CACHE_HOME, or ~/.cache (~/Library/Caches, %LOCALAPPDATA%)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():
        base = Path(named)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ".cache"
    return base / "sat2map"


class PixelCache:
    """Decoded pixels of a paired set; image i is pair i of the set. Cheap to open, safe to share and to fork."""

    def __init__(self, folder: Path) -> None:
        """Open a built cache; raises CorruptFile when a file is missing or has the wrong length."""
        self.folder = folder
        try:
            self._layout = msgspec.json.decode((folder / INDEX).read_bytes(), type=CacheIndex)
        except (OSError, msgspec.DecodeError) as fault:
            raise CorruptFile(
                f"{folder} is no pixel cache ({fault})", "Remove the folder and try again"
            ) from fault
        self.key = self._layout.key
        self.content = self._layout.content  # SHA-256 over names and pixels
        self.names = self._layout.names
        self.sizes = self._layout.sizes
        self._offsets = self._layout.offsets()
        self._sat = self._map("sat.u8", 3)
        self._street = self._map("street.u8", 3)

    def __len__(self) -> int:
        return len(self.names)

    def _map(self, name: str, channels: int) -> UInt8:
        path = self.folder / name
        expected = int(self._offsets[-1]) * channels
        found = path.stat().st_size if path.is_file() else -1
        if found != expected:
            raise CorruptFile(
                f"{path} holds {found} bytes instead of {expected}", f"Remove {self.folder} and try again"
            )
        flat = np.memmap(path, np.uint8, mode="r")
        return flat.reshape(-1, channels) if channels > 1 else flat

    def _image(self, flat: UInt8, number: int) -> UInt8:
        height, width = self.sizes[number]
        start = self._offsets[number]
        return flat[start : start + height * width].reshape(height, width, *flat.shape[1:])

    def sat(self, number: int) -> UInt8:
        """Satellite half of pair `number`, uint8 (H, W, 3), read-only, straight from the mapped file."""
        return self._image(self._sat, number)

    def street(self, number: int) -> UInt8:
        """Street half of pair `number`, uint8 (H, W, 3), read-only."""
        return self._image(self._street, number)

    @property
    def size(self) -> tuple[int, int] | None:
        """(H, W) when all images have the same size, else None."""
        return self.sizes[0] if len(set(self.sizes)) == 1 else None

    def stacked(self) -> tuple[UInt8, UInt8]:
        """(sat, street) as uint8 (N, H, W, 3), read-only; raises BadDataset when sizes differ."""
        if self.size is None:
            raise BadDataset(
                f"the images have {len(set(self.sizes))} different sizes and form no single array",
                "Read them one by one, or bring them to one size",
            )
        shape = (len(self), *self.size, 3)
        return self._sat.reshape(shape), self._street.reshape(shape)

    def index(self, palette: Palette, progress: Progress | None = None) -> "IndexMaps":
        """Street halves as palette indices; encoded on the first call and kept beside the pixels."""
        digest = hashlib.sha256(json.dumps(palette.colours).encode()).hexdigest()
        name = f"index-{digest[:16]}.u8"
        path = self.folder / name
        if not path.is_file():
            with storage.replacing(path, overwrite=True) as temporary, temporary.open("wb") as out:
                for number in range(len(self)):
                    palette.encode(np.asarray(self.street(number))).tofile(out)
                    if progress:
                        progress(number + 1, len(self))
        return IndexMaps(self, self._map(name, 1))

    @classmethod
    def build(
        cls,
        pairs: PairedSet,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> "PixelCache":
        """Open the cache of a set below `folder` (default `default_root()`), decoding the set first if need be.

        Takes about 6 bytes of disk for each pixel of a half. Two processes may build at the same time: the second
        to finish finds the first one's work and uses it. Raises what `read` and `storage` raise.
        """
        key = pairs.key()
        target = (folder or default_root()) / f"pixels-{LAYOUT}-{key[:32]}"
        if not target.exists():
            try:
                with storage.committing_folder(target) as temporary:
                    _decode(pairs, key, temporary, progress)
            except OutputExists:
                pass
        return cls(target)


class IndexMaps:
    """Palette indices of the street halves of a cache."""

    def __init__(self, cache: PixelCache, flat: UInt8) -> None:
        self._cache = cache
        self._flat = flat

    def __len__(self) -> int:
        return len(self._cache)

    def __call__(self, number: int) -> UInt8:
        """Street half of pair `number` as palette index, uint8 (H, W), read-only."""
        return self._cache._image(self._flat, number)


def _decode(pairs: PairedSet, key: str, folder: Path, progress: Progress | None) -> None:
    sizes: list[tuple[int, int]] = []
    content = hashlib.sha256()
    with (folder / "sat.u8").open("wb") as sat_file, (folder / "street.u8").open("wb") as street_file:
        for done, pair in enumerate(pairs, 1):
            sat, street = read(pair)
            sat.tofile(sat_file)
            street.tofile(street_file)
            sizes.append((sat.shape[0], sat.shape[1]))
            content.update(json.dumps([pair.name, sizes[-1]]).encode())
            content.update(sat.tobytes())
            content.update(street.tobytes())
            if progress:
                progress(done, len(pairs))
    index = CacheIndex(key, content.hexdigest(), tuple(pair.name for pair in pairs), tuple(sizes))
    storage.write_bytes(folder / INDEX, msgspec.json.encode(index))
