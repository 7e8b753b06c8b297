"""Photos made for tests: pictures of some structure, with EXIF data."""

import io
import pathlib

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational


def landscape(seed: int, height: int = 300, width: int = 400, detail: float = 40.0) -> np.ndarray:
    """A sky above hills above textured ground, uint8 (H, W, 3); each seed another one."""
    random = np.random.default_rng(seed)
    cols = np.arange(width)
    waves = sum(
        random.uniform(8, 30) * np.sin(cols / random.uniform(15, 90) + random.uniform(0, 6)) for _ in range(4)
    )
    ridge = height * random.uniform(0.35, 0.6) + waves
    is_ground = np.arange(height)[:, None] > ridge[None]
    sky, ground = random.integers(140, 230, 3), random.integers(40, 150, 3)
    patches = np.kron(random.integers(-50, 50, (6, 8)), np.ones((height // 6 + 1, width // 8 + 1)))[
        :height, :width
    ]
    picture = np.where(is_ground[..., None], ground + patches[..., None], sky)
    noise = random.normal(0, detail, (height, width, 1)) * is_ground[..., None]
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def gps(place: tuple[float, float], **tags: object) -> dict[int, object]:
    """The GPS directory of a photo taken at longitude, latitude; `tags` like t29="2023:07:01" add to it."""
    made: dict[int, object] = {1: "N" if place[1] >= 0 else "S", 3: "E" if place[0] >= 0 else "W"}
    for tag, value in ((2, abs(place[1])), (4, abs(place[0]))):
        minutes = (value - int(value)) * 60
        made[tag] = (int(value), int(minutes), IFDRational(round((minutes - int(minutes)) * 60e4), 10_000))
    return made | {int(name[1:]): value for name, value in tags.items()}


def exif(
    place: tuple[float, float] | dict[int, object] | None = (38.0, 56.0),
    taken: str = "2023:07:01 12:00:00",
    offset: str = "+03:00",
) -> Image.Exif:
    """EXIF data of a photo taken at longitude, latitude, or with a GPS directory."""
    made = Image.Exif()
    if place is not None:
        made[0x8825] = place if isinstance(place, dict) else gps(place)
    made[0x8769] = {0x9003: taken, **({0x9011: offset} if offset else {})}
    return Image.open(
        io.BytesIO(jpeg(np.zeros((8, 8, 3), np.uint8), made))
    ).getexif()  # as if read from a file


def write(path: pathlib.Path, pixels: np.ndarray, data: Image.Exif | None = None, **options: object) -> None:
    """Save a picture with EXIF data; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **{"exif": data} if data else {}, **options)


def jpeg(pixels: np.ndarray, data: Image.Exif | None = None, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, **{"exif": data} if data else {})
    return buffer.getvalue()


def album(folder: pathlib.Path, count: int = 6, **facts: object) -> pathlib.Path:
    """A folder of photos that differ, all near Moscow in summer."""
    for seed in range(count):
        write(folder / f"{seed:03}.jpg", landscape(seed), exif((38 + seed / 100, 56.0), **facts))
    return folder
