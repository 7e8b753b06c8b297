"""What server and worker say to one another: MessagePack in frames of a length and a body."""

import asyncio
import struct
from typing import BinaryIO

import msgspec

from sat2map.serve.remote import Remote

MOST = 512 << 20  # bytes of a frame; what is announced as more is damage
_LENGTH = struct.Struct(">I")


class Scene(msgspec.Struct, frozen=True):
    """A file to be served, by the id that requests use."""

    id: str
    path: str


class Model(msgspec.Struct, frozen=True):
    """A bundle to be served, by the id that requests use."""

    id: str
    path: str


class Open(msgspec.Struct, frozen=True, tag=True):
    """Open all scenes and models."""

    scenes: tuple[Scene, ...]
    models: tuple[Model, ...]
    remotes: tuple[Remote, ...]
    gsd: float | None
    picture_pixels: int
    scene_bytes: int  # decoded
    overview_cells: int
    remote_cells: int  # the same, of tile sources
    memory: int  # bytes of computed tiles to remember


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """One tile of a layer as a file of some format."""

    z: int
    x: int
    y: int
    product: str
    format: str  # png or webp


class Tiles(msgspec.Struct, frozen=True, tag=True):
    """Make some tiles of one view; they should lie in one cell, which is then computed once."""

    id: int
    view: str
    wanted: tuple[Wanted, ...]


class Bring(msgspec.Struct, frozen=True, tag=True):
    """Have on disk what a tile needs of a tile source."""

    id: int
    view: str
    tile: tuple[int, int, int]
    product: str
    seconds: float  # after which it counts as failed


class Work(msgspec.Struct, frozen=True, tag=True):
    """Translate a file in a folder of its own; the results go into the same folder."""

    id: int
    model: str
    path: str
    is_scene: bool


class Extract(msgspec.Struct, frozen=True, tag=True):
    """Write a part of a view to files in a folder."""

    id: int
    view: str
    window: tuple[int, int, int, int]  # of the world at the network's zoom: row, col, height, width
    folder: str


class Invent(msgspec.Struct, frozen=True, tag=True):
    """Paint a town: a street map and its imagery."""

    id: int
    style: str
    seed: int


class Look(msgspec.Struct, frozen=True, tag=True):
    """Draw what is to be seen at a place: of a view's scene, or of a town if there is a style."""

    id: int
    model: str
    view: str
    style: str
    seed: int
    x: float  # longitude, or metres to the east
    y: float  # latitude, or metres to the north
    heading: float


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Stop the work of this number."""

    id: int


class ClassFacts(msgspec.Struct, frozen=True):
    """A class of a palette."""

    name: str
    colour: tuple[int, int, int]
    known: bool  # whether the model has a colour for it


class GroundFacts(msgspec.Struct, frozen=True):
    """What a ground-view model draws."""

    height: int  # px
    width: int
    field: float  # degrees; 360: all around


class ModelFacts(msgspec.Struct, frozen=True):
    """What the server must know of a model."""

    id: str
    title: str
    direction: str
    metres_per_pixel: float
    classes: tuple[ClassFacts, ...]
    colours: tuple[tuple[int, int, int, str], ...]  # of the palette, with the name of the class
    licence: str
    limits: tuple[str, ...]
    sha256: str
    ground: GroundFacts | None = None


class ViewFacts(msgspec.Struct, frozen=True):
    """What the server must know of a scene as a model sees it."""

    id: str
    scene: str
    model: str
    products: tuple[str, ...]
    zoom: int  # at which the network works
    least_zoom: int
    most_zoom: int
    side: int  # px of a cell
    data: tuple[int, int, int, int]  # window of the world at `zoom`: row, col, height, width
    extent: tuple[float, float, float, float]  # west, south, east, north in degrees; east may exceed 180
    metres: float  # per pixel on the ground, of the scene; 0 if unknown
    digest: str  # of all that the pixels depend on
    notices: tuple[str, ...]
    attribution: str = ""  # of the imagery
    is_live: bool = False  # a tile source: what a tile needs must be brought first


class Ready(msgspec.Struct, frozen=True, tag=True):
    """All is open."""

    models: tuple[ModelFacts, ...]
    views: tuple[ViewFacts, ...]


class Made(msgspec.Struct, frozen=True, tag=True):
    """Tiles, in the order in which they were wanted; None where nothing is."""

    id: int
    tiles: tuple[bytes | None, ...]
    seconds: float


class Brought(msgspec.Struct, frozen=True, tag=True):
    """What was to be brought is on disk."""

    id: int
    requests: int  # that this worker has sent to the source since it began


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Work goes on."""

    id: int
    done: int
    total: int
    note: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """Work is done: names of files in its folder, by what they are."""

    id: int
    files: dict[str, str]
    notices: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What was asked for cannot be done; `kind` is a class of errors.py, or empty for a fault of ours."""

    id: int
    kind: str
    what: str
    remedy: str
    wait: float = 0.0  # seconds that a tile source asks for


Request = Open | Tiles | Bring | Work | Extract | Invent | Look | Cancel
Answer = Ready | Made | Brought | Progress | Done | Failed
_requests = msgspec.msgpack.Decoder(Request)
_answers = msgspec.msgpack.Decoder(Answer)


def framed(message: Request | Answer) -> bytes:
    """Return a message as it goes through the pipe."""
    body = msgspec.msgpack.encode(message)
    assert len(body) <= MOST, f"a message of {len(body)} bytes"
    return _LENGTH.pack(len(body)) + body


def read_request(pipe: BinaryIO) -> Request | None:
    """Wait for the next request; None when the server is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    return _requests.decode(body) if len(body) == length else None


async def read_answer(pipe: asyncio.StreamReader) -> Answer | None:
    """Wait for the next answer; None when the worker is gone, or speaks nonsense."""
    try:
        (length,) = _LENGTH.unpack(await pipe.readexactly(_LENGTH.size))
        return _answers.decode(await pipe.readexactly(length)) if length <= MOST else None
    except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
        return None
