"""An archive unpacks wholly and only into its folder, or not at all."""

import dataclasses
import gzip
import io
import pathlib
import random
import tarfile

import numpy as np
import pytest

from sat2map.data import known as known_sets
from sat2map.data.archive import Caps, unpack
from sat2map.data.known import KNOWN, KnownSet
from sat2map.data.pairs import PairedSet, read
from sat2map.data.pieces import Chain
from sat2map.errors import BadDataset, DownloadFailed, FileMissing, OutputExists, UnsafeArchive
from sat2map.images import encode_png

BODY = random.Random(0).randbytes(3000)


def entry(name: str, kind: bytes = tarfile.REGTYPE, body: bytes = BODY, link: str = "", **fields) -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(body) if kind == tarfile.REGTYPE else 0
    for key, value in fields.items():
        setattr(info, key, value)
    return info, body


def tar(*entries: tuple, format: int = tarfile.GNU_FORMAT, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=format) as archive:
        for info, body in entries:
            archive.addfile(info, io.BytesIO(body) if info.size else None)
    return buffer.getvalue()


def tree(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "manifest.json"
    }


def unpacked(packed: bytes, base: pathlib.Path, **options) -> dict[str, bytes]:
    source = base / "archive"
    source.write_bytes(packed)
    unpack(Chain([source]), base / "room" / "out", **options)
    return tree(base / "room" / "out")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_every_dialect_of_tar_gives_back_its_files(tmp_path, format, mode):
    files = {
        "maps/train/1.jpg": BODY,
        "maps/train/" + "long" * 20 + "/" + "name" * 15 + ".jpg": b"x" * 512,
        "maps/val/empty.png": b"",
    }
    packed = tar(*(entry(name, body=body) for name, body in files.items()), format=format, mode=mode)
    assert unpacked(packed, tmp_path) == files


def test_long_and_accented_names_come_from_extended_headers(tmp_path):
    name = "maps/" + "n" * 120 + "é.jpg"
    for number, format in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        base = tmp_path / str(number)
        base.mkdir()
        assert unpacked(tar(entry(name), format=format), base) == {name: BODY}


def test_other_files_are_left_out_and_leading_folders_stripped(tmp_path):
    packed = tar(
        entry("maps", tarfile.DIRTYPE), entry("./maps/a.jpg"), entry("maps/run.sh"), entry("maps/._a.jpg")
    )
    source = tmp_path / "archive"
    source.write_bytes(packed)
    left_out = unpack(Chain([source]), tmp_path / "out", strip=1)
    assert tree(tmp_path / "out") == {"a.jpg": BODY} and left_out == ["maps/run.sh", "maps/._a.jpg"]


