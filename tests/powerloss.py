"""What a disk may hold after a power cut: a model of a file system that owes nothing but what was forced.

Replays the events that `faultfs` noted. A file's content reaches the disk at its own fsync, a folder's names at the
fsync of that folder; before that any later content may be missing or torn, and any last few changes of names in a
folder may be missing, in each folder independently (Pillai et al., "All file systems are not created equal",
OSDI 2014).
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class File:
    """Content as programs see it, and as it is on the disk."""

    def __init__(self, content: bytes = b"", *, durable: bool = False) -> None:
        self.content = content
        self.durable = content if durable else b""

    def survivals(self) -> list[bytes]:
        """Contents that may be found after a power cut."""
        torn = self.content[: (len(self.durable) + len(self.content)) // 2]
        return list(dict.fromkeys([self.durable, torn, self.content]))


class Folder:
    """Names as programs see them, and those on the disk with the changes that may or may not follow."""

    def __init__(self) -> None:
        self.names: dict[str, File | Folder] = {}
        self.durable: dict[str, File | Folder] = {}
        self.pending: list[dict[str, File | Folder]] = []  # the names after each change

    def changed(self) -> None:
        self.pending.append(dict(self.names))

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.pending = []


class Disk:
    """A tree under `root`, from a real folder, all of it durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = self._load(root)

    def _load(self, path: Path) -> Folder:
        folder = Folder()
        for child in path.iterdir():
            folder.names[child.name] = (
                self._load(child) if child.is_dir() else File(child.read_bytes(), durable=True)
            )
        folder.sync()
        return folder

    def _folder(self, path: Path) -> Folder:
        found: File | Folder = self.top
        for part in path.relative_to(self.root).parts:
            assert isinstance(found, Folder)
            found = found.names[part]
        assert isinstance(found, Folder)
        return found

    def apply(self, event: tuple[Any, ...]) -> None:
        """Do what one noted call did."""
        name, path = event[0], event[1]
        if name == "fsync" and path == self.root:
            self.top.sync()
            return
        if not path.is_relative_to(self.root) or path == self.root:
            return
        parent = self._folder(path.parent)
        node = parent.names.get(path.name)
        match name:
            case "open":
                if node is None and event[2]:
                    parent.names[path.name] = File()
                    parent.changed()
            case "write":
                assert isinstance(node, File)
                node.content += event[2]
            case "truncate":
                assert isinstance(node, File)
                node.content = node.content[: event[2]]
            case "fsync" if isinstance(node, File):
                node.durable = node.content
            case "fsync":
                assert isinstance(node, Folder)
                node.sync()
            case "mkdir":
                parent.names[path.name] = Folder()
                parent.changed()
            case "rename":
                assert event[2].parent == path.parent, "storage renames within one folder only"
                parent.names[event[2].name] = parent.names.pop(path.name)
                parent.changed()
            case "remove":
                del parent.names[path.name]
                parent.changed()
            case _:
                raise AssertionError(f"the model does not know {event}")

    def after_power_cut(self, most: int = 200) -> Iterator[dict[str, bytes | None]]:
        """Yield trees that may be found: relative path to content, None for a folder; at most `most` of them."""
        return itertools.islice(_trees(self.top, ""), most)


def _trees(folder: Folder, prefix: str) -> Iterator[dict[str, bytes | None]]:
    for names in [folder.durable, *folder.pending]:
        branches = []
        for name, node in names.items():
            path = f"{prefix}{name}"
            if isinstance(node, File):
                branches.append([{path: content} for content in node.survivals()])
            else:
                branches.append([{path: None, **tree} for tree in _trees(node, path + "/")])
        for chosen in itertools.product(*branches):
            yield {path: content for branch in chosen for path, content in branch.items()}


def materialise(tree: dict[str, bytes | None], root: Path) -> None:
    """Write a tree into the empty folder `root`."""
    for name, content in tree.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
