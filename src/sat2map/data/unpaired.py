"""Two heaps of pictures that nobody has paired: satellite imagery here, street maps there.

A folder holds an unpaired set if it has `trainA/` (imagery) and `trainB/` (maps), the layout of CycleGAN's data sets;
two folders can also be named one by one. All sizes may differ. Nothing is decoded on opening.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import images, storage
from sat2map.data.cache import default_root
from sat2map.data.pairs import SUFFIXES, natural
from sat2map.errors import BadDataset, CorruptFile, FileMissing, OutputExists

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
Make = Callable[[int, UInt8], UInt8]  # (number, (H, W, 3)) -> the picture to keep

FOLDERS = ("trainA", "trainB")
LAYOUT = 1  # of the cache files; part of their folder's name
INDEX, PIXELS = "pictures.json", "pixels.u8"


class UnpairedSet(NamedTuple):
    """Files of satellite imagery and of street maps, each in natural order."""

    sat: tuple[Path, ...]
    street: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path) -> "UnpairedSet":
        """Open a folder with trainA/ and trainB/. Raises FileMissing, BadDataset."""
        return cls.of(*(folder / name for name in FOLDERS))

    @classmethod
    def of(cls, sat: Path, street: Path) -> "UnpairedSet":
        """Open a folder of imagery and a folder of maps. Raises FileMissing, BadDataset."""
        return cls(_pictures(sat), _pictures(street))


def is_unpaired(folder: Path) -> bool:
    """Tell whether a folder has the layout of an unpaired set."""
    return all((folder / name).is_dir() for name in FOLDERS)


def _pictures(folder: Path) -> tuple[Path, ...]:
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise FileMissing(f"{folder}: {error.strerror}", "Name a folder of pictures") from error
    if len(found) < 2:
        raise BadDataset(
            f"{folder} holds {len(found)} pictures", "Training without pairs needs two or more of each kind"
        )
    return tuple(sorted(found, key=lambda path: natural(path.name)))


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: str  # SHA-256 over sizes and pixels
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


class PictureCache:
    """Decoded pictures behind one another in one flat file, mapped into memory: `data.cache` for single pictures."""

    def __init__(self, folder: Path) -> None:
        """Open a built cache; raises CorruptFile when it is not whole."""
        try:
            index = msgspec.json.decode((folder / INDEX).read_bytes(), type=_Index)
            flat = np.memmap(folder / PIXELS, np.uint8, mode="r")
        except (OSError, ValueError, msgspec.DecodeError) as fault:
            raise CorruptFile(f"{folder} is no picture cache ({fault})", "Remove the folder") from fault
        areas = [height * width for height, width in index.sizes]
        if flat.size != 3 * sum(areas):
            raise CorruptFile(
                f"{folder / PIXELS} has {flat.size} bytes instead of {3 * sum(areas)}", "Remove it"
            )
        self.content, self.names, self.sizes = index.content, index.names, index.sizes
        self._flat = flat.reshape(-1, 3)
        self._starts = np.concatenate([[0], np.cumsum(areas)])

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, number: int) -> UInt8:
        """Picture `number`, uint8 (H, W, 3), read-only."""
        start, end = self._starts[number], self._starts[number + 1]
        picture: UInt8 = self._flat[start:end].reshape(*self.sizes[number], 3)
        return picture

    @classmethod
    def build(
        cls,
        files: Sequence[Path],
        progress: Progress | None = None,
        *,
        made: Make | None = None,
        said: str = "",
    ) -> "PictureCache":
        """Open the cache of these files, decoding them first if need be. Raises what reading and storage raise.

        `made(number, picture)` is kept instead of the picture; `said` is all that it depends on beside the file.
        """
        target = default_root() / f"pictures-{LAYOUT}-{_key(files, said)[:32]}"
        if not target.exists():
            try:
                with storage.committing_folder(target) as draft:
                    _decode(files, draft, progress, made)
            except OutputExists:
                pass  # another process was faster
        return cls(target)


def _key(files: Sequence[Path], said: str) -> str:
    digest = hashlib.sha256(said.encode())
    for path in files:
        stat = path.stat()
        digest.update(json.dumps([str(path.resolve()), stat.st_size, stat.st_mtime_ns]).encode())
    return digest.hexdigest()


def _decode(files: Sequence[Path], folder: Path, progress: Progress | None, made: Make | None) -> None:
    content, sizes = hashlib.sha256(), []
    with (folder / PIXELS).open("wb") as out:
        for done, path in enumerate(files, 1):
            picture = images.read_image(path)
            if made is not None:
                picture = np.ascontiguousarray(made(done - 1, picture))
            picture.tofile(out)
            sizes.append((picture.shape[0], picture.shape[1]))
            content.update(json.dumps(sizes[-1]).encode())
            content.update(picture.tobytes())
            if progress:
                progress(done, len(files))
    index = _Index(content.hexdigest(), tuple(path.name for path in files), tuple(sizes))
    storage.write_bytes(folder / INDEX, msgspec.json.encode(index))
