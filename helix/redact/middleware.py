"""The redact stage."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from helix.kernel import exact
from helix.kernel.errors import BackendUnavailable, ContentBlocked, HelixError
from helix.kernel.exchange import Exchange, open_exchange
from helix.kernel.lifecycle import Resource, lifespan
from helix.kernel.reply import Guard, refuse
from helix.kernel.types import ASGIApp, Detector, Message, Observer, Receive, Scope, Send, Span
from helix.kernel.wire import Dialect, dialect_of, replaced
from helix.redact.entities import DEFAULT_ENTITIES, KNOWN_ENTITIES, check_entities
from helix.redact.memory import RememberingDetector
from helix.redact.presidio import PresidioDetector
from helix.redact.redaction import Policy, Redaction, place, redact
from helix.redact.restore import Restorer
from helix.redact.segments import segments
from helix.redact.tap import RestoreTap
from helix.redact.vault import Vault, literals_in

__all__ = ["RedactMiddleware"]

_log = logging.getLogger("helix.redact")

HEADER = b"x-helix-redactions"


class RedactMiddleware:
    """Take personal data out of requests, and put it back into their answers.

    `detector` finds it; None is Presidio in this process. `entities` maps kinds to strategies (KNOWN_ENTITIES,
    STRATEGIES); None is placeholders for the default kinds, or for whatever a given detector finds. Findings under
    `score_threshold` (0 to 1) are left alone. A detector that fails or takes over `timeout_seconds` is an outage: by
    `on_outage` the request is refused with 503, or, chosen aloud, passes as it is. An input of token ids cannot be
    looked through: by `token_ids` it is refused with 400, or, chosen aloud, passes as it is. What was found in the
    latest `memory_entries` texts is remembered, under a keyed digest of each text. Raises ValueError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        detector: Detector | None = None,
        entities: Mapping[str, str] | None = None,
        score_threshold: float = 0.4,
        language: str = "en",
        on_outage: Literal["refuse", "pass"] = "refuse",
        token_ids: Literal["refuse", "pass"] = "refuse",
        timeout_seconds: float = 10.0,
        memory_entries: int = 10_000,
        observe: Observer | None = None,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise ValueError(f"score_threshold must be from 0 to 1, not {score_threshold}")
        if on_outage not in ("refuse", "pass"):
            raise ValueError(f"on_outage must be 'refuse' or 'pass', not {on_outage!r}")
        if token_ids not in ("refuse", "pass"):
            raise ValueError(f"token_ids must be 'refuse' or 'pass', not {token_ids!r}")
        if timeout_seconds <= 0 or memory_entries < 0:
            raise ValueError("timeout_seconds must be above 0, and memory_entries not below 0")
        strategies = check_entities(
            DEFAULT_ENTITIES if entities is None else entities, KNOWN_ENTITIES if detector is None else None
        )
        every_kind = entities is None and detector is not None
        self.app = app
        self._policy = Policy(strategies, "placeholder" if every_kind else "keep", score_threshold)
        self._language = language
        self._passes_on_outage = on_outage == "pass"
        self._passes_token_ids = token_ids == "pass"
        self._timeout_seconds = timeout_seconds
        self._memory_entries = memory_entries
        self._observe = observe
        self._given = detector
        self._own: PresidioDetector | None = None
        self._detector: Resource[Detector] = Resource(self._open, self._close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redact one request and restore its reply."""
        if scope["type"] == "lifespan":
            own = (self._detector,)
            await self.app(scope, receive, lifespan(send, opening=own, closing=own))
            return
        if scope["type"] != "http" or dialect_of(scope["method"], scope["path"]) is None:
            await self.app(scope, receive, send)
            return
        try:
            exchange = await open_exchange(scope, receive)
        except HelixError as error:
            await refuse(error)(scope, receive, send)
            return
        guard = Guard(send)
        facts = exchange.record.redact
        try:
            await self._exchange(exchange, guard, facts)
        except HelixError as error:
            await guard.fail(error, exchange)
        finally:
            if self._observe is not None:
                self._observe("redact", facts)

    async def close(self) -> None:
        """Close the detector if it is this stage's own; the lifespan does so where there is one."""
        await self._detector.close()

    async def _exchange(self, exchange: Exchange, guard: Guard, facts: dict[str, Any]) -> None:
        dialect = exchange.dialect
        if dialect is None:
            raise RuntimeError("an exchange of a known path has a dialect")
        started = time.perf_counter()
        vault, redaction = Vault(), Redaction()
        try:
            vault, redaction = await self._redact(exchange, dialect)
        except BackendUnavailable:
            facts["outage"] = True
            if not self._passes_on_outage:
                raise
        finally:
            facts["ms"] = (time.perf_counter() - started) * 1000
        if redaction.blocked is not None:
            kind, at = redaction.blocked
            facts["blocked"] = kind
            raise ContentBlocked(f"the request holds personal data of the kind {kind} in '{at}'", at)
        counts = facts["entities"] = redaction.counts
        if not counts:
            await self.app(exchange.scope, exchange.receive, guard)
            return
        header = HEADER, ",".join(f"{kind}={count}" for kind, count in sorted(counts.items())).encode()
        if not vault.values or dialect.operation == "embeddings":
            await self.app(exchange.scope, exchange.receive, _announcing(guard, header))
            return
        restorer = Restorer(vault)
        try:
            await self.app(exchange.scope, exchange.receive, RestoreTap(exchange, guard, dialect, restorer, header))
        finally:
            facts["restored"], facts["unknown"] = restorer.restored, restorer.unknown

    async def _redact(self, exchange: Exchange, dialect: Dialect) -> tuple[Vault, Redaction]:
        """Replace the payload where it holds personal data. Raises BackendUnavailable, and ContentBlocked."""
        exchange.drop_repeated_keys()
        opaque = dialect.opaque_input(exchange.payload)
        if opaque is not None and not self._passes_token_ids:
            at = place(opaque)
            raise ContentBlocked(f"'{at}' holds token ids, in which personal data cannot be looked for; send text", at)
        # Labels first: they stay the same from turn to turn, so that the numbers of what is in the turns do too.
        texts = dialect.labels(exchange.payload) + dialect.texts(exchange.payload)
        parts = segments(texts)
        found = await self._detect([part.shown for part in parts])
        if not any(found):
            return Vault(), Redaction()
        vault = Vault(literals_in((exact.dumps(exchange.payload).decode(),)))
        redaction = redact(texts, parts, found, self._policy, vault)
        if redaction.edits:
            exchange.replace(replaced(exchange.payload, redaction.edits))
        return vault, redaction

    async def _detect(self, texts: list[str]) -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises BackendUnavailable, whatever the detector raises: its words may hold ours."""
        try:
            # Loading is not looking: the first request of an app without lifespan waits for it.
            detector = self._detector.value or await self._detector.open()
            async with asyncio.timeout(self._timeout_seconds):
                found = await detector.detect(texts, language=self._language)
        except TimeoutError:
            raise BackendUnavailable(f"personal data was not looked for within {self._timeout_seconds:g} s") from None
        except BackendUnavailable:
            raise
        except Exception as error:
            _log.error("the detector of personal data failed: %s", type(error).__name__)
            raise BackendUnavailable("the detector of personal data failed") from None
        if len(found) != len(texts):
            raise BackendUnavailable("the detector of personal data did not answer for every text")
        return found

    async def _open(self) -> Detector:
        detector = self._given
        if detector is None:
            detector = self._own = PresidioDetector(
                entities=[kind for kind, strategy in self._policy.strategies.items() if strategy != "keep"],
                score_threshold=self._policy.score_threshold,
                languages=(self._language,),
            )
            await self._own.open()
        return RememberingDetector(detector, entries=self._memory_entries) if self._memory_entries else detector

    async def _close(self, _detector: Detector) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.close()


def _announcing(send: Send, header: tuple[bytes, bytes]) -> Send:
    """A send that adds a header to the reply's start."""

    async def announce(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], header]}
        await send(message)

    return announce
