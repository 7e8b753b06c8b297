"""Requests go where the user said, tokens nowhere else, and neither the one nor the other can be talked out of it."""

import base64
import logging
import shutil
import ssl
import subprocess
import traceback
from urllib.parse import quote

import pytest

from badnet import FakeClock, Server, always, drip, hang_up, in_turn, to
from sat2map.errors import BadAddress, DownloadFailed, Sat2MapError
from sat2map.network import Address, Budget, Cache, Client, HostRules, Limits, Secrets, public
from sat2map.network.hosts import is_public

PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "ff02::1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fec0::1",
    "198.18.0.1", "192.0.2.1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_known_in_every_wrapping(address):
    assert not is_public(address)
    rules = HostRules(["http://tiles.example/"], resolver=lambda host, port: ["93.184.216.34", address])
    with pytest.raises(BadAddress, match="private network"):
        rules.addresses(Address.parse("http://tiles.example/1"))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_public_ones_are_too(address):
    assert is_public(address)
    rules = HostRules(["http://tiles.example/"], resolver=lambda host, port: [address])
    assert rules.addresses(Address.parse("http://tiles.example/1")) == [address]


def test_a_name_is_looked_up_once_so_it_cannot_change_its_mind():
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    rules = HostRules(["http://tiles.example/"], resolver=lambda host, port: answers.pop(0))
    address = Address.parse("http://tiles.example/1")
    assert rules.addresses(address) == rules.addresses(address) == ["93.184.216.34"]
    rules.forget(address)
    with pytest.raises(BadAddress, match="private network"):
        rules.addresses(address)


@pytest.mark.parametrize("host", ["tiles.example", "2130706433", "0x7f000001", "127.1", "017700000001"])
def test_a_name_for_a_machine_behind_the_firewall_is_refused_unless_it_was_allowed(host):
    """A canary listens: it hears nothing, but for the host that is allowed (the control)."""
    with Server(always(b"canary"), FakeClock()) as server:
        url = f"http://{host}:{server.port}/"
        for allowed in ((), (f"{host}:{server.port}",)):
            rules = HostRules([url], allowed, resolver=lambda host, port: ["127.0.0.1"])
            with Client(rules, clock=server.clock) as asking:
                if allowed:
                    assert asking.get(url).body == b"canary"
                    continue
                with pytest.raises(BadAddress, match=f"--allow-host {host}:{server.port}"):
                    asking.get(url)
                assert server.seen == []
        assert server.seen[0].headers["host"] == f"{host}:{server.port}"


def test_what_the_user_names_by_its_number_is_asked():
    with Server(always(b"mine"), FakeClock()) as server:
        for host in ("127.0.0.1", "localhost"):
            url = f"http://{host}:{server.port}/"
            with Client(HostRules([url]), clock=server.clock) as asking:
                assert asking.get(url).body == b"mine"


def test_other_hosts_and_other_ports_are_other_hosts():
    rules = HostRules(
        ["http://tiles.example/"], ["other.example:8443"], resolver=lambda host, port: ["93.184.216.34"]
    )
    for url in (
        "http://tiles.example/",
        "https://tiles.example/",
        "https://other.example:8443/",
        "http://TILES.example./x",
    ):
        rules.addresses(Address.parse(url))
    for url in (
        "http://tiles.example:8080/",
        "https://other.example/",
        "http://example/",
        "http://a.tiles.example/",
    ):
        with pytest.raises(BadAddress, match="did not name"):
            rules.addresses(Address.parse(url))
    with pytest.raises(BadAddress, match="in bulk"):
        HostRules(["https://a.tile.openstreetmap.org/"]).check(
            Address.parse("https://a.tile.openstreetmap.org/1")
        )


