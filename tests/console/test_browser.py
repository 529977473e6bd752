"""The console in a real browser, over the administration API on the real engine."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from helix import admin, console
from helix.cache import CacheMiddleware
from helix.cache.contents import CacheContents
from helix.cache.promise.given import Given, remember
from helix.cache.promise.learning import EVERYWHERE, Promise
from helix.cache.redis import RedisCacheStore
from helix.console.format import count, percent, usd
from helix.kernel.errors import BackendUnavailable, Unauthenticated
from helix.kernel.exchange import credential_of
from helix.kernel.types import Evidence, Principal, Scope
from helix.redact import Policy, explain
from helix.telemetry.clickhouse import ClickHouse
from helix.telemetry.log import RequestLog
from helix.telemetry.row import NAMES, Row
from tests.admin.entries import Letters, put
from tests.admin.rows import row
from tests.redact.apps import FixedDetector

KEY = "sk-hx-master-of-the-test"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's chromium"),
]


@dataclass
class Outage:
    """Whether the record of requests is down."""

    is_on: bool = False


class Breakable:
    """A ClickHouse that the test can take away."""

    def __init__(self, store: ClickHouse, outage: Outage) -> None:
        self._store, self._outage = store, outage

    async def query(self, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
        if self._outage.is_on:
            raise BackendUnavailable("ClickHouse cannot be used now")
        return await self._store.query(sql, parameters)


@dataclass
class Browser:
    """A page, the server it looks at, what stands behind that, and every address that the page asked for."""

    page: Page
    url: str
    api: httpx.AsyncClient
    store: ClickHouse
    outage: Outage
    cache: RedisCacheStore
    addresses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _inserts: int = 0

    async def record(self, *rows: Row) -> None:
        """Write rows as the telemetry stage does."""
        self._inserts += 1
        await self.store.insert(NAMES, rows, f"t{self._inserts}")

    async def sign_in(self, key: str = KEY) -> None:
        await self.page.goto(self.url)
        await self.page.fill("#key", key)
        await self.page.click("button[type=submit]")

    async def metric(self, name: str) -> str:
        return await self.page.inner_text(f'[data-metric="{name}"]')


@pytest_asyncio.fixture
async def browser(
    serve: Callable[..., Awaitable[str]], tmp_path: Path, redis_url: str, redis_prefix: str
) -> AsyncIterator[Browser]:
    async def authorize(scope: Scope) -> Principal:
        if credential_of(scope) != KEY:
            raise Unauthenticated("the API key is not known")
        return Principal("master", is_admin=True)

    store, outage = ClickHouse(tmp_path / "chdb"), Outage()
    await store.open()
    redact = partial(explain, FixedDetector(PERSON=["Jane <b>"]), policy=Policy({}, "placeholder"))
    log = RequestLog(Breakable(store, outage))
    cache = RedisCacheStore(redis_url, prefix=redis_prefix, timeout_seconds=30)
    inside = Starlette()  # nobody asks through it
    stage = CacheMiddleware(inside, store=cache, embedder=Letters())
    contents = CacheContents(cache.catalog, embedder=Letters(), stage=lambda: stage)
    api_url = await serve(admin.build(authorize=authorize, log=log, redact=redact, cache=contents))
    built = await asyncio.to_thread(console.build, api_url=api_url, api_key=KEY)
    url = await serve(Starlette(routes=[Mount("/console", app=built)])) + "/console/"
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as chromium,
        httpx.AsyncClient(base_url=api_url, headers=headers, trust_env=False) as api,
    ):
        page = await chromium.new_page()
        made = Browser(page, url, api, store, outage, cache)
        page.on("request", lambda request: made.addresses.append(request.url))
        page.on("pageerror", lambda error: made.faults.append(str(error)))
        page.on("dialog", lambda dialog: made.faults.append("a dialog"))
        yield made
    await built.close()
    await stage.close()
    await store.close()
    await cache.flush()
    await cache.close()


async def test_the_page_shows_what_the_api_says(browser: Browser) -> None:
    """Every tile, percentile, kind of personal data and latest request equals the administration API's."""
    await browser.record(
        *(
            row(request_model="gpt-4o", cache_status="miss", cost_nano_usd=3_456_000, input_tokens=900)
            for _ in range(7)
        ),
        *(row(request_model="gpt-4o", cache_status="exact", saved_nano_usd=3_456_000) for _ in range(3)),
        row(request_model="demo/echo", cache_status="miss", redactions={"EMAIL_ADDRESS": 2, "PERSON": 1}, restored=2),
        row(request_model="demo/echo", status=502, error_code="upstream_error", ago=timedelta(minutes=5)),
    )
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    told = (await browser.api.get("/helix/overview?since=1h")).json()
    assert await browser.metric("requests") == count(told["requests"]) == "12"
    assert await browser.metric("hit_rate") == percent(told["hit_rate"])
    assert await browser.metric("cost_usd") == usd(told["cost_usd"])
    assert await browser.metric("saved_usd") == usd(told["saved_usd"])
    assert await browser.metric("redactions") == count(sum(told["redactions"].values())) == "3"
    for kind, amount in told["redactions"].items():
        assert await browser.page.inner_text(f'[data-kind="{kind}"] b') == count(amount)
    rows = (await browser.api.get("/helix/requests?since=1h&limit=25")).json()["data"]
    shown = await browser.page.eval_on_selector_all("[data-request]", "all => all.map(one => one.dataset.request)")
    assert shown == [one["request_id"] for one in rows]
    bars = await browser.page.locator(".hx-plot > div").count()
    assert bars == len(told["slices"])
    assert browser.faults == []


