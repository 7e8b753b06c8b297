"""The client against a server that misbehaves: whole answers, or an error that says why; polite in either case."""

import email.utils
import gzip
import hashlib
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

import sat2map
from badnet import (
    FakeClock,
    Faulty,
    Server,
    always,
    bomb,
    drip,
    drip_headers,
    endless,
    hang_up,
    in_turn,
    silence,
    to,
)
from sat2map.errors import BadAddress, DownloadFailed, TooMuchToFetch
from sat2map.network import Budget, Cache, Client, HostRules, Limits, Reply, Unacceptable
from sat2map.network.cache import DAY, expiry
from sat2map.network.pace import Pace, RetryBudget, Waiting, retry_after

FAST = Limits(rate=1000.0)


def client(server: Server, **options) -> Client:
    options.setdefault("limits", FAST)
    options.setdefault("clock", server.clock)
    rules = options.pop("rules", None) or HostRules([server.url()])
    return Client(rules, **options)


def whole(reply: Reply) -> None:
    """Content that knows its own checksum, in place of an image that can be decoded."""
    if hashlib.sha256(reply.body[:-64]).hexdigest().encode() != reply.body[-64:]:
        raise Unacceptable("not what it should be")


def content(path: str) -> bytes:
    body = path.encode() * 200
    return body + hashlib.sha256(body).hexdigest().encode()


def test_a_thousand_requests_of_which_a_third_fails_are_all_answered_with_few_more(tmp_path):
    clock, faulty = FakeClock(), Faulty(content, 0.3, seed=5)
    paths = [f"/{n}" for n in range(1000)]
    with Server(faulty, clock) as server, client(server) as asking, ThreadPoolExecutor(4) as pool:

        def get(path: str) -> bytes:
            return asking.get(server.url(path), kinds=("image/",), check=whole).body

        assert list(pool.map(get, paths)) == [content(path) for path in paths]
        assert len(faulty.told) <= 1500, "the retry budget"
        assert sum(map(bool, faulty.told)) > 0.25 * len(faulty.told), "it did misbehave"
        assert len(faulty.held) > 20
        assert all(n == 1 for n in faulty.delivered.values()), "what arrived whole was not asked for again"
        early = [
            (path, told, seen.at)
            for path, told, until in faulty.held
            for seen in server.seen
            if seen.path == path and told < seen.at < until
        ]
        assert early == [], "nobody came back before the time"


def test_the_whole_host_is_left_alone_for_as_long_as_it_asks():
    clock = FakeClock()
    held = to(always(b"fine"), busy=in_turn(always(b"", 429, Retry_After="60"), always(b"now")))
    with Server(held, clock) as server, client(server) as asking:
        start = clock.elapsed()
        assert asking.get(server.url("/busy")).body == b"now"
        assert clock.elapsed() >= start + 60
        asking.get(server.url("/other"))
        assert [s.path for s in server.seen] == ["/busy", "/busy", "/other"]


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_up_to_a_limit(form):
    clock = FakeClock()

    def wait(seconds: float) -> str:
        return (
            f"{seconds:.0f}"
            if form == "seconds"
            else email.utils.formatdate(clock.now() + seconds, usegmt=True)
        )

    answer = to(
        always(b"", 503, Retry_After=wait(86_400)),
        soon=in_turn(always(b"", 503, Retry_After=wait(45)), always(b"ok")),
    )
    with Server(answer, clock) as server, client(server) as asking:
        start = clock.elapsed()
        assert asking.get(server.url("/soon")).body == b"ok"
        assert 44 <= clock.elapsed() - start < 47
        with pytest.raises(DownloadFailed, match=r"asks to wait 86[34]"):
            asking.get(server.url("/never"))
        assert clock.elapsed() - start < 47


def test_retry_after_that_says_nothing_is_nothing():
    assert retry_after("soon") is None and retry_after(None) is None and retry_after("") is None
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 2e9) == 0.0
    assert retry_after("120") == 120


