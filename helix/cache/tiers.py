"""The two tiers: look for an earlier answer, exact first, then semantic; keep a new one. No HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from helix.cache.breaker import Breaker
from helix.cache.directives import Directives
from helix.cache.eligibility import Eligibility
from helix.cache.flight import Lease
from helix.cache.key import entry_id, exact_key, key_of, scope_key, stand_ins_of
from helix.cache.neutral import written_as
from helix.cache.promise.answers import Answers
from helix.cache.promise.bound import Tally
from helix.cache.promise.feedback import Marked, mark
from helix.cache.promise.fit import LabelledPair
from helix.cache.promise.given import given_of, remember
from helix.cache.promise.learning import NEIGHBOURS, Decision, Learning, Verdict
from helix.cache.promise.outcomes import outcomes
from helix.cache.promise.precision import summary
from helix.cache.promise.teaching import teach, teach_said
from helix.cache.translation import fitting
from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import CacheStore, Embedder, Entry, Vector
from helix.kernel.wire import Dialect, Question

__all__ = ["Asked", "Finding", "Mode", "Tiers", "is_fresh"]

Mode: TypeAlias = Literal["exact", "semantic", "hybrid"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came to the cache, before what stands inside changed it."""

    dialect: Dialect
    request: dict[str, Any]
    partition: str
    wish: Directives
    stand_ins: frozenset[str] = frozenset()

    @property
    def form(self) -> str:
        """How answers are written for this caller."""
        return written_as(self.dialect.name, self.wish.variant)


@dataclass(slots=True)
class Finding:
    """What the tiers found for one request.

    `similarity` is that of the hit, or of the nearest question where a guard vetoed it (`veto`); `nearest` that of the
    nearest question, whatever came of it. `outage` names what was asked in vain. `question` is set where others who ask
    nearly the same may be given the answer, `ineligible` says why they may not; `scope` and `vector` are known once it
    was embedded, `decision` once its neighbours were found. `stores` is false where nothing is to be kept either.
    """

    key: str
    status: Literal["exact", "semantic", "shared", "miss", "bypass", "refresh"] = "miss"
    entry: Entry | None = None
    similarity: float | None = None
    nearest: float | None = None
    veto: str | None = None
    outage: Literal["store", "semantic"] | None = None
    question: Question | None = None
    ineligible: str | None = None
    stores: bool = True
    scope: str = ""
    vector: Vector | None = None
    embedder: str = ""
    decision: Decision | None = None
    tier_ms: dict[str, float] = field(default_factory=dict)

    @property
    def learned_in(self) -> str:
        """The scope as what was learned knows it: what holds for one embedder's similarities does not for another's."""
        return f"{self.scope}@{self.embedder}"


