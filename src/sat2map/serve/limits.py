"""Every number by which the server decides whom it lets in, for how long, and with how much.

docs/serve.md lists them.
"""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class ServeLimits:
    """Seconds, bytes and counts."""

    # the inference lane
    queue: int = 256  # cells that may wait
    patience: float = (
        30.0  # seconds that a tile may wait for its turn; what would wait longer is refused at the door
    )
    door: float = (
        0.8  # share of that time which the queue may be estimated to take: then hardly anybody waits in vain
    )
    overview_patience: float = 90.0  # the same, of tiles above those of the network, which need many cells
    overview_cells: int = 100  # cells that one tile may need; smaller zooms are not offered
    batch_timeout: float = 120.0  # seconds of work on one cell, after which the worker counts as hung
    deaths: int = 2  # of the worker, on the same work, after which that work is refused
    quarantine: float = 300.0  # seconds for which it is refused

    # the worker
    start_timeout: float = 120.0  # seconds until it has opened models and scenes
    backoff: tuple[float, float] = (0.1, 4.0)  # seconds before it is started anew: at first, and at most
    spare_after: float | None = 2.0  # seconds after which a second one is opened, to step in; None: none
    settled: float = 1.0  # seconds of life after which the first of these counts again

    # connections
    connections: int = 1024
    header_timeout: float = 10.0  # seconds from the first byte (or the connection) to the end of the headers
    body_timeout: float = 30.0  # seconds for the body …
    body_rate: int = 32 * 1024  # … and one more for so many bytes
    write_timeout: float = 30.0  # seconds in which a reader must take what the buffers hold
    header_bytes: int = 16 * 1024
    grace: float = 10.0  # seconds for what is under way, after SIGTERM

    # kept tiles
    memory: int = 64 * MIB
    disk: int = 1024 * MIB

    # tile sources
    upstream_disk: int = 1024 * MIB  # of its tiles, as they came
    upstream_cells: int = 16  # cells that one tile may need, in place of `overview_cells`
    upstream_patience: float = 30.0  # seconds for all that one tile needs
    upstream_waiting: int = 64  # tiles that may wait for it
    upstream_pause: float = 3600.0  # seconds for which a source may have us stay away, at most

    # translations on request
    upload: int = 256 * MIB  # bytes of one
    uploads: int = 8  # bodies received at a time
    spool: int = 2048 * MIB  # bytes of all uploads and results
    picture_pixels: int = 16 * MIB  # 4096 x 4096 px
    scene_bytes: int = 1024 * MIB  # decoded
    jobs: int = 8  # that wait or run
    job_silence: float = 300.0  # seconds without progress, after which the worker counts as hung
    job_age: float = 3600.0  # seconds for which a finished job can be fetched
    streams: int = 64  # listeners to progress at a time
