"""The redact stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from helix.kernel.errors import HelixError
from helix.kernel.exchange import Exchange, open_exchange
from helix.kernel.lifecycle import lifespan
from helix.kernel.reply import Guard, refuse
from helix.kernel.types import ASGIApp, Detector, Message, Observer, Receive, Scope, Send
from helix.kernel.wire import Dialect, dialect_of
from helix.redact.allowed import AllowList, Entry
from helix.redact.answers import Answers, LeakScan, Own
from helix.redact.entities import DEFAULT_ENTITIES, KNOWN_ENTITIES, check_known
from helix.redact.leak_tap import LeakTap
from helix.redact.policy import Policy
from helix.redact.redaction import Redaction
from helix.redact.redactor import Redactor
from helix.redact.restore import Restorer
from helix.redact.strategies import Given
from helix.redact.tap import RestoreTap
from helix.redact.vault import Vault

__all__ = ["RedactMiddleware"]

HEADER = b"x-helix-redactions"


class RedactMiddleware:
    """Take personal data out of requests, and put it back into their answers.

    `detector` finds it; None is Presidio in this process. `entities` maps kinds to strategies (KNOWN_ENTITIES,
    STRATEGIES), by name or with options, `{"strategy": "mask", "last": 4}`; None is placeholders for the default kinds,
    or for whatever a given detector finds. Findings under `score_threshold` (0 to 1, or a map from kind with a
    `default`) are left alone. A `policy` says the same and more, in their stead: keys, an allow-list; `allowed` gives a
    list for one request. A detector that fails or takes over `timeout_seconds` is an outage: by `on_outage` the request
    is refused with 503, or, chosen aloud, passes as it is. An input of token ids cannot be looked through: by
    `token_ids` it is refused with 400, or, chosen aloud, passes as it is. By `tool_definitions` the descriptions of
    tools and of answer formats are looked through too. What was found in the latest `memory_entries` texts is
    remembered, under a keyed digest of each text. `answers` has answers looked through for personal data that was not
    in the request. Raises ValueError.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        detector: Detector | None = None,
        entities: Mapping[str, Given] | None = None,
        score_threshold: float | Mapping[str, float] = 0.4,
        policy: Policy | None = None,
        allowed: Callable[[Exchange], AllowList | Iterable[Entry]] | None = None,
        language: str | None = None,
        on_outage: Literal["refuse", "pass"] = "refuse",
        token_ids: Literal["refuse", "pass"] = "refuse",
        tool_definitions: bool = False,
        timeout_seconds: float = 10.0,
        memory_entries: int = 10_000,
        answers: Answers | Mapping[str, Any] | None = None,
        observe: Observer | None = None,
    ) -> None:
        if policy is not None and entities is not None:
            raise ValueError("a policy has entities of its own: give one or the other")
        if policy is None:
            every_kind = entities is None and detector is not None
            policy = Policy(
                DEFAULT_ENTITIES if entities is None else entities,
                "placeholder" if every_kind else "keep",
                score_threshold,
                language=language or "en",
            )
        if detector is None:
            check_known((*policy.strategies, *policy.scored), KNOWN_ENTITIES)
        self.app = app
        self._allowed = allowed
        self._observe = observe
        self._answers = answers if answers is None or isinstance(answers, Answers) else Answers(**answers)
        if self._answers is not None and detector is None:
            check_known(self._answers.entities, KNOWN_ENTITIES)
        self._policy = policy
        self._redactor = Redactor(
            detector,
            policy,
            language=language,
            on_outage=on_outage,
            token_ids=token_ids,
            tool_definitions=tool_definitions,
            timeout_seconds=timeout_seconds,
            memory_entries=memory_entries,
            also=() if self._answers is None else self._answers.entities,
            also_from=1.0 if self._answers is None else self._answers.score_threshold,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redact one request and restore its reply."""
        if scope["type"] == "lifespan":
            own = (self._redactor.resource,)
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
        await self._redactor.close()

    async def _exchange(self, exchange: Exchange, guard: Guard, facts: dict[str, Any]) -> None:
        dialect = exchange.dialect
        if dialect is None:
            raise RuntimeError("an exchange of a known path has a dialect")
        exchange.drop_repeated_keys()
        asked = exchange.payload
        payload, vault, redaction = await self._redactor.redact(
            asked, dialect, facts, allowed=partial(self._allowed_by, exchange)
        )
        if redaction.edits:
            exchange.replace(payload)
            exchange.stand_ins = frozenset(redaction.stand_ins)
        if self._answers is None or dialect.operation == "embeddings":
            await self._pass(exchange, guard, dialect, vault, redaction)
            return
        scan = LeakScan(self._answers, self._redactor.detect, lambda: self._own(asked, dialect, exchange))
        tap = LeakTap(exchange, guard, dialect, self._answers, scan)
        try:
            await self._pass(exchange, tap, dialect, vault, redaction)
        finally:
            await tap.close()
            facts["leaks"] = scan.counts
            if scan.unscanned:
                facts["leaks_unscanned"] = True

    def _allowed_by(self, exchange: Exchange) -> AllowList | Iterable[Entry]:
        return self._allowed(exchange) if self._allowed is not None else ()

    def _own(self, asked: dict[str, Any], dialect: Dialect, exchange: Exchange) -> Own:
        """What is no leak: what the request says, and what may be said anyway."""
        return Own.of(asked, dialect, self._policy.allowed | AllowList.of(self._allowed_by(exchange)))

    async def _pass(self, exchange: Exchange, send: Send, dialect: Dialect, vault: Vault, redaction: Redaction) -> None:
        """Let the request go on, and the reply come back with the caller's own values."""
        facts = exchange.record.redact
        counts = redaction.counts
        if not counts:
            await self.app(exchange.scope, exchange.receive, send)
            return
        header = HEADER, ",".join(f"{kind}={count}" for kind, count in sorted(counts.items())).encode()
        if not vault.values or dialect.operation == "embeddings":
            await self.app(exchange.scope, exchange.receive, _announcing(send, header))
            return
        restorer = Restorer(vault)
        try:
            await self.app(exchange.scope, exchange.receive, RestoreTap(exchange, send, dialect, restorer, header))
        finally:
            facts["restored"], facts["unknown"] = restorer.restored, restorer.unknown


def _announcing(send: Send, header: tuple[bytes, bytes]) -> Send:
    """A send that adds a header to the reply's start."""

    async def announce(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], header]}
        await send(message)

    return announce
