"""Clients that mean no good, or are just slow: cut off in time, told nothing, and nobody else notices.

SAT2MAP_SOCKETS (default 40) and SAT2MAP_PAYLOADS (default 150) say how many there are.
"""

import itertools
import os
import pathlib
import random
import re
import socket
import time
import urllib.parse
from collections.abc import Callable
from functools import partial

import pytest

import geotiffs
import tiny
from sat2map.cli.main import main
from sat2map.errors import UnsafeServer
from sat2map.serve.settings import Settings
from serving import PATIENCE, Server, serving

SOCKETS = int(os.environ.get("SAT2MAP_SOCKETS", "40"))
PAYLOADS = int(os.environ.get("SAT2MAP_PAYLOADS", "150"))
DEADLINE = 1.5
LIMIT = SOCKETS + 100  # connections
CANARY = b"nobody may read this"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("hostile")
    geotiffs.write(folder / "town.tif", geotiffs.texture(300, 300))
    tiny.bundle(folder / "tiny")
    (folder / "canary.txt").write_bytes(CANARY)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    limits = {
        "header_timeout": DEADLINE,
        "body_timeout": DEADLINE,
        "write_timeout": DEADLINE,
        "connections": 300,
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


def test_slow_clients_are_cut_and_the_others_do_not_notice(server, request):
    path = tile(server)
    truth = server.get(path).body
    alone = min(_time(server, path) for _ in range(5))
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
    assert max(times) < 20 * alone + 1 + SOCKETS / 200, (
        f"a tile took {alone:.4f} s alone, {max(times):.4f} s beside {SOCKETS} of these"
    )


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


# -- what may be asked for --------------------------------------------------------------------------------------------


def payloads(folder: pathlib.Path, described: dict) -> list[tuple[str, str]]:
    """Ways out of a folder, in many spellings, for every place where an address has a variable part."""
    target = str(folder / "canary.txt")
    ways = ["../" * n + target.lstrip("/") for n in (1, 3, 8, 16)]
    ways += [
        target,
        f"/{target}",
        f"file://{target}",
        f"/vsizip/{target}",
        f"\\\\localhost{target}",
        "C:\\Windows\\win.ini",
    ]
    ways += [
        "..",
        ".",
        "",
        "...",
        "~root",
        "town.tif",
        "%00",
        "a\0b",
        "/proc/self/environ",
        "http://127.0.0.1:1/",
    ]
    ways += [
        way.replace("/", other)
        for way in ways[:4]
        for other in ("\\", "//", "/./", "∕", "%2f", "%252f", "..;/")
    ]
    ways += [
        way.replace("..", other)
        for way in ways[:4]
        for other in ("%2e%2e", ".%2e", "..%00", "．．", "%c0%ae%c0%ae")
    ]
    whole = partial(urllib.parse.quote, safe="")
    spellings: list[Callable[[str], str]] = [
        str, urllib.parse.quote, whole, lambda w: whole(whole(w)), lambda w: whole(w).lower(),
        lambda w: whole(w) + "%00.png", lambda w: w + ";.png",
    ]  # fmt: skip
    spelled = [spell(way) for way in ways for spell in spellings]
    made = [(method, place.replace("{}", way)) for method, place in places_in(described) for way in spelled]
    random.Random(5).shuffle(made)
    return list(dict.fromkeys(made))


VALID = {
    "layer": "colour", "z": "17", "x": "1", "y": "1", "format": "png", "job": "x", "result": "colour", "style": "grid",
    "seed": "1", "picture": "map",
}  # fmt: skip


def places_in(described: dict) -> list[tuple[str, str]]:
    """Return every part of every address that varies, as (method, address with {} there), and some of no use."""
    places = [
        ("GET", "/{}"),
        ("GET", "/web/{}"),
        ("GET", "/web/vendor/{}"),
        ("GET", "/wmts/{}"),
        ("GET", "/healthz/{}"),
    ]
    for path, item in described["paths"].items():
        for method, told in item.items():
            names = re.findall(r"\{(\w+)\}", path)
            for name in names:
                others = {other: VALID.get(other, "1") for other in names} | {name: "{}"}
                places.append(
                    (method.upper(), re.sub(r"\{(\w+)\}", lambda found, o=others: o[found[1]], path))
                )
            plain = re.sub(r"\{(\w+)\}", lambda found: VALID.get(found[1], "1"), path)
            known = [p["name"] for p in told.get("parameters", ()) if p["in"] == "query"]
            places += [(method.upper(), f"{plain}?{name}={{}}") for name in [*known, "url", "path", "file"]]
    return places


def test_no_spelling_of_an_address_leads_out(server, folder):
    opened = _opened(server)
    described = server.get("/openapi.json").json()
    assert {"/extract/{layer}", "/towns/{style}/{seed}/{picture}.png", "/jobs/{job}/{result}"} <= described[
        "paths"
    ].keys()
    tried = payloads(folder, described)
    assert len(tried) > 5000
    for asked, path in tried[:PAYLOADS]:
        line = (
            path.encode("utf-8", "surrogateescape")
            .replace(b" ", b"%20")
            .replace(b"\r", b"")
            .replace(b"\n", b"")
        )
        with server.raw(
            asked.encode() + b" " + line + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ) as connection:
            connection.settimeout(PATIENCE)  # one of them is a town, which has to be painted
            text = b""
            while chunk := connection.recv(65536):
                text += chunk
        assert CANARY not in text and b"root:x:0" not in text, path
        assert b"HTTP/1.1 5" not in text or b"HTTP/1.1 503" in text, (asked, path, text[:400])
    assert _opened(server) == opened, "files of this machine were opened"


def _opened(server: Server) -> set[str]:
    """Files that server and worker hold open."""
    found = set()
    for process in (server.pid, server.worker()):
        for path in pathlib.Path(f"/proc/{process}/fd").iterdir():
            try:
                target = str(path.readlink())
            except OSError:
                continue
            if target.startswith("/") and "(deleted)" not in target:
                found.add(target)
    return found


def test_every_answer_has_the_headers_that_protect(server):
    for path in ("/", "/nothing", "/layers.json", "/web/app.js", tile(server), "/tiles/a/b/c/d.e"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert "server" not in headers
    page = server.get("/").body.decode()
    assert "<script>" not in page and " style=" not in page and "onclick" not in page
    assert "http://" not in page and "https://" not in page


def test_other_names_and_pages_of_other_sites_are_turned_away(server):
    """Names that lead here by DNS rebinding, and forms and scripts of other pages."""
    assert server.get("/layers.json", host="evil.example").status == 421
    assert server.get("/layers.json", host="localhost:1").status == 200
    for origin in ("https://evil.example", "null"):
        answer = server.ask("POST", "/translate", b"x", {"Origin": origin})
        assert (answer.status, answer.json()["kind"]) == (403, "ForeignOrigin")
    own = f"http://127.0.0.1:{server.port}"
    assert server.ask("POST", "/translate", b"x", {"Origin": own}).status == 415
    assert (
        "access-control-allow-origin" not in server.get("/layers.json", origin="https://evil.example").headers
    )


def test_tokens_and_origins_that_were_allowed(folder, tmp_path):
    told = {"token": "a-long-secret", "cors": ["https://friend.example"]}
    with serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}, **told) as server:
        for path in ("/", "/healthz", "/readyz", "/web/app.js"):
            assert server.get(path).status == 200
        for path in (
            "/layers.json",
            "/metrics",
            "/openapi.json",
            "/tiles/colour/17/1/1.png",
            "/web/../layers.json",
        ):
            for given in (
                {},
                {"authorization": "Bearer a-long-secre"},
                {"authorization": "Basic a-long-secret"},
            ):
                assert server.get(path, **given).status in (401, 404), path
        answer = server.get(
            "/layers.json", authorization="Bearer a-long-secret", origin="https://friend.example"
        )
        assert (
            answer.status == 200 and answer.headers["access-control-allow-origin"] == "https://friend.example"
        )
        asked = server.ask("OPTIONS", "/translate", headers={"Origin": "https://friend.example"})
        assert asked.status == 204 and "Authorization" in asked.headers["access-control-allow-headers"]
        assert (
            "a-long-secret" not in server.get("/metrics", authorization="Bearer a-long-secret").body.decode()
        )


def test_nobody_else_is_let_in_without_a_token(folder, tmp_path, capsys):
    with pytest.raises(UnsafeServer, match="token"):
        Settings(host="0.0.0.0")
    assert main(["serve", "--host", "0.0.0.0", "--model", str(folder / "tiny")]) == 2
    assert "--token-file" in capsys.readouterr().err
    (tmp_path / "token").write_text("short")
    assert main(["serve", "--token-file", str(tmp_path / "token")]) == 2
    assert Settings(host="0.0.0.0", token="long-enough").token