async def test_the_page_updates_by_itself(browser: Browser) -> None:
    """A request that is recorded while somebody looks appears without a reload; from empty, too."""
    await browser.sign_in()
    await browser.page.wait_for_selector(".hx-empty")
    line = await browser.page.inner_text(".hx-empty code")
    assert line.startswith(f"curl {browser.url.removesuffix('/console/')}/v1/chat/completions")
    await browser.record(row(request_model="demo/echo"))
    await browser.page.wait_for_selector("[data-request]")
    assert await browser.metric("requests") == "1"
    await browser.record(row(request_model="demo/echo"))
    await browser.page.wait_for_function("document.querySelector('[data-metric=requests]').textContent === '2'")
    loads = [address for address in browser.addresses if address == browser.url]
    assert len(loads) <= 2  # before and after signing in


async def test_the_time_that_is_looked_at_can_be_chosen(browser: Browser) -> None:
    """A longer span counts older requests."""
    await browser.record(row(), row(ago=timedelta(hours=3)))
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    assert await browser.metric("requests") == "1"
    await browser.page.get_by_text("24 h", exact=True).click()
    await browser.page.wait_for_function("document.querySelector('[data-metric=requests]').textContent === '2'")


async def test_nothing_is_asked_of_the_internet(browser: Browser) -> None:
    """Every address that login, page, assets and updates ask for is on this machine."""
    await browser.record(row())
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    await browser.record(row())
    await browser.page.wait_for_function("document.querySelector('[data-metric=requests]').textContent === '2'")
    hosts = {urlsplit(address).hostname for address in browser.addresses if not address.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}
    assert len(browser.addresses) > 10
    assert not any("/queue/" in address for address in browser.addresses)


async def test_a_wrong_key_is_refused(browser: Browser) -> None:
    """The form says so, and the page stays closed."""
    await browser.sign_in("sk-hx-guess")
    assert await browser.page.inner_text('[role="alert"]') == "This is not the master key."
    await browser.page.goto(browser.url)
    assert browser.page.url.endswith("/console/login")


async def test_names_from_outside_are_only_text(browser: Browser) -> None:
    """Neither HTML nor Gradio's templates run what somebody called a key or a model."""
    name = "<img src=x onerror=alert(1)>${alert(2)}{{alert(3)}}"
    await browser.record(row(key_name=name, request_model=name))
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    assert name in await browser.page.inner_text("#hx-requests")
    assert name in await browser.page.inner_text("#hx-models")
    assert browser.faults == []


async def test_redaction_can_be_tried(browser: Browser) -> None:
    """What was found in a text, what is done with it and what goes out; what it says is only text."""
    await browser.sign_in()
    await browser.page.fill("#hx-try textarea", "I am Jane <b>, bold")
    await browser.page.click("#hx-explain")
    await browser.page.wait_for_selector('[data-found="PERSON"]')
    assert await browser.page.inner_text("#hx-explained mark") == "Jane <b>"
    assert await browser.page.inner_text("#hx-goes-out") == "I am <PERSON_1>, bold"
    cells = await browser.page.eval_on_selector_all("[data-found] td", "all => all.map(one => one.textContent)")
    assert cells == ["Jane <b>", "Person", "placeholder", "<PERSON_1>", "1.00", "fixed"]
    assert browser.faults == []


async def choose(browser: Browser, what: str, value: str = "") -> None:
    """Say which entries are meant."""
    await browser.page.click("#hx-cache-what input")
    await browser.page.get_by_role("option", name=what, exact=True).click()
    await browser.page.fill("#hx-cache-value textarea, #hx-cache-value input", value)


async def entries(browser: Browser) -> list[str]:
    """The entries that are shown, in order."""
    shown: list[str] = await browser.page.eval_on_selector_all(
        "[data-entry]", "all => all.map(one => one.dataset.entry)"
    )
    return shown


async def told(browser: Browser, text: str) -> None:
    """Wait until the cache's part says something."""
    await browser.page.locator("#hx-cache-told", has_text=text).wait_for()


