"""The cache stage: answers from earlier ones, and keeps what the provider says for later."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from helix.cache.directives import read_directives
from helix.cache.eligibility import Eligibility
from helix.cache.flight import Flight, Lease
from helix.cache.flight.flight import MAX_FLIGHT_BYTES
from helix.cache.guards import compare
from helix.cache.memory import MemoryCacheStore
from helix.cache.migration import Mover
from helix.cache.partition import Share, partition_by
from helix.cache.promise.answers import Answers
from helix.cache.promise.calibration import Calibration
from helix.cache.promise.checks import CheckBudget, ask_inside, judged_by
from helix.cache.promise.feedback import Marked
from helix.cache.promise.fit import LabelledPair
from helix.cache.promise.learning import Learning, Promise, Verdict
from helix.cache.replay import Reply
from helix.cache.stampede import Part, Sharing, Stampede
from helix.cache.storable import Storable
from helix.cache.tap import CacheTap
from helix.cache.tiers import Asked, Finding, Mode, Tiers
from helix.cache.translation import FORM
from helix.cache.uses import Uses
from helix.cache.veil import Cover, Pace, Veil, Watch
from helix.cache.whose import Whose
from helix.kernel.errors import BackendUnavailable, HelixError, NotCached
from helix.kernel.exchange import Exchange, open_exchange
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.reply import Guard, refuse
from helix.kernel.tap import HeaderList
from helix.kernel.types import ASGIApp, CacheStore, Embedder, Entry, Observer, Price, Receive, Scope, Send, Usage
from helix.kernel.wire import Dialect, dialect_of

__all__ = ["CacheMiddleware"]

log = logging.getLogger("helix.cache")

MAX_ANSWER_BYTES = 1024 * 1024
MAX_STORING = 1024


class CacheMiddleware:
    """Answer a request from an equal, or equivalent, earlier one.

    - `store`: a Redis URL, or any CacheStore; None is a MemoryCacheStore of this stage alone. A URL's connections are
      closed with the app; a store that is passed in is its owner's to close.
    - `embedder`: None builds a SentenceTransformerEmbedder of the installed model when the semantic tier is first used.
    - `mode`: "exact", "semantic", or "hybrid" for both, the exact tier first.
    - `promise`: how many requests may get a wrong answer from near, with which confidence, and how that is found out.
    - `threshold`: a cosine similarity below which nothing is served, whatever the promise would permit; callers may
      raise it by `x-helix-cache-threshold`. None leaves the promise's own.
    - `calibration`: what the embedder's similarities mean; None takes the one that comes with Helix for it, if any. One
      of another embedder, or of the same one run otherwise, is left aside with a warning.
    - `checks`: what comparing hits with the upstream's own answers may cost. A check is sent through `app`, in the
      background, as the caller.
    - `judge`: the model, as callers name it, that decides where words and vectors leave a doubt whether two answers say
      the same. None leaves the doubt, which counts against the promise.
    - `ttl_seconds`: how long an answer is kept; callers may shorten it by `x-helix-cache-ttl`.
    - `share`: whose requests share answers: those of one "key" (or credential), "user", "team", "organization", or of
      "everyone"; `partition`, in its stead, is a rule of one's own: callers for whom it gives the same text share.
    - `on_outage`: "pass" treats an outage as a miss, "refuse" replies 503.
    - `price`: what a model charges, for `x-helix-saved-usd`; None leaves the header out.
    - `secret`: what the keys of entries are digested under, so that nobody who reads them can guess what was asked; all
      processes that share a store need the same. Empty: digests that anybody can make.
    - `eligibility`: which requests may be answered by the answer to a near question.
    - `storable`: which answers are kept; by default complete ones in words.
    - `stampede`: how equal requests in flight at once share one upstream call (Sharing); False lets each make its own.
    - `veil`: hides from callers who share answers, in time and in headers, which replies are hits (Veil). None hides
      nothing.
    - `semantic_timeout_seconds`: most time that embedding and search together may take.
    - `migrated_texts_per_second`: how many questions that another embedder's vectors find are embedded anew in the
      background, once the app has started.
    - `max_answer_bytes`: larger answers are not stored.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: CacheStore | str | None = None,
        embedder: Embedder | None = None,
        mode: Mode = "hybrid",
        promise: Promise | None = None,
        threshold: float | None = None,
        calibration: Calibration | None = None,
        checks: CheckBudget | None = None,
        judge: str | None = None,
        ttl_seconds: float = 3600.0,
        share: Share = "key",
        partition: Callable[[Exchange], str] | None = None,
        on_outage: Literal["pass", "refuse"] = "pass",
        price: Price | None = None,
        observe: Observer | None = None,
        secret: str | bytes = "",
        eligibility: Eligibility | None = None,
        storable: Storable | None = None,
        stampede: Sharing | Literal[False] | None = None,
        veil: Veil | None = None,
        semantic_timeout_seconds: float = 1.0,
        migrated_texts_per_second: float = 20.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        if mode not in ("exact", "semantic", "hybrid"):
            raise ValueError(f"mode must be 'exact', 'semantic' or 'hybrid', not {mode!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold must be more than 0 and at most 1, not {threshold!r}")
        if on_outage not in ("pass", "refuse"):
            raise ValueError(f"on_outage must be 'pass' or 'refuse', not {on_outage!r}")
        for name, value in (
            ("ttl_seconds", ttl_seconds),
            ("semantic_timeout_seconds", semantic_timeout_seconds),
            ("migrated_texts_per_second", migrated_texts_per_second),
            ("max_answer_bytes", max_answer_bytes),
        ):
            if value <= 0:
                raise ValueError(f"{name} must be more than 0, not {value!r}")
        shared = partition_by(share)
        self.app = app
        self._store = _store_of(store)
        self._embedder = _embedder_of(embedder)
        self._tiers = Tiers(
            self._store,
            self._embedder,
            mode=mode,
            learning=partial(_learning, _promised(promise or Promise(), threshold), calibration),
            semantic_timeout_seconds=semantic_timeout_seconds,
            eligibility=eligibility or Eligibility(),
            secret=secret,
        )
        self._mode = mode
        self._storable = storable or Storable()
        self._ttl_seconds = ttl_seconds
        self._partition = partition or shared
        self._refuses = on_outage == "refuse"
        self._price = price
        self._observe = observe
        self._max_answer_bytes = max_answer_bytes
        self._mover = Mover(self._store, self._embedder, texts_per_second=migrated_texts_per_second)
        self._checks = checks or CheckBudget()
        self._judge = judge
        self._storing: set[asyncio.Task[Any]] = set()
        self._veil = veil
        self._clock = time.perf_counter if veil is None else veil.clock
        self._whose = Whose(secret)
        self._uses = Uses()
        self._stampede = Stampede(Sharing() if stampede is None else stampede) if stampede is not False else None

    async def open(self) -> None:
        """Connect, load the model, make the index. What is out is tried again by the requests that need it."""
        await self._tiers.open()
        if self._mode != "exact":
            self._mover.start()

    async def close(self) -> None:
        """Wait for what is being stored, then close what this stage opened itself."""
        await self._mover.stop()
        deadline = time.monotonic() + 5.0
        while self._storing and (left := deadline - time.monotonic()) > 0:  # what is stored is then learned from
            await asyncio.wait(self._storing, timeout=left)
        await self._tiers.tell()
        await self._uses.close()
        if self._stampede is not None:
            await self._stampede.close()
        await self._embedder.close()
        await self._store.close()

    async def precision(self) -> Mapping[str, Any]:
        """How right hits from near have been in all processes, with a 95 % interval. Raises BackendUnavailable."""
        return await self._tiers.precision()

    async def outcomes(self) -> tuple[str, list[LabelledPair]]:
        """What traffic has shown of near questions, and by which embedder, for calibration: numbers, no text.

        Raises BackendUnavailable.
        """
        return await self._tiers.outcomes()

    async def mark(self, verdict: Literal["right", "wrong"], *, request: str = "", entry: str = "") -> Marked:
        """Mark the answer that a request was given from near, by its id, or that an entry has.

        A wrong one goes. The first verdict on an answer from near counts. Raises NotFound, BackendUnavailable.
        """
        said = Verdict.SAME if verdict == "right" else Verdict.OTHER
        return await self._tiers.mark(said, request=request, entry=entry)

    def known_precision(self) -> Mapping[str, Any]:
        """The same as this process last heard of it, for metrics."""
        return self._tiers.known_precision

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the cache, or let the inner app answer and keep it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, lifespan(send, opening=(self,), closing=(self,)))
            return
        dialect = dialect_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if dialect is None or not dialect.caches:
            await self.app(scope, receive, send)
            return
        try:
            exchange = await open_exchange(scope, receive)
            wish = read_directives(scope["headers"], scope.get("query_string", b""))
            started = self._clock()
            if not (wish.reads or wish.stores) or not _is_cacheable(exchange):
                asked, found = None, Finding("", status="bypass")
            else:
                # What the key is made of is all that the provider sees.
                exchange.drop_repeated_keys()
                asked = Asked(dialect, exchange.payload, self._partition(exchange), wish, exchange.stand_ins)
                found = self._tiers.finding(asked)
            if self._veil_of(asked) is not None:
                exchange.record.cache["veiled"] = True
                send = Cover(exchange, send)
                if wish.only_if_cached:  # nothing tells more plainly than this
                    raise NotCached("'only-if-cached' is not answered where callers share answers")
        except HelixError as error:
            await refuse(error)(scope, receive, send)
            return
        try:
            await self._answer(exchange, dialect, found, asked, send, started)
        finally:
            if self._observe is not None:
                self._observe("cache", dict(exchange.record.cache))

    async def _answer(
        self, exchange: Exchange, dialect: Dialect, found: Finding, asked: Asked | None, send: Send, started: float
    ) -> None:
        """Answer together with equal requests that are in flight, if there may be such, else alone."""

        async def look(lease: Lease | None) -> Finding:
            if asked is None:
                return found
            looked = await self._tiers.look(asked, found, lease)
            if asked.wish.wrong and looked.entry is not None:
                await self._tiers.reject(looked, asked)
            return looked

        def settles(found: Finding) -> bool:
            return found.entry is not None or (found.outage is not None and self._refuses)

        async def give(found: Finding) -> None:
            self._note(exchange, found, started)
            if found.outage is not None and self._refuses:
                outage = BackendUnavailable("the cache cannot be reached")
                await refuse(outage)(exchange.scope, exchange.receive, send)
            elif found.entry is not None:
                self._count(found.entry, asked)
                if found.status == "semantic" and len(self._storing) < MAX_STORING:
                    self._later(self._tiers.remember(found, exchange.id))
                await self._replay(exchange, dialect, found, found.entry, asked, send, started)
                if asked is not None:
                    self._after_hit(exchange, found, asked)
            elif asked is not None and asked.wish.only_if_cached:
                error = NotCached("no answer is cached, and 'cache-control' allows no other")
                await refuse(error)(exchange.scope, exchange.receive, send)
            else:
                await self._pass_on(exchange, dialect, found, asked, send, started)

        async def fly(found: Finding, flight: Flight, send: Send) -> asyncio.Task[None] | None:
            self._note(exchange, found, started)
            return await self._pass_on(exchange, dialect, found, asked, send, started, flight)

        veil = self._veil_of(asked)

        def begin(flight: Flight) -> Reply:
            return self._shared(exchange, dialect, flight, send, started, is_veiled=veil is not None)

        if self._stampede is None or asked is None or not self._tiers.shares(asked, found):
            await give(await look(None))
            return
        behind = None if veil is None else veil.most_seconds
        part = Part(
            exchange,
            asked,
            found,
            look=look,
            settles=settles,
            give=give,
            fly=fly,
            begin=begin,
            most_behind_seconds=behind,
        )
        await self._stampede.answer(part, send)

    def _veil_of(self, asked: Asked | None) -> Veil | None:
        """The veil over the replies to a request, if there is one."""
        return (
            self._veil if self._veil is not None and asked is not None and self._veil.covers(asked.partition) else None
        )

    # A hit

    async def _replay(
        self,
        exchange: Exchange,
        dialect: Dialect,
        found: Finding,
        entry: Entry,
        asked: Asked | None,
        send: Send,
        started: float,
    ) -> None:
        headers = _headers(found)
        headers.append((b"x-helix-cache-entry", entry.id.encode()))
        age = max(0, int(time.time() - entry.stored_at))
        headers.append((b"age", b"%d" % age))
        exchange.record.cache["age_seconds"] = age
        answer = exchange.answer(entry.body)
        veil = self._veil_of(asked)
        # A miss has it only where the inner app gives it; else what is kept is what the answer says itself.
        if veil is None or entry.model != answer.get("model"):
            headers += _answered_by(entry.model)
        if entry.usage is not None:
            headers += self._saved(exchange, entry.model, entry.usage)
        if veil is None:
            await Reply(exchange, dialect, send, headers).give(answer, entry.body)
            return
        with Pace(veil, exchange, entry.usage, arrived=started) as pace:
            await Reply(exchange, dialect, send, headers, is_veiled=True, pace=pace).give(answer, entry.body)

    def _shared(
        self, exchange: Exchange, dialect: Dialect, flight: Flight, send: Send, started: float, *, is_veiled: bool
    ) -> Reply:
        """The reply of a request that gets the answer of an equal one."""
        record = exchange.record.cache
        record["status"], record["waited_ms"] = "shared", (self._clock() - started) * 1000
        headers: HeaderList = [(b"x-helix-cache", b"shared"), *_answered_by(flight.model)]

        def saved(usage: Usage) -> HeaderList:
            return self._saved(exchange, flight.model, usage)

        return Reply(exchange, dialect, send, headers, saved=saved, is_veiled=is_veiled)

    def _saved(self, exchange: Exchange, model: str, usage: Usage) -> HeaderList:
        """Note what a hit did not cost, and say so."""
        saved = self._price(model or exchange.model, usage) if self._price is not None else None
        if saved is None:
            return []
        exchange.record.cache["saved_nano_usd"] = saved.nano_usd
        return [(b"x-helix-saved-usd", str(saved).encode())]

    def _after_hit(self, exchange: Exchange, found: Finding, asked: Asked) -> None:
        decision = found.decision
        if decision is None or found.status != "semantic" or len(self._storing) >= MAX_STORING:
            return
        if decision.checks and asked.wish.stores and self._checks.admits():
            self._later(self._check(exchange, found, asked))
        elif self._tiers.is_due(found.learned_in):
            self._later(self._tiers.tell(found.learned_in))

    async def _check(self, exchange: Exchange, found: Finding, asked: Asked) -> None:
        """Ask upstream what the caller was just given from the cache, and learn from it."""
        store = await self._store.open()
        try:
            if not await self._checks.affords(store):
                return
            said = await ask_inside(self.app, exchange, asked.dialect, asked.request)
            if said is None:
                return
            await self._checks.spend(said.cost, store)
        except BackendUnavailable:
            return  # what cannot be counted is not checked
        answer = self._storable.why_not(asked.dialect, said.answer)
        if answer is None and asked.dialect.is_complete(said.answer):
            await self._keep(exchange, found, asked, said.answer, said.model, was_served=True)
        else:
            self._tiers.doubt(found, was_served=True)

    # A miss

    async def _pass_on(
        self,
        exchange: Exchange,
        dialect: Dialect,
        found: Finding,
        asked: Asked | None,
        send: Send,
        started: float,
        flight: Flight | None = None,
    ) -> asyncio.Task[None] | None:
        """Have the inner app answer; the task that keeps what it says, if that is to be kept."""
        storing: asyncio.Task[None] | None = None

        def keep(answer: dict[str, Any], model: str) -> None:
            if watch is not None:
                watch.answered(dialect.usage(answer))
            unstored = self._storable.why_not(dialect, answer)
            if unstored is not None:
                exchange.record.cache["unstored"] = unstored
                self._tiers.doubt(found, was_served=False)
            elif asked is not None and len(self._storing) < MAX_STORING:
                if not dialect.is_complete(answer):
                    found.question = None
                nonlocal storing
                storing = self._later(self._keep(exchange, found, asked, answer, model))

        guard = Guard(send)
        stores = asked is not None and asked.wish.stores and found.stores
        tap = CacheTap(
            exchange,
            dialect,
            guard,
            headers=_headers(found),
            keep=keep if stores else None,
            flight=flight,
            max_bytes=MAX_FLIGHT_BYTES,
        )
        veil = self._veil_of(asked)
        watch = Watch(veil, exchange, tap, arrived=started) if veil is not None else None
        try:
            await self.app(exchange.scope, exchange.receive, watch or tap)
        except HelixError as error:
            await guard.fail(error, exchange)
        return storing

    def _later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something as a task of its own, so that neither the caller's patience nor his leaving matters."""
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._stored)
        return task

    async def _keep(
        self,
        exchange: Exchange,
        found: Finding,
        asked: Asked,
        answer: dict[str, Any],
        model: str,
        *,
        was_served: bool = False,
    ) -> None:
        """Store an answer; what it teaches is learned when others may have it already."""
        body = exchange.encode_answer(answer)
        if len(body) > self._max_answer_bytes:
            return
        said = answer.get("model")
        entry = Entry(
            id=found.key,
            dialect=asked.dialect.name,
            model=model or (said if isinstance(said, str) else ""),
            body=body,
            stored_at=time.time(),
            headers=((FORM, asked.form),) if asked.form else (),
            namespace=asked.wish.namespace,
            usage=asked.dialect.usage(answer),
            asked_model=exchange.model,
            partition=self._whose.partition(asked.partition),
            users=self._whose.users("" if exchange.principal is None else exchange.principal.user, asked.request),
            tags=asked.wish.tags,
        )
        ttl_seconds = self._ttl_seconds
        if asked.wish.ttl_seconds is not None:
            ttl_seconds = min(ttl_seconds, asked.wish.ttl_seconds)
        if await self._tiers.keep(found, asked, entry, ttl_seconds):
            judge = None
            if self._judge is not None and self._store.value is not None:
                judge = judged_by(self._judge, self.app, exchange, budget=self._checks, store=self._store.value)
            self._later(self._teach(found, entry, Answers(judge), was_served=was_served))

    async def _teach(self, found: Finding, entry: Entry, answers: Answers, *, was_served: bool) -> None:
        verdict = await self._tiers.teach(found, entry, answers, was_served=was_served)
        if verdict is not None and was_served and self._observe is not None:
            given = "" if found.entry is None else found.entry.id
            self._observe("cache.check", {"verdict": verdict.value, "entry": given})

    def _count(self, entry: Entry, asked: Asked | None) -> None:
        catalog = getattr(self._store.value, "catalog", None)  # not every store has one
        if catalog is not None and asked is not None:
            self._uses.note(catalog, entry.id, self._whose.partition(asked.partition))

    def _stored(self, task: asyncio.Task[Any]) -> None:
        self._storing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A fault of ours. Its message may repeat what was stored, so only its kind is told.
            log.error("an answer could not be stored: %s", type(error).__name__)

    def _note(self, exchange: Exchange, found: Finding, started: float) -> None:
        record = exchange.record.cache
        record["status"] = found.status
        if found.entry is not None:
            record["entry"] = found.entry.id
        for name in ("similarity", "nearest", "veto", "ineligible", "outage"):
            value = getattr(found, name)
            if value is not None:
                record[name] = value
        record["tier_ms"] = found.tier_ms
        record["ms"] = (self._clock() - started) * 1000


