"""What may be asked for: no address leads out, no name but ours is answered, and the description is kept.

SAT2MAP_PAYLOADS (default 150) says how many spellings are tried, SAT2MAP_EXAMPLES (default 0: none) how many requests
schemathesis makes up for each operation.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
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

PAYLOADS = int(os.environ.get("SAT2MAP_PAYLOADS", "150"))
EXAMPLES = int(os.environ.get("SAT2MAP_EXAMPLES", "0"))
CANARY = b"nobody may read this"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("addresses")
    geotiffs.write(folder / "town.tif", geotiffs.texture(300, 300))
    tiny.bundle(folder / "tiny")
    (folder / "canary.txt").write_bytes(CANARY)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    scenes, models = {"town": folder / "town.tif"}, {"tiny": folder / "tiny"}
    with serving(scenes=scenes, models=models, limits={"picture_pixels": 1 << 20}) as running:
        yield running


def tile(server: Server) -> str:
    from sat2map import mercator

    layer = server.layer("source")
    window = mercator.window_of(mercator.Degrees(*layer["extent"]), layer["own_zoom"])
    first = next(mercator.tiles(window, layer["own_zoom"]))
    return f"/tiles/source/{first.z}/{first.x}/{first.y}.png"


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
    assert _opened(server) <= opened, "files of this machine were opened"  # a start may still have some open


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


def test_what_cannot_be_served_or_kept_is_said_before_anything_is_opened(folder, tmp_path, capsys):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    assert main(["serve", str(tmp_path / "photo.jpg"), "--model", str(folder / "tiny")]) == 1
    assert "photo.jpg is no GeoTIFF" in capsys.readouterr().err
    assert main(["serve", "--cache", str(tmp_path / "photo.jpg" / "x"), "--model", str(folder / "tiny")]) == 1
    assert "cannot make the folder" in capsys.readouterr().err


@pytest.mark.skipif(not EXAMPLES, reason="SAT2MAP_EXAMPLES is not set")
def test_what_schemathesis_makes_up_is_answered_as_described(server):
    tool = shutil.which("schemathesis")
    if tool is None:
        pytest.skip("schemathesis is not installed")
    own = f"http://127.0.0.1:{server.port}"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    command = [
        tool,
        "run",
        f"{own}/openapi.json",
        "--url",
        own,
        "--checks",
        checks,
        "--max-examples",
        str(EXAMPLES),
    ]
    command += [
        "--phases",
        "coverage,fuzzing",
        "--suppress-health-check",
        "all",
        "--request-timeout",
        str(PATIENCE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    told = server.get("/metrics").body.decode().splitlines()
    assert not [line for line in told if 'status="50' in line and 'status="503"' not in line]