async def test_cached_answers_are_counted_before_they_are_removed(browser: Browser) -> None:
    """What the cache holds, what was given most often, and removing by tag: the button is for what was counted."""
    first = await put(browser.cache, 1, tags=("a",), text="Where is <ORDER_ID_1>?")
    second = await put(browser.cache, 2, tags=("b",), asked_model="<img src=x onerror=alert(1)>${alert(2)}")
    await browser.cache.catalog.used({(second, ""): 3})
    await browser.sign_in()
    await browser.page.click("#hx-cache-show")
    await browser.page.wait_for_selector("[data-entry]")
    assert await browser.metric("cache_entries") == "2"
    assert await entries(browser) == [first, second]
    assert "Where is <ORDER_ID_1>?" in await browser.page.inner_text("#hx-cache-entries")
    assert "onerror" in await browser.page.inner_text("#hx-cache-entries")
    await choose(browser, "Most used")
    await browser.page.click("#hx-cache-show")
    await browser.page.wait_for_function("document.querySelectorAll('[data-entry]').length === 1")
    assert await entries(browser) == [second]

    assert await browser.page.locator("#hx-cache-remove").count() == 0
    await choose(browser, "Tag", "a")
    await browser.page.click("#hx-cache-count")
    await told(browser, "1 would be removed.")
    assert await browser.page.inner_text("#hx-cache-remove") == "Remove 1"
    await browser.page.fill("#hx-cache-value textarea, #hx-cache-value input", "b")
    await browser.page.locator("#hx-cache-remove").wait_for(state="detached")
    assert (await browser.api.get("/helix/cache")).json()["entries"] == 2
    await browser.page.click("#hx-cache-count")
    await told(browser, "1 would be removed.")
    await browser.page.click("#hx-cache-remove")
    await told(browser, "1 removed.")
    assert [one["id"] for one in (await browser.api.get("/helix/cache/entries")).json()["data"]] == [first]
    assert browser.faults == []


async def test_an_answer_from_near_is_marked_wrong(browser: Browser) -> None:
    """The button of its row removes it and counts it, once; the precision is the API's. Other rows have no button."""
    entry = await put(browser.cache, 1, text="Where is it?")
    near = row(cache_status="semantic", cache_entry=entry, cache_similarity=0.97)
    request = near[NAMES.index("request_id")]
    await remember(Given(entry, time.time(), "s@letters", 20, Evidence(), request), browser.cache)
    window = int(time.time() / (Promise().window_days * 86_400))
    await browser.cache.tally(f"{EVERYWHERE}:{window}", {"n": 50, "a20": 40, "c20": 9}, ttl_seconds=60)
    await browser.record(near, row(cache_status="exact"))
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-wrong]")
    assert await browser.page.locator("[data-wrong]").count() == 1
    assert await browser.metric("precision") == percent(1.0)
    await browser.page.click(f'[data-wrong="{request}"]')
    await browser.page.locator("#hx-marked", has_text="the answer is removed").wait_for()
    assert (await browser.api.get("/helix/cache")).json()["entries"] == 0
    found = (await browser.api.get("/helix/cache/precision")).json()
    assert (found["checks"], found["wrong"]) == (10, 1)
    await browser.page.locator("#hx-precision", has_text=percent(found["precision_low"])).wait_for()
    assert await browser.metric("precision") == percent(found["precision"]) == percent(0.9)
    await browser.page.click(f'[data-wrong="{request}"]')
    await browser.page.locator("#hx-marked", has_text="marked before").wait_for()
    assert (await browser.api.get("/helix/cache/precision")).json() == found
    assert browser.faults == []


async def test_cached_answers_like_a_text(browser: Browser) -> None:
    """Listed with the similarity, counted, removed; and what is asked wrongly is said."""
    near = await put(browser.cache, 1, text="Where is my order?")
    await put(browser.cache, 2, text="zzz")
    await browser.sign_in()
    await choose(browser, "Similar to a text", "Where is the order?")
    await browser.page.click("#hx-cache-show")
    await browser.page.wait_for_selector("[data-entry]")
    assert await entries(browser) == [near]
    assert (await browser.page.inner_text("[data-entry] td")).startswith("0.")
    await browser.page.click("#hx-cache-count")
    await browser.page.click("#hx-cache-remove")
    await told(browser, "1 removed.")
    assert (await browser.api.get("/helix/cache")).json()["entries"] == 1
    await choose(browser, "Latest")
    await browser.page.click("#hx-cache-count")
    await told(browser, "Say what to remove")
    await choose(browser, "Tag", "")
    await browser.page.click("#hx-cache-count")
    await told(browser, "'tag'")
    assert browser.faults == []


async def test_an_outage_is_said_and_ends(browser: Browser) -> None:
    """The page tells what the API says is wrong, and recovers by itself."""
    await browser.record(row())
    browser.outage.is_on = True
    await browser.sign_in()
    await browser.page.wait_for_selector(".hx-notice")
    assert "ClickHouse cannot be used now" in await browser.page.inner_text(".hx-notice")
    assert "Not updating" in await browser.page.inner_text("#hx-live")
    browser.outage.is_on = False
    await browser.page.wait_for_selector("[data-request]")


async def test_who_signs_out_or_expires_is_back_at_the_login(browser: Browser) -> None:
    """By the button; and where the session ends, the next update finds the login page."""
    await browser.record(row())
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    await browser.page.click(".hx-out")
    await browser.page.wait_for_selector("#key")
    await browser.sign_in()
    await browser.page.wait_for_selector("[data-request]")
    await browser.page.context.clear_cookies()
    await browser.page.wait_for_selector("#key")
