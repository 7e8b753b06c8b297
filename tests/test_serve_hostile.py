"""Clients that mean no good, or are just slow: cut off in time, told nothing, and nobody else notices.

SAT2MAP_SOCKETS (default 40) says how many there are.
"""

import itertools
import os
import pathlib
import socket
import statistics
import time

import pytest

import geotiffs
import tiny
from serving import Server, serving

SOCKETS = int(os.environ.get("SAT2MAP_SOCKETS", "40"))
DEADLINE = 1.5
LIMIT = SOCKETS + 100  # connections


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("hostile")
    geotiffs.write(folder / "town.tif", geotiffs.texture(300, 300))
    tiny.bundle(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    limits = {
        "header_timeout": DEADLINE,
        "body_timeout": DEADLINE,
        "write_timeout": DEADLINE,
        "connections": LIMIT,
    }
    with serving(
        scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}, limits=limits
    ) as running:
        yield running


def tile(server: Server) -> str:
    from sat2map import mercator

    layer = server.layer("source")
    window = mercator.window_of(mercator.Degrees(*layer["extent"]), layer["own_zoom"])
    first = next(mercator.tiles(window, layer["own_zoom"]))
    return f"/tiles/source/{first.z}/{first.x}/{first.y}.png"


# -- slow clients -----------------------------------------------------------------------------------------------------

KINDS = {
    "silent": b"",
    "headers": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n\x89PNG",
    "chunks": b"POST /translate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


def is_cut(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_slow_clients_are_cut_and_the_others_do_not_notice(server, request, tmp_path_factory):
    path = tile(server)
    truth = server.get(path).body
    alone = sorted(_time(server, path) for _ in range(40))
    slow = [server.raw(KINDS[kind]) for kind in itertools.islice(itertools.cycle(KINDS), SOCKETS)]
    for connection in slow:
        request.addfinalizer(connection.close)
    start = time.time()
    times = []
    while time.time() < start + DEADLINE * 0.8:
        for connection in slow[
            : len(slow) // 2
        ]:  # these send a byte now and then, which must gain them nothing
            try:
                connection.send(b"x")
            except OSError:
                continue
        before = time.perf_counter()
        assert server.get(path).body == truth
        times.append(time.perf_counter() - before)
        assert server.get("/healthz").status == 200
    kept = [number for number, connection in enumerate(slow) if not is_cut(connection, DEADLINE + 4)]
    assert not kept, f"still open: {kept}"
    told = [f"{statistics.median(each):.4f} s (median), {max(each):.4f} s at most" for each in (alone, times)]
    told = f"a tile took {told[0]} of {len(alone)} alone, {told[1]} of {len(times)} beside {SOCKETS} of these"
    (tmp_path_factory.getbasetemp() / "sockets.txt").write_text(told)
    assert statistics.median(times) < 5 * alone[-1] + 0.05 and max(times) < 20 * alone[-1] + 1, told


def _time(server: Server, path: str) -> float:
    start = time.perf_counter()
    assert server.get(path).status == 200
    return time.perf_counter() - start


def test_slow_readers_are_cut(server):
    """The vendored library has a megabyte: more than the buffers of the system hold with a small window."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(b"GET /web/vendor/maplibre-gl.mjs HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8)
    start = time.time()
    while time.time() < start + DEADLINE + 6:
        time.sleep(0.2)
        try:
            if not connection.recv(16):
                break
        except OSError:
            break
        if connection.fileno() < 0:
            break
        state = pathlib.Path("/proc/net/tcp").read_text()
        port = f"{server.port:04X}"
        mine = [line.split() for line in state.splitlines() if f":{port} " in line]
        if not any(parts[3] == "01" and parts[1].endswith(port) for parts in mine):
            break  # the server's end is not established any more
    else:
        pytest.fail("a reader of 80 bytes per second was served for ever")
    connection.close()


def test_more_connections_than_allowed_push_out_the_oldest_idle_one(server):
    connections = [server.raw() for _ in range(LIMIT + 1)]
    assert is_cut(connections[0], 5)
    assert server.get("/healthz").status == 200
    for connection in connections:
        connection.close()


def test_a_connection_may_be_used_again_and_again_and_pipelined(server):
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def answers(connection: socket.socket, count: int) -> None:
        text = b""
        while text.count(b"ok\n") < count:
            chunk = connection.recv(4096)
            assert chunk, text
            text += chunk

    with server.raw() as connection:
        connection.settimeout(10)
        for _ in range(3):
            connection.sendall(one)
            answers(connection, 1)
        connection.sendall(one * 5)
        answers(connection, 5)
        time.sleep(DEADLINE + 0.5)  # between requests there is more time than within one
        connection.sendall(one)
        answers(connection, 1)


def test_what_is_no_http_is_refused(server):
    for data in (
        b"\x16\x03\x01\x02\x00" * 20, b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    ):  # fmt: skip
        with server.raw(data) as connection:
            connection.settimeout(DEADLINE + 5)
            try:
                answer = connection.recv(65536)
            except ConnectionError:
                answer = b""
        assert not answer or b" 4" in answer[:14] or b" 501" in answer[:14], (data[:40], answer[:60])
    assert server.get("/healthz").status == 200