@pytest.mark.parametrize(
    "host", ["a b", "host/path", "host:port", "host:0", "", "-a", "ex\nample", "host:99999", "@x"]
)
def test_hosts_that_are_none_are_refused(host):
    with pytest.raises(BadAddress):
        HostRules([], [host])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://host/x", "//host/x", "host/x", "http://", "http:///x", "http://user:pass@host/",
        "http://host\\@evil/", "http://ho st/", "http://host/\r\nX: y", "http://host:0/", "http://host:99999/",
        "http://host:x/", "http://[::1", "http://-host/", "http://host/" + "a" * 9000, "gopher://host", "http://%31/",
    ],
)  # fmt: skip
def test_odd_addresses_are_refused(url):
    with pytest.raises(BadAddress):
        Address.parse(url)


def test_addresses_have_one_spelling():
    assert (
        Address.parse("HTTP://Tiles.Example:80/a b?q=é#x".replace(" ", "%20")).url
        == "http://tiles.example/a%20b?q=%C3%A9"
    )
    assert Address.parse("http://münchen.example/").host == "xn--mnchen-3ya.example"
    assert Address.parse("http://[::1]:8080/x").url == "http://[::1]:8080/x"


def test_what_is_shown_of_an_address_holds_no_keys():
    shown = public("https://user:pass@host/a?layer=x&key=abc&token={env:T}&empty=&z={z}#frag")
    assert shown == "https://host/a?layer=x&key=***&token={env:T}&empty=&z={z}"
    assert len(public("http://host/?a=" + "x" * 999)) <= 300 and "\n" not in public("http://host/\nx")


# -- tokens -----------------------------------------------------------------------------------------------------

CANARY = "c4n4ry+/T0k3n=4711"
FORMS = [
    CANARY,
    quote(CANARY, safe=""),
    quote(CANARY),
    base64.b64encode(CANARY.encode()).decode(),
    CANARY.encode().hex(),
    CANARY[:8],
]


def test_missing_and_malformed_tokens_are_said_without_their_values():
    with pytest.raises(BadAddress, match="no variable TOKEN"):
        Secrets.named_in("http://host/?key={env:TOKEN}", environ={})
    for value in ("", f"{CANARY}\n", f"{CANARY}\r\nHost: evil", "ünprintable"):
        with pytest.raises(BadAddress) as caught:
            Secrets.named_in("{env:TOKEN}", environ={"TOKEN": value})
        assert CANARY not in str(caught.value)


def test_a_token_reaches_its_server_and_nothing_else(tmp_path, caplog):
    """In the query and in a header; through refusals, troubles, redirects, time-outs, caches, journals and logs."""
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    troubles = to(
        always(b"fine", Cache_Control="max-age=60", ETag='"1"'), denied=always(b"", 401),
        busy=always(b"", 429), broken=always(b"", 500), reset=hang_up, slow=drip,
        html=always(b"<html>", Content_Type="text/html"),
        private=always(b"", 302, Location="http://10.0.0.1/?k=" + quote(CANARY, safe="")),
        late=always(b"", 503, Retry_After="99999"),
    )  # fmt: skip
    said: list[str] = []
    with Server(always(b"other"), clock) as other, Server(troubles, clock) as server:
        away = in_turn(always(b"", 302, Location=other.url("/landed")))
        home = server.url("/?key={env:TOKEN}")
        secrets = Secrets.named_in(home, environ={"TOKEN": CANARY})
        rules = HostRules([server.url()], [f"127.0.0.1:{other.port}"])
        limits = Limits(rate=1000, tries=2, total=0.3, connect=0.2, failures=99)
        with Client(
            rules, secrets=secrets, headers={"X-Key": "{env:TOKEN}"}, homes=[home], limits=limits,
            cache=Cache(tmp_path / "c"), budget=Budget(journal=tmp_path / "spent.txt"), clock=clock,
        ) as asking:  # fmt: skip
            assert asking.get(server.url("/ok?key={env:TOKEN}")).body == b"fine"
            assert server.seen[0].path == f"/ok?key={quote(CANARY, safe='')}"
            assert server.seen[0].headers["x-key"] == CANARY
            for path in ("denied", "busy", "broken", "reset", "slow", "html", "private", "late"):
                with pytest.raises(Sat2MapError) as caught:
                    asking.get(server.url(f"/{path}?key={{env:TOKEN}}"), kinds=("image/",))
                said += traceback.format_exception(caught.value)
                said += [repr(caught.value), str(caught.value.remedy)]
            server.answer = away
            assert asking.get(server.url("/away?key={env:TOKEN}")).body == b"other"
        assert "x-key" not in other.seen[0].headers
        assert "referer" not in other.seen[0].headers
    said += [record.getMessage() for record in caplog.records] + [caplog.text]
    assert any("/denied" in text for text in said)
    kept = [str(path) for path in tmp_path.rglob("*")]
    kept += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert any("/ok" in text for text in kept), "the cache was used"
    for form in FORMS:
        assert not any(form in text for text in [*said, *kept]), form