class Tiers:
    """Looks in a store by key and by nearness, and writes to it; spares requests the wait for what is down.

    `learning` makes the learning of an embedder's name, once that is known. `semantic_timeout_seconds` bounds embedding
    and search together; loading the model at first use is not counted.
    """

    def __init__(
        self,
        store: Resource[CacheStore],
        embedder: Resource[Embedder],
        *,
        mode: Mode,
        learning: Callable[[str], Learning],
        semantic_timeout_seconds: float,
        eligibility: Eligibility,
        secret: str | bytes,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._mode = mode
        self._make_learning = learning
        self._learning: Learning | None = None
        self._eligibility = eligibility
        self._key = key_of(secret)
        self._semantic_timeout_seconds = semantic_timeout_seconds
        self._store_breaker = Breaker("the cache")
        self._keeping_breaker = Breaker("keeping answers in the cache")
        self._semantic_breaker = Breaker("the semantic cache")

    async def open(self) -> None:
        """Open both and use them once, so that the model works and the index exists before the first request."""
        breaker = self._store_breaker
        try:
            store = await self._store.open()
            await store.get(_NO_DIGEST)
            if self._mode == "exact":
                return
            breaker = self._semantic_breaker
            embedder = await self._embedder.open()
            (vector,) = await embedder.embed(["Is everything ready?"])
            await store.near(_NO_DIGEST, vector, count=1, embedder=embedder.name)
        except Exception as error:
            breaker.failed(_outage(error))

    def finding(self, asked: Asked) -> Finding:
        """What is known before anything was asked: the key, and whether the cache is to be passed by."""
        wish = asked.wish
        key = exact_key(
            asked.dialect.name,
            asked.request,
            partition=asked.partition,
            namespace=wish.namespace,
            variant=wish.variant,
            key=self._key,
        )
        found = Finding(entry_id(key, wish.namespace))
        if self._eligibility.may_bypass:
            self._judge(found, asked)
            if self._eligibility.bypasses(found.ineligible):
                found.status, found.stores = "bypass", False
        return found

    def shares(self, asked: Asked, found: Finding) -> bool:
        """Whether the request may have the answer that an equal one, in flight at the same time, is given."""
        wish = asked.wish
        both = wish.reads and wish.stores and wish.max_age_seconds != 0 and not wish.only_if_cached
        return both and not wish.wrong and found.stores and self._mode != "semantic"

    async def look(self, asked: Asked, found: Finding, lease: Lease | None = None) -> Finding:
        """Look for an answer that may be given again. Raises nothing for an outage: the finding names it.

        With a lease, it is claimed where there is no entry; if another process has it, this one need not look further.
        """
        wish = asked.wish
        if not found.stores:
            return found
        if not wish.reads or wish.max_age_seconds == 0:
            self._judge(found, asked)
            found.status = "refresh"
            return found
        looked = False
        if self._mode != "semantic":
            looked = await self._look_exact(found, asked, lease)
            if found.entry is not None or (lease is not None and lease.is_elsewhere):
                return found
        self._judge(found, asked)
        if found.outage is None and found.question is not None:
            looked = await self._look_near(found, asked) or looked
        if not looked:
            found.status = "bypass"
        return found

    async def keep(self, found: Finding, asked: Asked, entry: Entry, ttl_seconds: float) -> bool:
        """Store an answer under the key that was looked for, findable by nearness too where it has a question.

        True where it is: then it may teach.
        """
        if self._mode == "semantic" and found.question is None:
            return False
        # A store that keeps nothing, being full or read-only, can be read all the same.
        if self._store_breaker.failing or not self._keeping_breaker.admits():
            return False
        findable = False
        try:
            store = self._store.value or await self._store.open()
            if not found.vector or found.question is None:  # the exact tier need not wait for the model
                await store.put(found.key, entry, ttl_seconds=ttl_seconds)
                await self._embed_late(found, asked)
            if found.vector and found.question is not None:
                await store.put(
                    found.key,
                    entry,
                    ttl_seconds=ttl_seconds,
                    scope=found.scope,
                    text=found.question.text,
                    vector=found.vector,
                    embedder=found.embedder,
                )
                findable = True
        except Exception as error:
            self._keeping_breaker.failed(_outage(error))
        else:
            self._keeping_breaker.succeeded()
        return findable

    async def teach(
        self, found: Finding, entry: Entry, answers: Answers, *, was_served: bool = False
    ) -> Verdict | None:
        """Compare an answer that was just kept with what its neighbours answer, by `answers`, and learn from it.

        `was_served` says that the caller was given one of theirs; the verdict is on the one that was, or would have
        been, given. None where there was none, or what is needed is out.
        """
        store, embedder = self._store.value, self._embedder.value
        learning = self._learning
        if learning is None or store is None or embedder is None or found.question is None:
            return None
        if not self._semantic_breaker.admits():
            return None
        try:
            verdict = await teach(
                learning,
                answers,
                found.decision,
                found.question.text,
                entry,
                store=store,
                embedder=embedder,
                was_served=was_served,
            )
            await learning.flush(store, found.learned_in)
        except Exception as error:
            self._semantic_breaker.failed(_outage(error))
            return None
        self._semantic_breaker.succeeded()
        return verdict

    async def reject(self, found: Finding, asked: Asked) -> None:
        """Remove the answer that was found, which somebody who saw it calls wrong, and learn from it."""
        store, entry = self._store.value, found.entry
        if store is None or entry is None:
            return
        try:
            await store.flush(entry_id=entry.id)
            given = None if found.decision is None else given_of(found.decision, entry.id, entry.stored_at)
            if given is not None and self._learning is not None:
                await teach_said(self._learning, given, Verdict.OTHER, store=store)
        except Exception as error:
            self._store_breaker.failed(_outage(error))
        found.status, found.entry, found.similarity, found.decision = "refresh", None, None, None
        self._judge(found, asked)  # so that the new answer is found by nearness too

    async def remember(self, found: Finding, request_id: str) -> None:
        """Keep what was given from near for whoever marks it. What cannot be kept now cannot be marked."""
        store, entry = self._store.value, found.entry
        if store is None or entry is None or found.decision is None or not self._semantic_breaker.admits():
            return
        given = given_of(found.decision, entry.id, entry.stored_at, request_id)
        if given is None:
            return
        try:
            await remember(given, store)
        except Exception as error:
            self._semantic_breaker.failed(_outage(error))
        else:
            self._semantic_breaker.succeeded()

    async def mark(self, verdict: Verdict, *, request: str = "", entry: str = "") -> Marked:
        """Mark an answer (promise/feedback.py). Raises NotFound, BackendUnavailable."""
        store = await self._store.open()
        return await mark(verdict, store=store, learning=self._learned, request=request, entry=entry)

    async def precision(self) -> Mapping[str, Any]:
        """How right hits from near have been (promise/precision.py). Raises BackendUnavailable."""
        store, learning = await self._store.open(), await self._learned()
        return summary(Tally.of({}) if learning is None else await learning.everywhere(store))

    async def outcomes(self) -> tuple[str, list[LabelledPair]]:
        """What traffic has shown of near questions, by the embedder of this name (promise/outcomes.py).

        Raises BackendUnavailable.
        """
        store, embedder = await self._store.open(), await self._embedder.open()
        return embedder.name, await outcomes(store, embedder.name)

    @property
    def known_precision(self) -> Mapping[str, Any]:
        """The precision as this process last heard of it, without asking the store."""
        return summary(Tally.of({}) if self._learning is None else self._learning.known)

    def doubt(self, found: Finding, *, was_served: bool) -> None:
        """Take note that the upstream's own answer is none to compare with, such as a refusal: no sign of being right.

        Were it left out, what is refused would never count as wrongly answered.
        """
        if self._learning is not None and found.decision is not None and found.decision.proposal is not None:
            self._learning.checked(found.decision, Verdict.UNSURE, was_served=was_served)

    def is_due(self, scope: str) -> bool:
        """Whether it is time to tell the other processes what happened in a scope."""
        return self._learning is not None and self._learning.is_due(scope)

    async def tell(self, scope: str | None = None) -> None:
        """Tell the other processes what happened in a scope, or in all. What cannot be told now is kept."""
        store = self._store.value
        if self._learning is None or store is None or not self._semantic_breaker.admits():
            return
        try:
            await self._learning.flush(store, scope)
        except Exception as error:
            self._semantic_breaker.failed(_outage(error))
        else:
            self._semantic_breaker.succeeded()

    # Inside

    async def _learned(self) -> Learning | None:
        """The learning; None without a semantic tier. Raises BackendUnavailable."""
        if self._learning is None and self._mode != "exact":
            try:
                embedder = await self._embedder.open()
            except Exception as error:
                raise _outage(error) from None
            self._learning = self._learning or self._make_learning(embedder.name)
        return self._learning

    def _judge(self, found: Finding, asked: Asked) -> None:
        """Find out whether an answer to a near question would do, or why not."""
        if self._mode == "exact" or found.ineligible is not None or found.question is not None:
            return
        question = asked.dialect.question(asked.request)
        found.ineligible = self._eligibility.why_not(asked.dialect, asked.request, question)
        if found.ineligible is None:
            found.question = question

    async def _look_exact(self, found: Finding, asked: Asked, lease: Lease | None) -> bool:
        """Ask the exact tier; whether it could be asked."""
        if not self._store_breaker.admits():
            found.outage = "store"
            return False
        started = time.perf_counter()
        try:
            store = self._store.value or await self._store.open()
            entry = await (store.get(found.key) if lease is None else lease.get(store, found.key))
            if entry is not None and not is_fresh(entry, asked.wish):
                found.status, entry = "refresh", None
                if lease is not None:
                    await lease.get(store, found.key, anew=True)
        except Exception as error:
            self._store_breaker.failed(_outage(error))
            found.outage = "store"
            return False
        finally:
            found.tier_ms["exact"] = _ms_since(started)
        self._store_breaker.succeeded()
        if entry is not None:
            entry = fitting(entry, asked.dialect, asked.request, asked.form)
        if entry is not None:
            found.status, found.entry = "exact", entry
        return True

    async def _look_near(self, found: Finding, asked: Asked) -> bool:
        """Ask the semantic tier; whether it could be asked."""
        if not self._semantic_breaker.admits():
            found.outage = "semantic"
            return False
        try:
            store = self._store.value or await self._store.open()
            embedder = self._embedder.value or await self._embedder.open()
            started = time.perf_counter()
            try:
                async with asyncio.timeout(self._semantic_timeout_seconds):
                    await self._embed(found, asked, embedder)
                    if found.vector:
                        if self._learning is None:
                            self._learning = self._make_learning(embedder.name)
                        await self._choose(found, asked, store, self._learning)
            finally:
                found.tier_ms["semantic"] = _ms_since(started)
        except TimeoutError:
            self._semantic_breaker.failed(BackendUnavailable(f"no answer within {self._semantic_timeout_seconds:g} s"))
            found.outage = "semantic"
        except Exception as error:
            self._semantic_breaker.failed(_outage(error))
            found.outage = "semantic"
        else:
            self._semantic_breaker.succeeded()
        if found.outage is not None:
            found.vector = None  # what cannot be searched is not worth storing; the next to ask will try again
        return found.outage is None

    async def _embed(self, found: Finding, asked: Asked, embedder: Embedder) -> None:
        question = found.question
        if question is None:
            return
        (found.vector,) = await embedder.embed([question.text])
        found.embedder = embedder.name
        if not found.vector:
            found.question, found.ineligible = None, "window"
            return
        found.scope = scope_key(
            asked.dialect.name,
            asked.request,
            question.path,
            partition=asked.partition,
            namespace=asked.wish.namespace,
            variant=asked.wish.variant,
            embedder="",  # whose vectors they are the store keeps apart, so that they can be replaced by another's
            named=stand_ins_of(question.text, asked.stand_ins),
            key=self._key,
        )

    async def _embed_late(self, found: Finding, asked: Asked) -> None:
        """Embed off the caller's path what was not looked for. An outage leaves the answer to the exact tier."""
        if found.question is None or found.outage is not None or not self._semantic_breaker.admits():
            return
        try:
            await self._embed(found, asked, self._embedder.value or await self._embedder.open())
        except Exception as error:
            self._semantic_breaker.failed(_outage(error))
        else:
            self._semantic_breaker.succeeded()

    async def _choose(self, found: Finding, asked: Asked, store: CacheStore, learning: Learning) -> None:
        """Take the answer that the promise permits, if one does and still is there."""
        if found.vector is None or found.question is None:
            return
        if not learning.knows(found.learned_in):
            await learning.recall(found.learned_in, store)
        candidates = await store.near(found.scope, found.vector, count=NEIGHBOURS, embedder=found.embedder)
        decision = learning.decide(
            found.learned_in, found.question.text, candidates, least_similarity=asked.wish.threshold or 0.0
        )
        found.decision = decision
        if decision.neighbours:
            nearest = decision.neighbours[0]
            found.nearest = nearest.candidate.similarity
            if nearest.veto is not None:
                found.veto, found.similarity = nearest.veto, nearest.candidate.similarity
        for neighbour in decision.serves:
            entry = await store.get(neighbour.candidate.entry_id)
            if entry is not None and is_fresh(entry, asked.wish):
                entry = fitting(entry, asked.dialect, asked.request, asked.form)
            else:
                entry = None
            if entry is not None:
                found.status, found.entry, found.similarity = "semantic", entry, neighbour.candidate.similarity
                learning.served(decision)
                return


_NO_DIGEST = "0" * 40


def _outage(error: Exception) -> BackendUnavailable:
    """What a store or an embedder raised, whatever it was; of a foreign error only the kind: it may quote the text."""
    return error if isinstance(error, BackendUnavailable) else BackendUnavailable(f"it failed ({type(error).__name__})")


def is_fresh(entry: Entry, wish: Directives) -> bool:
    """Whether an entry is young enough for a request."""
    return wish.max_age_seconds is None or time.time() - entry.stored_at <= wish.max_age_seconds


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
