"""What a server was told at start."""

from dataclasses import dataclass, field
from pathlib import Path

from sat2map.errors import UnsafeServer
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Model, Scene
from sat2map.serve.remote import Remote

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Settings:
    """All of it; frozen, so that no request can change anything."""

    scenes: tuple[Scene, ...] = ()
    models: tuple[Model, ...] = ()
    remotes: tuple[Remote, ...] = ()  # tile sources, as `remote.described` gives them
    host: str = "127.0.0.1"
    port: int = 8000
    root_path: str = ""  # "/maps" if a proxy serves us there
    public_url: str = ""  # how the outside calls us, without root_path: https://example.org
    allow_hosts: tuple[str, ...] = ()  # further names that requests may call us by
    cors: tuple[str, ...] = ()  # origins whose pages may read our answers; "*" for all
    token: str = ""  # empty: none needed
    cache: Path | None = None  # folder of kept tiles
    frame_ancestors: str = "'none'"  # pages that may show ours in a frame, as a CSP says it
    gsd: float | None = None  # metres per pixel that the model sees; None: what it was trained at
    limits: ServeLimits = field(default_factory=ServeLimits)

    def __post_init__(self) -> None:
        """Refuse to listen to everybody without a token; raises UnsafeServer."""
        if self.host not in LOOPBACK and not self.token:
            raise UnsafeServer(
                f"--host {self.host} lets other machines in, and no token is set",
                "Put a secret into a file and give it as --token-file, or listen on 127.0.0.1",
            )

    @property
    def known_hosts(self) -> frozenset[str]:
        """The names by which requests may call us, in lower case and without port.

        Pages of other sites can make names of theirs lead to this machine (DNS rebinding); we answer to ours only.
        """
        from urllib.parse import urlsplit

        names = {self.host, *LOOPBACK, *self.allow_hosts}
        if self.public_url:
            names.add(urlsplit(self.public_url).hostname or "")
        return frozenset(name.lower() for name in names - {"", "0.0.0.0", "::"})
