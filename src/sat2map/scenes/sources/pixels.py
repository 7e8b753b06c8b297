"""What a server sent as a tile: an image of the right size, or the ways in which servers say that there is none."""

import hashlib
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from sat2map.errors import Sat2MapError
from sat2map.images import Limits
from sat2map.images.reading import decode_image_with_alpha
from sat2map.network import Reply, Unacceptable

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

ABSENT = frozenset({204, 404, 410})  # statuses that say: no such tile
KINDS = ("image/", "application/octet-stream", "binary/octet-stream")
_LIMITS = Limits(pixels=4096 * 4096)


def is_absent(reply: Reply, placeholders: Collection[str]) -> bool:
    """Tell whether a reply says that there is no tile.

    By its status; by having no body; by the header in which Bing Maps says so; by being a picture of a single pixel, as
    some servers send; or by being one of the `placeholders`, SHA-256 sums of pictures that say "no data here".
    """
    if reply.status in ABSENT or not reply.body:
        return True
    if reply.headers.get("x-ve-tile-info", "").lower() == "no-tile":
        return True
    if hashlib.sha256(reply.body).hexdigest() in placeholders:
        return True
    return len(reply.body) < 1024 and decoded(reply.body)[0].shape[:2] == (1, 1)


def decoded(data: bytes) -> tuple[UInt8, Bool | None]:
    """Return uint8 (H, W, 3) and where it is opaque, (H, W) or None if everywhere. Raises what `images` raises."""
    rgb, alpha = decode_image_with_alpha(data, _LIMITS, "the tile")
    valid = None if alpha is None or bool(alpha.all()) else alpha > 0
    return rgb, valid


def check_tile(reply: Reply, height: int, width: int, placeholders: Collection[str]) -> None:
    """Raise Unacceptable for what is neither a tile of this size nor a way to say that there is none."""
    try:
        if is_absent(reply, placeholders):
            return
        rgb, _ = decoded(reply.body)
    except Sat2MapError as error:
        raise Unacceptable(error.what) from error
    if rgb.shape[:2] != (height, width):
        raise Unacceptable(
            f"the tile has {rgb.shape[1]} x {rgb.shape[0]} px, not {width} x {height}: "
            f"say what its tiles have with --tile-size"
        )