def test_the_rate_is_kept_and_pauses_grow():
    clock = FakeClock()
    with Server(always(b"x"), clock) as server, client(server, limits=Limits(rate=8)) as asking:
        start = clock.elapsed()
        for n in range(41):
            asking.get(server.url(f"/{n}"))
        assert clock.elapsed() - start >= 40 / 8 - 1e-6
    clock = FakeClock()
    with Server(in_turn(*[always(b"", 500)] * 5, always(b"x")), clock) as server, client(server) as asking:
        asking.get(server.url())
        pauses = [s for s in clock.slept if s > 0.1]
        assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses)) and len(pauses) == 5


def test_threads_share_the_rate():
    clock = FakeClock()
    pace = Pace(10, Waiting(clock))
    turns: list[float] = []

    def work() -> None:
        for _ in range(20):
            pace.wait()
            turns.append(clock.elapsed())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.elapsed() >= 1000 + 79 / 10 - 1e-6


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 451])
def test_refusals_are_final(status):
    with Server(always(b"no", status), FakeClock()) as server, client(server) as asking:
        with pytest.raises(DownloadFailed, match=str(status)):
            asking.get(server.url())
        assert len(server.seen) == 1
        assert asking.get(server.url(), also={status}).status == status


def test_a_server_in_trouble_is_not_given_more_of_it():
    clock = FakeClock()
    limits = Limits(rate=1000, reserve=5, share=0.1, failures=10_000)
    with Server(always(b"", 500), clock) as server, client(server, limits=limits) as asking:
        for n in range(100):
            with pytest.raises(DownloadFailed):
                asking.get(server.url(f"/{n}"))
        assert len(server.seen) <= 100 + 5 + 0.1 * 100 + 1
    with Server(always(b"", 500), clock) as server, client(server) as asking:
        with pytest.raises(DownloadFailed, match="10 times"):
            asking.get(server.url())
        with pytest.raises(DownloadFailed, match="12 times in a row"):
            asking.get(server.url())
        assert len(server.seen) == 12, "stopped at once"