def _promised(promise: Promise, threshold: float | None) -> Promise:
    return promise if threshold is None else replace(promise, least_similarity=threshold)


def _learning(promise: Promise, calibration: Calibration | None, embedder: str) -> Learning:
    if calibration is not None and calibration.embedder != embedder:
        log.warning(
            "the calibration of %s says nothing about %s: it is left aside, until there is one for it by "
            "'helix cache calibrate' the cache serves by what checks show",
            calibration.embedder,
            embedder,
        )
        calibration = None
    return Learning(promise, calibration or Calibration.packaged(embedder), compare)


def _is_cacheable(exchange: Exchange) -> bool:
    # A conversation is kept by the provider and changes with every answer; a background answer is not there yet.
    payload = exchange.payload
    return payload.get("conversation") is None and payload.get("background") is not True


def _headers(found: Finding) -> HeaderList:
    headers: HeaderList = [(b"x-helix-cache", found.status.encode())]
    if found.similarity is not None:
        headers.append((b"x-helix-cache-similarity", b"%.4f" % found.similarity))
    if found.veto is not None:
        headers.append((b"x-helix-cache-veto", found.veto.encode()))
    return headers


def _answered_by(model: str) -> HeaderList:
    """The header of the model, whose name may be the provider's own word: one with controls would end the header."""
    return [(b"x-helix-model", model.encode("latin-1", "replace"))] if model and model.isprintable() else []


def _store_of(store: CacheStore | str | None) -> Resource[CacheStore]:
    if store is None:
        return Resource.borrowed(MemoryCacheStore())
    if not isinstance(store, str):
        return Resource.borrowed(store)
    url = store

    async def make() -> CacheStore:
        from helix.cache.redis import RedisCacheStore

        opened = RedisCacheStore(url)
        await opened.open()
        return opened

    async def close(opened: CacheStore) -> None:
        await opened.close()  # type: ignore[attr-defined]  # what make made

    return Resource(make, close)


def _embedder_of(embedder: Embedder | None) -> Resource[Embedder]:
    if embedder is not None:
        given = embedder

        async def ready() -> Embedder:
            opening = getattr(given, "open", None)
            if opening is not None:  # loading a model is no part of answering a question
                await opening()
            return given

        return Resource(ready)

    async def make() -> Embedder:
        from helix.embed import SentenceTransformerEmbedder

        opened = SentenceTransformerEmbedder()
        await opened.open()
        return opened

    async def close(opened: Embedder) -> None:
        await opened.close()  # type: ignore[attr-defined]  # what make made

    return Resource(make, close)
