"""A download arrives whole and unmixed from a server that misbehaves, or says why it did not."""

import contextlib
import email.utils
import hashlib
import http.server
import pathlib
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sat2map.data.download import Limits, download
from sat2map.data.pieces import Chain, Pieces
from sat2map.errors import DownloadFailed, RunLocked
from sat2map.storage import locked

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(280_000)
LIMITS = Limits(piece=16_384, timeout=5.0, tries=4)

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the answers of a script in turn, the last one for ever; notes what was asked."""

    script: list[Answer]
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        answer = self.script[min(len(self.seen), len(self.script) - 1)]
        self.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
        self.close_connection = True
        with contextlib.suppress(OSError):
            answer(self)

    def log_message(self, *args: object) -> None:
        """Stay silent."""

    def head(self, status: int, **fields: object) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


@pytest.fixture
def server() -> Iterator[Callable[..., str]]:
    """Start a server on a real socket with a script; returns its address."""
    running: list[http.server.ThreadingHTTPServer] = []

    def start(*script: Answer) -> str:
        kind = type("Scripted", (Handler,), {"script": list(script), "seen": []})
        http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        http_server.daemon_threads = True
        threading.Thread(
            target=http_server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        running.append(http_server)
        start.seen = kind.seen  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{http_server.server_address[1]}/maps.tar.gz"

    yield start
    for http_server in running:
        http_server.shutdown()
        http_server.server_close()


def good(
    content: bytes = CONTENT, etag: str = '"v1"', stop: int | None = None, ranges: bool = True
) -> Answer:
    """Answer as a good server does; `stop` cuts the connection after so many bytes of the answer."""

    def answer(h: Handler) -> None:
        wanted = h.headers.get("Range")
        fields = {"ETag": etag} if etag else {}
        if wanted and ranges and h.headers.get("If-Range") == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return h.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
            body = content[start:]
            h.head(
                206,
                Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}",
                Content_Length=len(body),
                **fields,
            )
        else:
            body = content
            h.head(200, Content_Length=len(body), **fields)
        h.wfile.write(body[:stop])
        return None

    return answer


def status(code: int, **fields: object) -> Answer:
    return lambda h: h.head(code, Content_Length=0, **fields)


def hang_up(h: Handler) -> None:
    h.connection.close()


def received(pieces: Pieces) -> bytes:
    stream, parts = Chain(pieces.paths), []
    while data := stream.read(1 << 16):
        parts.append(data)
    stream.close()
    return b"".join(parts)


def fetch(url: str, folder: pathlib.Path, waits: list[float] | None = None, **options) -> bytes:
    sleep = waits.append if waits is not None else lambda seconds: None
    return received(download(url, folder, **{"limits": LIMITS, "sleep": sleep, **options}))


def test_a_good_server_is_asked_once(server, tmp_path):
    url = server(good())
    told: list[tuple[int, int]] = []
    assert fetch(url, tmp_path / "d", progress=lambda *at: told.append(at)) == CONTENT
    assert len(server.seen) == 1 and told[-1] == (len(CONTENT), len(CONTENT)) and told == sorted(told)


@pytest.mark.parametrize("stops", [[1], [100_000], [16_384, 16_384, 1, 50_000], [0, 299_999]])
def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path, stops):
    url = server(*(good(stop=stop) for stop in stops), good())
    assert fetch(url, tmp_path / "d") == CONTENT
    asked = [int(seen["range"][6:-1]) for seen in server.seen[1:] if "range" in seen]
    assert asked == sorted(asked) and all(
        seen["if-range"] == '"v1"' for seen in server.seen if "range" in seen
    )
    assert asked[-1] == sum(stops)


def test_passing_troubles_are_retried_with_growing_jittered_pauses(server, tmp_path):
    url = server(status(500), status(502), hang_up, good())
    waits: list[float] = []
    assert fetch(url, tmp_path / "d", waits) == CONTENT
    assert len(waits) == 3 and all(2**n / 2 <= w <= 2**n for n, w in enumerate(waits, 1))


def test_retry_after_is_honoured_as_seconds_and_as_date(server, tmp_path):
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    url = server(status(503, Retry_After="33"), status(429, Retry_After=soon), good())
    waits: list[float] = []
    assert fetch(url, tmp_path / "d", waits) == CONTENT
    assert waits[0] == 33 and 50 < waits[1] <= 61


def test_an_absurd_retry_after_is_reported_instead_of_slept(server, tmp_path):
    waits: list[float] = []
    with pytest.raises(DownloadFailed, match="asks to wait 86400 s"):
        fetch(server(status(503, Retry_After="86400")), tmp_path / "d", waits)
    assert waits == []


def test_nonsense_in_retry_after_means_the_usual_pause(server, tmp_path):
    waits: list[float] = []
    assert fetch(server(status(503, Retry_After="soon, perhaps"), good()), tmp_path / "d", waits) == CONTENT
    assert 1 <= waits[0] <= 2


def test_a_server_that_stays_broken_ends_the_attempt(server, tmp_path):
    url = server(status(500))
    with pytest.raises(DownloadFailed, match="status 500"):
        fetch(url, tmp_path / "d")
    assert len(server.seen) == LIMITS.tries


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_refusals_are_not_retried(server, tmp_path, code):
    url = server(status(code))
    with pytest.raises(DownloadFailed, match=str(code)):
        fetch(url, tmp_path / "d")
    assert len(server.seen) == 1


def test_versions_are_never_mixed_when_the_file_changes_meanwhile(server, tmp_path):
    assert fetch(server(good(stop=100_000), good(OTHER, '"v2"')), tmp_path / "honest") == OTHER

    def spliced(h: Handler) -> None:  # ignores If-Range and sends the tail of another version
        start = int(h.headers["Range"][6:-1])
        h.head(
            206,
            ETag='"v2"',
            Content_Range=f"bytes {start}-{len(OTHER) - 1}/{len(OTHER)}",
            Content_Length=len(OTHER) - start,
        )
        h.wfile.write(OTHER[start:])

    assert fetch(server(good(stop=100_000), spliced, good(OTHER, '"v2"')), tmp_path / "liar") == OTHER


def test_a_server_that_ignores_ranges_starts_again(server, tmp_path):
    url = server(good(stop=100_000), good(ranges=False))
    assert fetch(url, tmp_path / "d") == CONTENT
    assert "range" in server.seen[1]


def test_a_wrong_range_is_thrown_away(server, tmp_path):
    def shifted(h: Handler) -> None:
        h.head(
            206, Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}", Content_Length=len(CONTENT) - 5
        )
        h.wfile.write(CONTENT[5:])

    assert fetch(server(good(stop=100_000), shifted, good()), tmp_path / "d") == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_resumed(server, tmp_path, etag):
    url = server(good(etag=etag, stop=100_000), good(OTHER, etag=etag))
    assert fetch(url, tmp_path / "d") == OTHER
    assert "range" not in server.seen[1]


def test_a_wrong_content_length_never_ends_in_an_endless_loop(server, tmp_path):
    def liar(h: Handler) -> None:
        h.head(200, Content_Length=len(CONTENT) + 1000, ETag='"v1"')
        h.wfile.write(CONTENT)

    url = server(liar, good())  # the next answer knows the true length: 416, and then all again
    assert fetch(url, tmp_path / "a") == CONTENT
    url = server(liar)
    with pytest.raises(DownloadFailed, match="did not arrive"):
        fetch(url, tmp_path / "b")
    assert len(server.seen) <= LIMITS.tries + 1


def chunked(h: Handler, whole: bool) -> None:
    h.protocol_version = "HTTP/1.1"
    h.head(200, Transfer_Encoding="chunked")
    for start in range(0, len(CONTENT), 50_000):
        part = CONTENT[start : start + 50_000]
        h.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if start >= 100_000 and not whole:
            return
    h.wfile.write(b"0\r\n\r\n")


def test_a_truncated_chunked_answer_is_noticed_without_a_length(server, tmp_path):
    url = server(lambda h: chunked(h, False), lambda h: chunked(h, True))
    assert fetch(url, tmp_path / "d") == CONTENT
    assert len(server.seen) == 2
    assert fetch(url, tmp_path / "d") == CONTENT
    assert len(server.seen) == 2  # known to be complete


def test_sizes_over_the_cap_are_refused_before_and_while_receiving(server, tmp_path):
    small = Limits(total=200_000, piece=16_384)
    with pytest.raises(DownloadFailed, match="announces 300000 bytes"):
        fetch(server(good()), tmp_path / "a", limits=small)
    with pytest.raises(DownloadFailed, match="more than 200000 bytes"):
        fetch(server(lambda h: chunked(h, True)), tmp_path / "b", limits=small)
    assert sum(p.stat().st_size for p in (tmp_path / "b").glob("*.piece")) <= 200_000


def test_a_dribbling_or_silent_server_does_not_hold_us_for_ever(server, tmp_path):
    def dribble(h: Handler) -> None:
        h.head(200, Content_Length=len(CONTENT), ETag='"v1"')
        for byte in CONTENT[:200]:
            h.wfile.write(bytes([byte]))
            h.wfile.flush()
            time.sleep(0.02)

    impatient = Limits(piece=16_384, patience=0.2, slowest=10_000, timeout=0.3)
    assert fetch(server(dribble, good()), tmp_path / "a", limits=impatient) == CONTENT
    silent = server(lambda h: time.sleep(1.0), good())
    assert fetch(silent, tmp_path / "b", limits=impatient) == CONTENT


def redirect(to: str) -> Answer:
    return lambda h: h.head(302, Location=to, Content_Length=0)


def test_redirects_are_followed_but_not_for_ever_and_not_to_other_schemes(server, tmp_path):
    target = server(good())
    assert fetch(server(redirect(target)), tmp_path / "a") == CONTENT
    with pytest.raises(DownloadFailed, match="302"):
        fetch(server(redirect("/again")), tmp_path / "b")
    assert len(server.seen) <= 6
    for scheme in ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"):
        with pytest.raises(DownloadFailed):
            fetch(server(redirect(scheme)), tmp_path / "c")


def test_an_encrypted_address_never_leads_to_a_plain_one():
    import urllib.request

    from sat2map.data.download import _Redirects

    request = urllib.request.Request("https://example.org/maps.tar.gz")
    with pytest.raises(DownloadFailed, match="less safe"):
        _Redirects().redirect_request(request, None, 302, "", {}, "http://example.org/maps.tar.gz")
    followed = _Redirects().redirect_request(request, None, 302, "", {}, "https://example.org/b")
    assert followed.full_url == "https://example.org/b"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "maps.tar.gz"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DownloadFailed, match="no http or https"):
        download(url, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_the_checksum_decides_and_a_wrong_file_is_not_kept(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(server(good()), tmp_path / "a", sha256=digest.upper()) == CONTENT
    url = server(good(OTHER), good())
    with pytest.raises(DownloadFailed, match=hashlib.sha256(OTHER).hexdigest()):
        fetch(url, tmp_path / "b", sha256=digest)
    assert fetch(url, tmp_path / "b", sha256=digest) == CONTENT


def test_an_interrupted_call_leaves_pieces_that_the_next_call_continues(server, tmp_path):
    url = server(good())

    class Killed(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done > 100_000:
            raise Killed

    with pytest.raises(Killed):
        fetch(url, tmp_path / "d", progress=stop)
    (tmp_path / "d" / "000000000999999.piece").write_bytes(b"behind a gap")
    assert fetch(url, tmp_path / "d") == CONTENT
    assert int(server.seen[1]["range"][6:-1]) >= 100_000


def test_pieces_of_another_address_are_not_continued(server, tmp_path):
    with pytest.raises(DownloadFailed):
        fetch(server(good(stop=1000), status(404)), tmp_path / "d")
    url = server(good(OTHER, '"v1"'))
    assert fetch(url, tmp_path / "d") == OTHER
    assert "range" not in server.seen[0]


def test_two_processes_do_not_fetch_into_one_folder(server, tmp_path):
    with locked(tmp_path / "d"), pytest.raises(RunLocked):
        fetch(server(good()), tmp_path / "d")
