"""`roundtrip`: many conversations through the redact stage; nothing is seen by the provider, everything comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helix.redact import Policy, PresidioDetector
from perf.pii.sets import corpora
from perf.process import Unavailable
from perf.roundtrip.check import Counts, Stage
from perf.roundtrip.conversations import Conversation, conversations

__all__ = ["Counts", "Stage", "conversations", "corpus_texts", "measure", "perform"]

_MAX_CHARS = 2000
_MOST_TOLD = 8


def corpus_texts(folder: Path) -> list[str]:
    """The texts of every set in a folder, where there is one; those that are not too long."""
    try:
        return [row.text for one in corpora(folder) for row in one.rows if len(row.text) <= _MAX_CHARS]
    except Unavailable:
        return []


def perform(
    stage: Stage, runner: asyncio.Runner, count: int, corpus: Sequence[str] = (), *, seed: int = 0
) -> list[str]:
    """Check `count` conversations, the same ones for the same seed; what failed, in words, the smallest first."""
    import hypothesis

    failed: list[tuple[int, str]] = []

    # What fails is kept and the next one tried: making it smaller would take minutes. The test does that.
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(conversations(corpus))
    def check(conversation: Conversation) -> None:
        try:
            runner.run(stage.check(conversation))
        except Exception as error:
            failed.append((len(repr(conversation)), f"{type(error).__name__}: {error}\n{conversation!r}"))

    check()
    return [words for _, words in sorted(failed)]


def measure(count: int, folder: Path, seed: int = 0, strategy: str = "placeholder") -> dict[str, Any]:
    """Check `count` conversations with the built-in detector. What fails is told in full: all of it is made up."""
    detector = PresidioDetector()
    stage = Stage(detector, policy=Policy({}, strategy))
    with asyncio.Runner() as runner:
        runner.run(detector.open())
        failed = perform(stage, runner, count, corpus_texts(folder), seed=seed)
        runner.run(detector.close())
    faults = failed[:_MOST_TOLD]
    if stage.counts.conversations + len(failed) < count:
        faults.append(f"only {stage.counts.conversations} conversations were checked")
    return {"counts": asdict(stage.counts), "failed": len(failed), "seed": seed, "strategy": strategy, "faults": faults}