def test_the_retry_budget_is_a_reserve_and_a_share():
    budget = RetryBudget(2, 0.5)
    assert [budget.retry() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        budget.request()
    assert [budget.retry() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("trouble", [drip, drip_headers, silence])
def test_time_is_up_whatever_the_server_does(trouble):
    limits = Limits(rate=1000, tries=1, silence=0.6, total=0.6, connect=0.2)
    with Server(trouble) as server, client(server, limits=limits) as asking:
        start = time.monotonic()
        with pytest.raises(DownloadFailed):
            asking.get(server.url())
        assert time.monotonic() - start < 2.0
        server.answer = always(b"fine")  # and the thread is of use again
        assert asking.get(server.url()).body == b"fine"


def test_lengths_are_not_believed():
    def longer(handler, seen, number):
        handler.send(b"abc", Content_Length=5)
        handler.end()

    with Server(in_turn(longer, always(b"abcde")), FakeClock()) as server, client(server) as asking:
        assert asking.get(server.url()).body == b"abcde"

    def headless(handler, seen, number):  # ends within its headers: no answer, and not an empty one
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
        handler.end()

    with Server(in_turn(headless, always(b"x")), FakeClock()) as server, client(server) as asking:
        assert asking.get(server.url()).body == b"x"

    def smuggled(handler, seen, number):  # the rest of this answer looks like an answer to the next request
        handler.begin(200, Content_Length=2)
        handler.wfile.write(b"okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    with Server(in_turn(smuggled), FakeClock()) as server, client(server) as asking:
        assert asking.get(server.url("/a")).body == b"ok"
        server.answer = always(b"good")
        time.sleep(0.05)
        assert asking.get(server.url("/b")).body == b"good"


def test_answers_that_grow_are_cut_off():
    with Server(to(bomb, endless=endless), FakeClock()) as server, client(server) as asking:
        tracemalloc.start()
        for path in ("/bomb", "/endless"):
            with pytest.raises(DownloadFailed, match="more than 16,777,216 bytes"):
                asking.get(server.url(path))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The server of the test is in the same process and packs 100 MB.
        assert len(server.seen) == 2
        assert peak < 160 << 20
    server = Server(always(b"x" * 1000), FakeClock())
    with (
        server,
        client(server, limits=Limits(body=999)) as asking,
        pytest.raises(DownloadFailed, match="999"),
    ):
        asking.get(server.url())


def test_packed_answers_are_unpacked():
    packed = always(gzip.compress(b"<a/>" * 1000), Content_Encoding="gzip")
    with Server(packed, FakeClock()) as server, client(server) as asking:
        assert asking.get(server.url()).body == b"<a/>" * 1000


def test_the_wrong_kind_of_answer_is_asked_for_again_a_few_times_and_never_kept(tmp_path):
    html = always(b"<html>", Content_Type="text/html", Cache_Control="max-age=1000")
    cache = Cache(tmp_path)
    with Server(html, FakeClock()) as server, client(server, cache=cache) as asking:
        with pytest.raises(DownloadFailed, match="text/html, not image/"):
            asking.get(server.url(), kinds=("image/",))
        assert len(server.seen) == 6
        assert not list(tmp_path.rglob("*.entry"))
        assert asking.get(server.url()).body == b"<html>"  # as a document it is right
        with pytest.raises(DownloadFailed, match="text/html"):
            asking.get(server.url(), kinds=("image/",))  # and kept as such


def test_it_says_who_it_is():
    with Server(always(b""), FakeClock()) as server, client(server) as asking:
        asking.get(server.url())
        assert server.seen[0].headers["user-agent"].startswith(f"sat2map/{sat2map.__version__} ")
        assert server.seen[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_connections_are_used_again():
    ports: list[int] = []

    def note(handler, seen, number):
        ports.append(handler.client_address[1])
        handler.send(b"x", 404 if seen.path == "/3" else 200)

    with Server(note, FakeClock()) as server, client(server) as asking:
        for n in range(6):
            asking.get(server.url(f"/{n}"), also={404})
    assert len(set(ports)) == 1


def test_a_server_that_closes_idle_connections_is_connected_to_anew():
    def last(handler, seen, number):
        handler.send(b"x")
        handler.end()

    with Server(last, FakeClock()) as server, client(server, limits=Limits(rate=1000, tries=1)) as asking:
        for n in range(5):
            assert asking.get(server.url(f"/{n}")).body == b"x"
            time.sleep(0.02)
    server, dropped = Server(hang_up, FakeClock()), pytest.raises(DownloadFailed, match="connection to 127")
    with server, client(server, limits=Limits(tries=1)) as asking, dropped:
        asking.get(server.url())


def test_nobody_at_home():
    with Server(always(b"")) as server:
        address = server.url()
    asking = Client(HostRules([address]), limits=Limits(tries=2), clock=FakeClock())
    with asking, pytest.raises(DownloadFailed, match="no connection"):
        asking.get(address)


# -- cache ------------------------------------------------------------------------------------------------------


def test_fresh_answers_are_not_asked_for_and_stale_ones_only_whether_they_changed(tmp_path):
    clock, versions = FakeClock(), [b"one", b"two"]

    def answer(handler, seen, number):
        tag = f'"{versions[0].decode()}"'
        if seen.headers.get("if-none-match") == tag:
            return handler.send(b"", 304, Cache_Control="max-age=100", ETag=tag)
        return handler.send(versions[0], ETag=tag, Cache_Control="max-age=100")

    with Server(answer, clock) as server, client(server, cache=Cache(tmp_path)) as asking:

        def get() -> tuple[bytes, int]:
            return asking.get(server.url()).body, len(server.seen)

        assert [get(), get()] == [(b"one", 1)] * 2
        clock.sleep(101)
        assert [get(), get()] == [(b"one", 2)] * 2, "304, and fresh again"
        clock.sleep(101)
        versions.pop(0)
        assert [get(), get()] == [(b"two", 3)] * 2
    with Server(answer, clock) as server, client(server, cache=Cache(tmp_path)) as asking:
        assert get() == (b"two", 1), "another port is another address"


def test_a_damaged_entry_is_no_entry(tmp_path):
    with Server(always(b"precious", Cache_Control="max-age=9"), FakeClock()) as server:
        cache = Cache(tmp_path)
        with client(server, cache=cache) as asking:
            asking.get(server.url())
            (entry,) = tmp_path.rglob("*.entry")
            data = bytearray(entry.read_bytes())
            for position in range(len(data)):
                flipped = data.copy()
                flipped[position] ^= 1
                entry.write_bytes(flipped)
                found = cache.find(server.url())
                assert found is None or found[1] == b"precious", (
                    "damage to the head may go unseen, to the body never"
                )
            for garbage in (b"", b"{}", b"\n", b"null\nprecious"):
                entry.write_bytes(garbage)
                assert asking.get(server.url()).body == b"precious"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "public, MAX-AGE=60", "age": "20"}, 40),
        ({"cache-control": 'max-age="60"', "expires": "0"}, 60),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "no-store"}, None),
        ({"vary": "*"}, None),
        ({"expires": "0"}, 0),
        ({"date": "Tue, 14 Nov 2023 22:13:20 GMT", "expires": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60),
        ({"last-modified": "Tue, 14 Nov 2023 22:03:20 GMT"}, 60),
        ({"last-modified": "Tue, 14 Nov 1995 22:03:20 GMT"}, DAY),
        ({}, 0),
        ({"cache-control": "max-age=banana"}, 0),
    ],
)
def test_how_long_an_answer_is_fresh(headers, seconds):
    now = 1_700_000_000.0  # 2023-11-14 22:13:20
    assert expiry(headers, now) == (None if seconds is None else pytest.approx(now + seconds))


