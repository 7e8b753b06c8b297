"""A scene and its map in a notebook: a server of one's own, shown in a frame.

from sat2map.serve.notebook import show
show("scene.tif")
"""

import html
import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from sat2map.bundle import DEFAULT, find
from sat2map.errors import FileMissing, WorkerFailed
from sat2map.serve.messages import Model, Scene
from sat2map.serve.server import run
from sat2map.serve.settings import Settings

FRAMES = "http://localhost:* http://127.0.0.1:*"  # where notebooks of this machine are
_PATIENCE = 180.0  # seconds until the server is ready


class Shown:
    """A running server; a notebook shows its page. It ends with `close`, or with the notebook's kernel."""

    def __init__(self, process: SpawnProcess, address: str, height: int) -> None:
        self._process, self._height = process, height
        self.address = address

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{html.escape(self.address)}/" title="sat2map" width="100%" height="{self._height}" '
            'style="border:0"></iframe>'
        )

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.join()


def show(scene: str | Path, model: str | Path = DEFAULT, *, height: int = 600) -> Shown:
    """Serve a GeoTIFF as a model sees it, on this machine only, and return what a notebook shows as the page.

    `model`: the id of a shipped one or the folder of a bundle; `height` in px. Raises FileMissing, UnknownModel, and
    WorkerFailed if the server does not start; what it says is in the standard error of the kernel.
    """
    path = Path(scene)
    if not path.is_file():
        raise FileMissing(f"{path} is no file", "Name a GeoTIFF")
    bundle = find(model)
    settings = Settings(
        scenes=(Scene("scene", str(path.resolve())),),
        models=(Model(bundle.card.id, str(bundle.folder.resolve())),),
        port=0,
        frame_ancestors=FRAMES,
    )
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(settings, there), daemon=True)
    process.start()
    there.close()
    try:
        address = here.recv_bytes().decode() if here.poll(_PATIENCE) else ""
    except EOFError:
        address = ""
    if not address:
        process.terminate()
        raise WorkerFailed("the server did not start", f"See why: sat2map serve {path}")
    return Shown(process, address, height)


def _serve(settings: Settings, told: Connection) -> None:
    """Run in a process of its own, and say where."""
    run(settings, lambda service, address: told.send_bytes(address.encode()))
