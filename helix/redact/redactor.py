"""The redact stage without its ASGI: a request's payload in, one without personal data out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from helix.kernel import exact
from helix.kernel.errors import BackendUnavailable, ContentBlocked
from helix.kernel.lifecycle import Resource
from helix.kernel.types import Detector, Span
from helix.kernel.wire import Dialect, replaced
from helix.kernel.wire.base import Json
from helix.redact.allowed import AllowList, Entry
from helix.redact.checked import CheckedDetector
from helix.redact.entities import DEFAULT_ENTITIES
from helix.redact.memory import RememberingDetector
from helix.redact.policy import Policy
from helix.redact.presidio import PresidioDetector
from helix.redact.redaction import Redaction, place, redact
from helix.redact.segments import segments
from helix.redact.vault import Endings, Vault, Wording, literals_in

__all__ = ["Redactor"]

_log = logging.getLogger("helix.redact")


class Redactor:
    """Takes personal data out of the payloads of requests.

    `detector` finds it; None is Presidio in this process, which opens at first use, or by `resource`. `policy` says
    what is done with it; None is placeholders for the default kinds, or for whatever a given detector finds. A detector
    that fails or takes over `timeout_seconds` is an outage: by `on_outage` it is raised, or, chosen aloud, the payload
    passes as it is. An input of token ids cannot be looked through: by `token_ids` it is refused, or, chosen aloud,
    passes as it is. By `tool_definitions` the descriptions of tools and of answer formats are looked through too.
    What was found in the latest `memory_entries` texts is remembered, under a keyed digest of each text. The detector
    looks for the kinds of `also` from the score `also_from` on too, on which the policy is silent. Raises ValueError.
    """

    def __init__(
        self,
        detector: Detector | None = None,
        policy: Policy | None = None,
        *,
        language: str | None = None,
        on_outage: Literal["refuse", "pass"] = "refuse",
        token_ids: Literal["refuse", "pass"] = "refuse",
        tool_definitions: bool = False,
        timeout_seconds: float = 10.0,
        memory_entries: int = 10_000,
        also: Iterable[str] = (),
        also_from: float = 1.0,
    ) -> None:
        if on_outage not in ("refuse", "pass"):
            raise ValueError(f"on_outage must be 'refuse' or 'pass', not {on_outage!r}")
        if token_ids not in ("refuse", "pass"):
            raise ValueError(f"token_ids must be 'refuse' or 'pass', not {token_ids!r}")
        if timeout_seconds <= 0 or memory_entries < 0:
            raise ValueError("timeout_seconds must be above 0, and memory_entries not below 0")
        if policy is None:
            policy = Policy(DEFAULT_ENTITIES) if detector is None else Policy({}, "placeholder")
        self._policy = policy
        self._language = language
        self._passes_on_outage = on_outage == "pass"
        self._passes_token_ids = token_ids == "pass"
        self._tool_definitions = tool_definitions
        self._timeout_seconds = timeout_seconds
        self._memory_entries = memory_entries
        self._also = tuple(also)
        self._also_from = also_from
        self._given = detector
        self._own: PresidioDetector | None = None
        self._finder: Detector | None = None
        self.resource: Resource[Detector] = Resource(self._open, self._close)
        """The detector as something that a lifespan opens and closes."""

    async def redact(
        self,
        payload: Json,
        dialect: Dialect,
        facts: dict[str, Any] | None = None,
        *,
        allowed: Callable[[], AllowList | Iterable[Entry]] = tuple,
    ) -> tuple[Json, Vault, Redaction]:
        """The payload without its personal data, what restores it, and what was done; the same payload if nothing was.

        `allowed` tells what this caller's requests may say beyond the policy's list; it is asked only where something
        was found. `facts` is told what was decided, also where this raises: names, counts, places and durations, never
        text. Raises BackendUnavailable where the detector fails, and ContentBlocked for what may not pass at all.
        """
        facts = {} if facts is None else facts
        started = time.perf_counter()
        try:
            return await self._redact(payload, dialect, facts, allowed)
        except BackendUnavailable as error:
            facts["outage"] = True
            if not self._passes_on_outage:
                raise
            facts["passed"] = True
            _log.warning("a request goes on with its personal data, as on_outage says: %s", error.message)
            return payload, Vault(), Redaction()
        finally:
            facts["ms"] = (time.perf_counter() - started) * 1000

    async def close(self) -> None:
        """Close the detector if it is this object's own."""
        await self.resource.close()

    async def _redact(
        self,
        payload: Json,
        dialect: Dialect,
        facts: dict[str, Any],
        allowed: Callable[[], AllowList | Iterable[Entry]],
    ) -> tuple[Json, Vault, Redaction]:
        opaque = dialect.opaque_input(payload)
        if opaque is not None:
            if not self._passes_token_ids:
                at = place(opaque)
                raise ContentBlocked(
                    f"'{at}' holds token ids, in which personal data cannot be looked for; send text", at
                )
            facts["token_ids"] = "pass"
        # Labels first: they stay the same from turn to turn, so that the numbers of what is in the turns do too.
        texts = dialect.labels(payload)
        if self._tool_definitions:
            texts += dialect.definitions(payload)
        texts += dialect.texts(payload)
        parts = segments(texts)
        found = await self.detect([part.shown for part in parts])
        if not any(found):
            facts["entities"] = {}
            return payload, Vault(), Redaction()
        facts["detector"] = str(getattr(self._finder, "version", type(self._finder).__name__))[:200]
        written = exact.dumps(payload).decode()
        vault = Vault(wording=Wording((written, *(part.value for part in parts))))
        vault.note(literals_in((written,)))
        endings = Endings.of_kinds(frozenset(span.kind for spans in found for span in spans))
        if endings.of(written):
            # What is written beside the texts, in a tool's schema say, is there from the first turn on.
            beside = replaced(payload, {text.path: "" for text in texts})
            vault.reserve(endings.of(exact.dumps(beside).decode()))
        redaction = redact(texts, parts, found, self._policy, vault, AllowList.of(allowed()))
        vault.seal()
        facts["findings"], facts["more_findings"] = redaction.findings, redaction.more
        if redaction.blocked is not None:
            kind, at = redaction.blocked
            facts["blocked"] = kind
            raise ContentBlocked(f"the request holds personal data of the kind {kind} in '{at}'", at)
        facts["entities"] = redaction.counts
        return replaced(payload, redaction.edits), vault, redaction

    async def detect(self, texts: list[str]) -> Sequence[Sequence[Span]]:
        """The spans of each text. Raises BackendUnavailable, whatever the detector raises: its words may hold ours."""
        try:
            # Loading is not looking: the first request of an app without lifespan waits for it.
            detector = self.resource.value or await self.resource.open()
            asked = time.monotonic()
            async with asyncio.timeout(self._timeout_seconds):
                found = await detector.detect(texts, language=self._language)
            # A detector that answers on the spot gives the timer no turn.
            if time.monotonic() - asked > self._timeout_seconds:
                raise TimeoutError
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody gave up on us: the detector closed while it was asked.
            raise BackendUnavailable("the detector of personal data gave up") from None
        except TimeoutError:
            raise BackendUnavailable(f"personal data was not looked for within {self._timeout_seconds:g} s") from None
        except BackendUnavailable:
            raise
        except Exception as error:
            _log.error("the detector of personal data failed: %s", type(error).__name__)
            raise BackendUnavailable("the detector of personal data failed") from None
        return found

    async def _open(self) -> Detector:
        try:
            await asyncio.to_thread(self._policy.open)
        except ImportError:
            missing = "surrogates need Faker, which is not installed: pip install 'helix-gateway[redact]'"
            raise BackendUnavailable(missing) from None
        detector = self._given
        if detector is None:
            detector = self._own = PresidioDetector(
                entities=(*self._policy.sought, *(kind for kind in self._also if kind not in self._policy.sought)),
                score_threshold=min(self._policy.least_score, self._also_from),
                languages=(self._language or "en",),
            )
            await self._own.open()
        self._finder = detector
        checked = CheckedDetector(detector)
        return RememberingDetector(checked, entries=self._memory_entries) if self._memory_entries else checked

    async def _close(self, _detector: Detector) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.close()
