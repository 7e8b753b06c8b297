"""Everything that runs while the server does, made at start and closed in the end."""

import asyncio

import msgspec

from sat2map.serve.catalogue import Catalogue
from sat2map.serve.ground import GroundRoutes
from sat2map.serve.jobs import Jobs
from sat2map.serve.lane import Lane
from sat2map.serve.messages import Open
from sat2map.serve.metrics import Metrics
from sat2map.serve.settings import Settings
from sat2map.serve.spool import Spool
from sat2map.serve.supervisor import Supervisor
from sat2map.serve.tilecache import TileCache
from sat2map.serve.towns import Towns
from sat2map.serve.upstream import Upstream

SOURCES = "sources"  # folder of the tiles of tile sources
REMEMBERED = 256 << 20  # bytes of computed tiles in the worker, compressed


class Service:
    """The worker, the lane to it, kept tiles, uploads and jobs."""

    def __init__(self, settings: Settings) -> None:
        limits = settings.limits
        self.settings = settings
        self.metrics = Metrics()
        self.spool = Spool(limits)
        kept = settings.cache / SOURCES if settings.cache else self.spool.private(SOURCES)
        remotes = tuple(
            msgspec.structs.replace(far, folder=str(kept.absolute()), kept=limits.upstream_disk)
            for far in settings.remotes
        )
        wanted = Open(
            settings.scenes, settings.models, remotes, settings.gsd, limits.picture_pixels, limits.scene_bytes,
            limits.overview_cells, limits.upstream_cells, REMEMBERED,
        )  # fmt: skip
        self.supervisor = Supervisor(wanted, limits)
        self.lane = Lane(self.supervisor, limits)
        self.upstream = Upstream(self.supervisor, limits)
        self.tiles = TileCache(settings.cache, limits.memory, limits.disk)
        self.towns = Towns(self.supervisor)
        self.ground = GroundRoutes(self.supervisor, self.metrics)
        self.jobs = Jobs(self.supervisor, self.spool, limits)
        self.catalogue: Catalogue
        self.is_closing = False

    async def start(self) -> None:
        """Start the worker and wait for what it says. Raises what it raised."""
        try:
            self.catalogue = self.ground.catalogue = Catalogue(await self.supervisor.start())
        except BaseException:
            await self.supervisor.close()
            self.spool.close()
            raise
        self.lane.start()
        self.tiles.start()
        self.jobs.start()

    async def drain(self) -> None:
        """Take no more work, and let that which is under way finish for a while."""
        self.is_closing = True
        self.jobs.end_streams()
        end = asyncio.get_running_loop().time() + self.settings.limits.grace
        while self.lane.is_working and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)
        await self.lane.close()

    async def close(self) -> None:
        """End everything."""
        await self.lane.close()
        await self.jobs.close()
        await self.tiles.close()
        await self.supervisor.close()
        self.spool.close()

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return what Prometheus is told besides answers."""
        lane, tiles = self.lane, self.tiles
        return {
            "worker_ready": ("Whether the inference process is ready.", self.supervisor.is_ready),
            "worker_spare": ("Whether a second one is ready to take over.", self.supervisor.has_spare),
            "worker_starts_total": ("Inference processes started.", self.supervisor.starts),
            "queue_cells": ("Cells that wait for the network.", lane.waiting),
            "queue_seconds": ("Estimated wait of a new cell.", lane.wait),
            "cell_seconds": ("Running mean of the time per cell.", lane.seconds),
            "batches_total": ("Cells sent to the network.", lane.batches),
            "batched_tiles_total": ("Tiles made from them.", lane.batched),
            "cache_memory_hits_total": ("Tiles found in memory.", tiles.hits),
            "cache_disk_hits_total": ("Tiles found on disk.", tiles.disk_hits),
            "cache_misses_total": ("Tiles found nowhere.", tiles.misses),
            "cache_damaged_total": ("Tiles on disk that did not match their checksum.", tiles.damaged),
            "upstream_waiting": ("Tiles that wait for a tile source.", self.upstream.waiting),
            "upstream_requests_total": ("Requests to tile sources by this worker.", self.upstream.requests),
            "upstream_failures_total": ("Tiles for which a tile source failed.", self.upstream.failures),
            "jobs_waiting": ("Translations that wait or run.", self.jobs.active),
            "spool_bytes": ("Bytes of uploads and results on disk.", self.spool.used),
        }
