"""A real server in a process of its own, with whatever limits a test wants, and a client that sees raw answers.

python tests/serving.py '{"scenes": {"town": "town.tif"}, "models": {"tiny": "bundle"}, "limits": {"queue": 2}}'
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 90  # seconds; the machines of tests are busy


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(
                method, path, body, {k.replace("_", "-"): v for k, v in (headers or {}).items()}
            )
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def raw(self, data: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.sendall(data)
        return connection

    def layer(self, name: str) -> dict[str, Any]:
        return next(layer for layer in self.get("/layers.json").json()["layers"] if layer["id"] == name)

    def gauge(self, name: str) -> float:
        lines = self.get("/metrics").body.decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"sat2map_{name} ")))

    def worker(self) -> int:
        """The process number of the worker: the oldest child; a younger one is in reserve."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def wait_ready(self, seconds: float = PATIENCE) -> float:
        """Return the seconds that it took."""
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            if self.get("/readyz").status == 200:
                return time.perf_counter() - start
            time.sleep(0.02)
        raise AssertionError(f"not ready after {seconds} s")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def serving(**told: Any) -> Iterator[Server]:
    """Yield a server that is ready.

    `told`: scenes and models by id, limits, fields of `Settings`; `tmp`: the folder for temporary files.
    """
    more = {"TMPDIR": str(told.pop("tmp"))} if "tmp" in told else {}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1", **more}
    process = subprocess.Popen(
        [sys.executable, str(pathlib.Path(__file__).resolve()), json.dumps(told, default=str)],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("http://"), f"the server said {line!r}"
        yield Server(process, int(line.rsplit(":", 1)[1].split("/")[0]))
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.stdout.close()


def main() -> None:
    import msgspec

    from sat2map.serve.limits import ServeLimits
    from sat2map.serve.messages import Model, Scene
    from sat2map.serve.remote import Remote, described
    from sat2map.serve.server import run
    from sat2map.serve.settings import Settings

    told = json.loads(sys.argv[1])
    told["scenes"] = tuple(Scene(name, path) for name, path in told.get("scenes", {}).items())
    told["models"] = tuple(Model(name, path) for name, path in told.get("models", {}).items())
    told["remotes"] = tuple(described(msgspec.convert(far, Remote)) for far in told.get("remotes", ()))
    limits = {"spare_after": None}  # a second worker is for the tests that are about it
    limits |= {k: tuple(v) if isinstance(v, list) else v for k, v in told.get("limits", {}).items()}
    told["limits"] = ServeLimits(**limits)
    told["cache"] = pathlib.Path(told["cache"]) if told.get("cache") else None
    for name in ("cors", "allow_hosts"):
        told[name] = tuple(told.get(name, ()))
    run(Settings(port=0, **told), lambda service, address: print(address, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
