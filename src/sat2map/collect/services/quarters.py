"""A box cut into quarters, and those again, where a service shows only the first so many photos of a box.

A token is a path: the number of a starting box, then a digit for each cut. The tree is walked depth first, so a path
says all that is needed to go on.
"""

from sat2map.mercator import Degrees

DEEPEST = 18  # cuts; a degree becomes less than half a metre


def starts(box: Degrees) -> list[Degrees]:
    """Return the box in longitudes of -180 to 180: in two parts if it crosses that line."""
    if box.east <= 180:
        return [box]
    return [box._replace(east=180.0), box._replace(west=-180.0, east=box.east - 360)]


def box_of(path: str, box: Degrees) -> Degrees:
    """Return the part of a box at a path; "" is the first start."""
    part = starts(box)[int(path[0])] if path else starts(box)[0]
    for digit in path[1:]:
        col, row = int(digit) % 2, int(digit) // 2
        middle, centre = (part.west + part.east) / 2, (part.south + part.north) / 2
        part = Degrees(
            middle if col else part.west,
            centre if row else part.south,
            part.east if col else middle,
            part.north if row else centre,
        )
    return part


def following(path: str, box: Degrees, *, is_full: bool) -> str | None:
    """Return the next path, inside this part if the answer for it `is_full`; None if this was the last."""
    path = path or "0"
    if is_full and len(path) <= DEEPEST:
        return path + "0"
    while len(path) > 1 and path[-1] == "3":
        path = path[:-1]
    if len(path) > 1:
        return path[:-1] + str(int(path[-1]) + 1)
    return str(int(path) + 1) if int(path) + 1 < len(starts(box)) else None