def test_a_full_cache_forgets_the_oldest(tmp_path):
    import os

    cache = Cache(tmp_path, size=5000)
    for n in range(10):
        cache.keep(f"http://host/{n}", "shown", {"cache-control": "max-age=9"}, bytes(900), float(n))
        newest = max(tmp_path.rglob("*.entry"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (n, n))
    cache.trim()
    kept = [n for n in range(10) if cache.find(f"http://host/{n}")]
    assert kept and kept == list(range(kept[0], 10)) and kept[0] >= 4


# -- caps -------------------------------------------------------------------------------------------------------


def test_caps_survive_restarts(tmp_path):
    journal, served = tmp_path / "spent.txt", 0
    with Server(always(b"x" * 100), FakeClock()) as server:
        for _ in range(4):  # a process that starts again and again
            with client(server, budget=Budget(requests=10, journal=journal)) as asking:
                for n in range(3):
                    if served < 10:
                        asking.get(server.url(f"/{n}"))
                        served += 1
                        continue
                    with pytest.raises(TooMuchToFetch, match="10 requests were used, and 10 are allowed"):
                        asking.get(server.url(f"/{n}"))
        assert len(server.seen) == 10
        with client(server, budget=Budget(size=1200, journal=journal)) as asking:
            asking.get(server.url())
            asking.get(server.url())
            with pytest.raises(TooMuchToFetch, match="1,200 bytes"):
                asking.get(server.url())
    with journal.open("ab") as file:
        file.write(b"requ")  # torn by a kill
    assert Budget(journal=journal).requests == 12


# -- redirects --------------------------------------------------------------------------------------------------


def redirect(where: str, status: int = 302):
    return always(b"", status, Location=where)


def test_redirects_are_followed_on_the_host_itself_and_not_for_ever():
    answer = to(always(b"there"), a=redirect("b"), b=redirect("/c", 308), loop=redirect("/loop"))
    with Server(answer, FakeClock()) as server, client(server) as asking:
        assert asking.get(server.url("/a")).body == b"there"
        with pytest.raises(DownloadFailed, match="redirects more than 5 times"):
            asking.get(server.url("/loop"))
        assert len(server.seen) == 3 + 6


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://localhost:1/",
        "http://[::1]/",
        "//example.org/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:22/",
    ],
)
def test_redirects_lead_nowhere_else(where):
    with Server(redirect(where), FakeClock()) as server, client(server) as asking:
        with pytest.raises(BadAddress, match="redirects"):
            asking.get(server.url())
        assert len(server.seen) == 1


def test_a_redirect_to_a_host_that_was_named_is_followed():
    with Server(always(b"secret"), FakeClock()) as inner, Server(redirect(inner.url()), FakeClock()) as outer:
        with client(outer) as asking, pytest.raises(BadAddress, match=f"--allow-host 127.0.0.1:{inner.port}"):
            asking.get(outer.url())
        assert inner.seen == []
        rules = HostRules([outer.url()], [f"127.0.0.1:{inner.port}"])
        with client(outer, rules=rules) as asking:
            assert asking.get(outer.url()).body == b"secret"
