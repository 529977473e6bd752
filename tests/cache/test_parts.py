"""Directives, values on the wire to Redis, and the breaker."""

from __future__ import annotations

import pytest

from helix.cache.breaker import Breaker
from helix.cache.directives import Directives, read_directives
from helix.kernel.errors import BackendUnavailable, InvalidRequest


def read(**headers: str) -> Directives:
    return read_directives([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()])


def test_nothing_said() -> None:
    """Other headers say nothing."""
    assert read(accept="*/*", authorization="Bearer x") == Directives()


def test_everything_said() -> None:
    """Each directive is read, whatever its case; unknown ones in Cache-Control are ignored."""
    said = read(
        cache_control="No-Transform, MAX-AGE=60, only-if-cached, min-fresh=5",
        x_helix_cache_tags="faq, v2:eu/west ,faq,",
        x_helix_cache_namespace="team-a.v2",
        x_helix_cache_ttl="30",
        x_helix_cache_threshold="0.97",
        openai_beta="b",
        anthropic_beta="a",
    )
    assert said == Directives(
        max_age_seconds=60,
        only_if_cached=True,
        tags=("faq", "v2:eu/west"),
        namespace="team-a.v2",
        ttl_seconds=30,
        threshold=0.97,
        variant=("anthropic-beta: a", "openai-beta: b"),
    )


def test_no_store_and_no_cache() -> None:
    """`no-store` neither reads nor stores, `no-cache` stores."""
    assert (read(cache_control="no-store").reads, read(cache_control="no-store").stores) == (False, False)
    assert (read(cache_control="no-cache").reads, read(cache_control="no-cache").stores) == (False, True)


def test_the_stricter_of_two_orders() -> None:
    """Repeated headers add up: the least age, every tag."""
    said = read_directives(
        [
            (b"cache-control", b"max-age=60, max-age=90"),
            (b"cache-control", b"max-age=30, no-cache"),
            (b"x-helix-cache-tags", b"a"),
            (b"x-helix-cache-tags", b"b,a"),
        ]
    )
    assert (said.max_age_seconds, said.reads, said.stores, said.tags) == (30, False, True, ("a", "b"))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("cache-control", "max-age=soon"),
        ("cache-control", "max-age=-1"),
        ("cache-control", "max-age"),
        ("x-helix-cache-namespace", "a b"),
        ("x-helix-cache-namespace", ""),
        ("x-helix-cache-namespace", "a*"),
        ("x-helix-cache-namespace", "x" * 65),
        ("x-helix-cache-ttl", "0"),
        ("x-helix-cache-ttl", "1.5"),
        ("x-helix-cache-ttl", "9" * 400),
        ("x-helix-cache-tags", "a b"),
        ("x-helix-cache-tags", "a,b\xe9"),
        ("x-helix-cache-tags", "*"),
        ("x-helix-cache-tags", "x" * 65),
        ("x-helix-cache-tags", ",".join(f"t{number}" for number in range(17))),
        ("x-helix-cache-threshold", "high"),
        ("x-helix-cache-threshold", "1.1"),
        ("x-helix-cache-threshold", "nan"),
    ],
)
def test_wrong_values(header: str, value: str) -> None:
    """A wrong value is an error that names the header and does not repeat the value."""
    with pytest.raises(InvalidRequest) as raised:
        read_directives([(header.encode(), value.encode())])
    assert header in raised.value.message
    assert raised.value.param == header


def test_the_stricter_of_two_headers() -> None:
    """A header that is said twice cannot lengthen or loosen what it has said, nor name two caches."""
    for ttls in (("5", "500"), ("500", "5")):
        assert read_directives([(b"x-helix-cache-ttl", ttl.encode()) for ttl in ttls]).ttl_seconds == 5
    for least in (("0.9", "0.7"), ("0.7", "0.9")):
        assert read_directives([(b"x-helix-cache-threshold", one.encode()) for one in least]).threshold == 0.9
    assert read_directives([(b"x-helix-cache-namespace", b"a")] * 2).namespace == "a"
    with pytest.raises(InvalidRequest, match="once"):
        read_directives([(b"x-helix-cache-namespace", b"a"), (b"x-helix-cache-namespace", b"b")])


def test_breaker() -> None:
    """After a failure one call in each pause is let through; a success lets all through."""
    now = 100.0
    breaker = Breaker("it", pause_seconds=1.0, clock=lambda: now)
    assert breaker.admits()
    breaker.failed(BackendUnavailable("gone"))
    assert not breaker.admits()
    now += 1.0
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.failed(BackendUnavailable("gone"))
    now += 0.9
    assert not breaker.admits()
    now += 0.1
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits(), breaker.admits()] == [True, True]