def raw(change: dict[int, bytes], *, fix: bool = True) -> bytes:
    """Return a plain archive of one file with some bytes of its header overwritten."""
    data = bytearray(tar(entry("a.jpg"), mode="w"))
    for offset, value in change.items():
        data[offset : offset + len(value)] = value
    if fix:
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def pax(records: bytes, then: str = "a.jpg") -> bytes:
    """Return an archive whose pax header holds these bytes as they are."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    block = info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)
    return block + tar(entry(then), mode="w", format=tarfile.USTAR_FORMAT)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


ZOO = {
    "traversal": tar(entry("../a.jpg")),
    "traversal inside": tar(entry("maps/../../a.jpg")),
    "traversal in a folder": tar(entry("maps/..", tarfile.DIRTYPE)),
    "traversal in a skipped file": tar(entry("../run.sh")),
    "traversal by pax": pax(record("path", "../../a.jpg")),
    "traversal by a long name": tar(entry("../" * 60 + "a.jpg")),
    "traversal by a prefix": raw({345: b"../..", 257: b"ustar\x0000"}),
    "absolute": tar(entry("/tmp/a.jpg")),
    "absolute folder": tar(entry("/tmp", tarfile.DIRTYPE)),
    "drive": tar(entry("C:/a.jpg")),
    "stream of NTFS": tar(entry("a.jpg:b.jpg")),
    "backslash": tar(entry("..\\a.jpg")),
    "control character": tar(entry("a\n.jpg")),
    "escape sequence": tar(entry("a\x1b[2J.jpg")),
    "device name": tar(entry("maps/CON.jpg")),
    "trailing dot": tar(entry("maps./a.jpg")),
    "trailing space": tar(entry("maps /a.jpg")),
    "no name": tar(entry("")),
    "name too long": tar(entry("d/" * 600 + "a.jpg")),
    "part too long": tar(entry("d" * 300 + ".jpg")),
    "no UTF-8": raw({0: b"\xff\xfe.jpg\0"}),
    "symlink": tar(entry("a.jpg", tarfile.SYMTYPE, link="/etc/passwd")),
    "symlink then through it": tar(entry("d", tarfile.SYMTYPE, link="/tmp"), entry("d/a.jpg")),
    "symlink chain": tar(*(entry("a" * n, tarfile.SYMTYPE, link="../" * n) for n in range(1, 9))),
    "hardlink": tar(entry("a.jpg"), entry("b.jpg", tarfile.LNKTYPE, link="a.jpg")),
    "hardlink outside": tar(entry("b.jpg", tarfile.LNKTYPE, link="../../x")),
    "character device": tar(entry("a.jpg", tarfile.CHRTYPE, devmajor=1, devminor=5)),
    "block device": tar(entry("a.jpg", tarfile.BLKTYPE)),
    "fifo": tar(entry("a.jpg", tarfile.FIFOTYPE)),
    "contiguous": raw({156: b"7"}),
    "sparse": raw({156: b"S"}),
    "unknown kind": raw({156: b"Z"}),
    "sparse by pax": pax(record("GNU.sparse.major", "1")),
    "size by pax": pax(record("size", "10")),
    "malformed pax": pax(b"9999999999 path=a\n"),
    "pax of no length": pax(b"0 path=a\n"),
    "huge pax": pax(record("comment", "x" * 100_000)),
    "huge number in pax": pax(b"9" * 5000 + b" path=a\n"),
    "duplicate": tar(entry("a.jpg"), entry("a.jpg")),
    "duplicate by dots": tar(entry("d/a.jpg"), entry("d/./a.jpg")),
    "case clash": tar(entry("a.jpg"), entry("A.JPG")),
    "case clash of folders": tar(entry("d/a.jpg"), entry("D/b.jpg")),
    "accent clash": tar(entry("caf\u00e9.jpg"), entry("cafe\u0301.jpg")),
    "sharp s clash": tar(entry("stra\u00dfe.jpg"), entry("strasse.jpg")),
    "file and folder": tar(entry("a.jpg"), entry("a.jpg/b.jpg")),
    "folder and file": tar(entry("a.jpg/b.jpg"), entry("a.jpg")),
    "bomb": tar(entry("a.png", body=bytes(30 << 20))),
    "bomb in a skipped file": tar(entry("a.sh", body=bytes(30 << 20))),
    "bomb behind the end": tar(entry("a.jpg"), mode="w:gz") + gzip.compress(bytes(60 << 20)),
    "bomb of two layers": gzip.compress(gzip.compress(bytes(60 << 20))),
    "folder with bytes": raw({156: b"5"}),
    "size of 8 GiB": raw({124: b"77777777777\0"}),
    "base-256 size": raw({124: b"\x80" + bytes(10) + b"\x05"}),
    "negative size": raw({124: b"-0000000005\0"}),
    "wrong checksum": raw({0: b"b"}, fix=False),
    "truncated gzip": tar(entry("a.jpg"))[:-200],
    "truncated tar": tar(entry("a.jpg"), mode="w")[:1500],
    "header cut off": tar(entry("a.jpg"), mode="w")[:300],
    "damaged gzip": tar(entry("a.jpg"))[:40] + b"\0\0\0\0" + tar(entry("a.jpg"))[44:],
    "wrong gzip checksum": tar(entry("a.jpg"))[:-8] + bytes(8),
    "rubbish behind gzip": tar(entry("a.jpg")) + b"rubbish",
    "empty": b"",
    "web page": b"<!DOCTYPE html><title>Please log in</title>" + b" " * 600,
}


@pytest.mark.parametrize("packed", ZOO.values(), ids=ZOO.keys())
def test_the_zoo_is_refused_and_leaves_nothing(packed, tmp_path):
    tmp_path.joinpath("room").mkdir()
    with pytest.raises(UnsafeArchive, match="refused"):
        unpacked(packed, tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.name not in ("room", "archive")] == []


@pytest.mark.parametrize(
    "caps", [Caps(entries=2), Caps(total=5000), Caps(file=2999)], ids=["entries", "total", "file"]
)
def test_caps_are_held_to_the_byte(tmp_path, caps):
    three = tar(entry("a.jpg"), entry("b.jpg"), entry("c.jpg"))
    with pytest.raises(UnsafeArchive):
        unpacked(three, tmp_path, caps=caps)
    assert len(unpacked(three, tmp_path, caps=Caps(entries=3, total=9000, file=3000))) == 3


def test_mutated_archives_unpack_below_their_folder_or_are_refused(tmp_path):
    original = tar(
        entry("maps/a.jpg"), entry("maps/b.jpg", body=b"b" * 700), mode="w", format=tarfile.PAX_FORMAT
    )
    rng = random.Random(1)
    refused = 0
    for number in range(60):
        data = bytearray(original)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data) // 512) * 512 + rng.randrange(512) // rng.choice((1, 2))] = (
                rng.randrange(256)
            )
        room = tmp_path / str(number)
        room.mkdir()
        try:
            unpacked(bytes(data), room)
        except UnsafeArchive:
            refused += 1
        assert {p.name for p in room.iterdir()} <= {"archive", "room"}
        assert {p.name for p in (room / "room").glob("*")} <= {"out"}
    assert 10 < refused < 60


def test_an_existing_folder_is_not_touched(tmp_path):
    (tmp_path / "room" / "out").mkdir(parents=True)
    with pytest.raises(OutputExists):
        unpacked(tar(entry("a.jpg")), tmp_path)
    assert list((tmp_path / "room" / "out").iterdir()) == []


# -- known sets -------------------------------------------------------------------------------------------------

SMALL = KnownSet("maps", "http://127.0.0.1:9/never", {"train": 3, "val": 2}, (8, 8), "no licence", "nobody")


def maps_archive(path: pathlib.Path, counts: dict[str, int], width: int = 16) -> pathlib.Path:
    random_state = np.random.default_rng(0)
    entries = [entry("maps/README.txt")]
    for split, count in counts.items():
        for number in range(1, count + 1):
            rgb = random_state.integers(0, 256, (8, width, 3), np.uint8)
            entries.append(entry(f"maps/{split}/{number}.png", body=encode_png(rgb)))
    path.write_bytes(tar(*entries))
    return path


def test_an_archive_that_is_here_becomes_a_paired_set_with_terms(tmp_path):
    archive = maps_archive(tmp_path / "maps.tar.gz", {"train": 3, "val": 2})
    got = known_sets.get(SMALL, tmp_path / "maps", archive=archive)
    assert got.pairs == {"train": 3, "val": 2} and got.left_out == 1
    pairs = PairedSet.open(tmp_path / "maps")
    assert pairs.licence == "no licence" and pairs.attribution == "nobody"
    assert all(pair.sat.sha256 for pair in pairs) and read(pairs[0])[0].shape == (8, 8, 3)
    assert got.sha256 in (tmp_path / "maps" / "SOURCE.json").read_text()


@pytest.mark.parametrize(("counts", "width"), [({"train": 3, "val": 1}, 16), ({"train": 3, "val": 2}, 18)])
def test_an_archive_with_other_pairs_than_known_is_refused(tmp_path, counts, width):
    archive = maps_archive(tmp_path / "maps.tar.gz", counts, width)
    with pytest.raises(BadDataset):
        known_sets.get(SMALL, tmp_path / "maps", archive=archive)
    assert [p.name for p in tmp_path.iterdir()] == ["maps.tar.gz"]


def test_get_refuses_before_it_fetches(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputExists):
        known_sets.get(SMALL, tmp_path / "there")
    with pytest.raises(FileMissing):
        known_sets.get(SMALL, tmp_path / "out", archive=tmp_path / "none.tar.gz")
    archive = maps_archive(tmp_path / "maps.tar.gz", {"train": 3, "val": 2})
    with pytest.raises(DownloadFailed, match="SHA-256"):
        known_sets.get(dataclasses.replace(SMALL, sha256="0" * 64), tmp_path / "out", archive=archive)
    assert not (tmp_path / "out").exists()
    assert KNOWN["maps"].counts == {"train": 1096, "val": 1098}