def test_without_the_mask_the_log_would_hold_it(caplog):
    """The control: the library that we use writes addresses into its log."""
    import urllib3

    caplog.set_level(logging.DEBUG)
    with Server(always(b"")) as server:
        urllib3.HTTPConnectionPool("127.0.0.1", server.port).request("GET", f"/?key={CANARY}")
    assert CANARY in caplog.text


def test_headers_go_to_one_origin_only():
    with Server(always(b"x"), FakeClock()) as home, Server(always(b"y"), FakeClock()) as other:
        rules = HostRules([home.url(), other.url()])
        with Client(
            rules, headers={"Authorization": "Bearer abcd"}, homes=[home.url()], clock=home.clock
        ) as asking:
            asking.get(home.url())
            asking.get(other.url())
    assert home.seen[0].headers["authorization"] == "Bearer abcd"
    assert "authorization" not in other.seen[0].headers


def test_a_server_without_tls_is_no_server_with_it():
    """A server that speaks no TLS at all fails as a connection does, and tells no more than it should."""
    with Server(always(b"x"), FakeClock()) as server:
        url = f"https://127.0.0.1:{server.port}/?key={CANARY}"
        asking = Client(HostRules([url]), limits=Limits(tries=2), clock=server.clock)
        with asking, pytest.raises(DownloadFailed) as caught:
            asking.get(url)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


# -- encryption and proxies -------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """A certificate for `localhost` that signs itself, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here: it makes the certificate of the test")
    path = tmp_path / "both.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", tmp_path / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return path


def test_certificates_are_checked_against_the_name_and_not_the_number(certificate, monkeypatch):
    """The connection goes to the address that was checked, and the certificate must be for the name all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(always(b"private"), FakeClock())
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        urls = {
            name: f"https://{name}:{server.port}/?key={CANARY}" for name in ("localhost", "other.example")
        }
        rules = HostRules(
            urls.values(), [f"other.example:{server.port}"], resolver=lambda host, port: ["127.0.0.1"]
        )
        with (
            Client(rules, clock=server.clock) as asking,
            pytest.raises(DownloadFailed, match="certificate") as caught,
        ):
            asking.get(urls["localhost"])
        assert CANARY not in "".join(traceback.format_exception(caught.value))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client(rules, clock=server.clock) as asking:
            assert asking.get(urls["localhost"]).body == b"private"
            with pytest.raises(DownloadFailed, match="certificate of other"):
                asking.get(urls["other.example"])
        assert len(server.seen) == 1, "only the one that was valid"


def test_a_proxy_of_the_environment_is_used_and_looks_up_names_itself(monkeypatch):
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name in this network")

    with Server(always(b"by proxy"), FakeClock()) as proxy, Server(always(b"direct"), FakeClock()) as direct:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.delenv("no_proxy", raising=False)
        urls = ["http://tiles.example/1", "http://10.0.0.1/"]
        rules = HostRules([urls[0], direct.url()], resolver=nobody)
        with Client(rules, clock=proxy.clock) as asking:
            assert asking.get(urls[0]).body == b"by proxy"
            assert asking.get(direct.url()).body == b"direct", "this machine needs no proxy"
            with pytest.raises(BadAddress, match="did not name"):
                asking.get(urls[1])
            monkeypatch.setenv("no_proxy", "tiles.example")
            with pytest.raises(DownloadFailed, match="no host tiles"):
                asking.get(urls[0])
        assert [seen.path for seen in proxy.seen] == ["http://tiles.example/1"]
