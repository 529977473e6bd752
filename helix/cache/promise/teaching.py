"""What is learned when the upstream has answered: its answer beside those of the near questions."""

from __future__ import annotations

from helix.cache.promise.answers import Answers, digest_of, text_of
from helix.cache.promise.given import Given
from helix.cache.promise.learning import COMPARED, Decision, Learning, Verdict, evidence_of
from helix.cache.promise.outcomes import keep, seen
from helix.cache.promise.vote import Neighbour
from helix.kernel.types import NO_EVIDENCE, CacheStore, Embedder, Entry

__all__ = ["teach", "teach_said"]

_MOST_COMPARED = 4
"""Groups of which one answer is fetched and compared; the others are known to be others, or stay unknown."""


async def teach(
    learning: Learning,
    answers: Answers,
    decision: Decision | None,
    question: str,
    entry: Entry,
    *,
    store: CacheStore,
    embedder: Embedder | None,
    was_served: bool = False,
) -> Verdict | None:
    """Compare what the upstream said with the neighbours' answers, and note the outcome for each.

    `entry` is findable already, and joins the group of those that say the same. `was_served` says that the caller was
    given the decision's answer. Returns the verdict on the decision's proposal; None where it had none, or its answer
    is gone. Raises BackendUnavailable.
    """
    text = text_of(entry)
    own = digest_of(text)
    if decision is None or not text:
        await store.learn(entry.id, NO_EVIDENCE, group=own)
        return None
    verdicts: dict[str, Verdict] = {}
    for neighbour in _of_interest(decision):
        if neighbour.group in verdicts:
            continue
        if neighbour.candidate.group == own:
            verdicts[own] = Verdict.SAME
            continue
        if len(verdicts) >= _MOST_COMPARED:
            break
        known = await store.get(neighbour.candidate.entry_id)
        if known is not None:
            verdicts[neighbour.group] = await answers.verdict(question, text_of(known), text, embedder)
    group = next((found for found, verdict in verdicts.items() if verdict is Verdict.SAME), None)
    joined = own if group is None else group
    await store.learn(entry.id, NO_EVIDENCE, group=joined)
    for neighbour in decision.neighbours[:COMPARED]:
        verdict = verdicts.get(neighbour.group)
        if verdict is None or neighbour.veto is not None or neighbour.candidate.entry_id == entry.id:
            continue
        evidence = evidence_of(neighbour, verdict)
        if evidence is not None:
            loner = verdict is Verdict.SAME and not neighbour.candidate.group
            await store.learn(neighbour.candidate.entry_id, evidence, group=joined if loner else None)
    if embedder is not None:
        await keep(store, embedder.name, seen(decision, verdicts, entry.id, was_served=was_served))
    found = None if decision.proposal is None else verdicts.get(decision.proposal.group)
    if found is not None:
        learning.checked(decision, found, was_served=was_served)
    return found


async def teach_said(learning: Learning, given: Given, verdict: Verdict, *, store: CacheStore) -> None:
    """Note what somebody said who saw an answer. Raises BackendUnavailable.

    A wrong one counts among the checks. A right one speaks for its entry alone: nobody was chosen by chance to say so,
    and rates would look better than they are.
    """
    if verdict is Verdict.SAME:
        await store.learn(given.entry, given.right)
        return
    if not learning.knows(given.scope):
        await learning.recall(given.scope, store)
    learning.checked(given, verdict, was_served=True)
    await learning.flush(store, given.scope)


def _of_interest(decision: Decision) -> list[Neighbour]:
    """The proposal's best member first, then the nearest that no guard vetoed."""
    near = [one for one in decision.neighbours[:COMPARED] if one.veto is None]
    return [*(decision.serves[:1] or decision.proposal.members[:1] if decision.proposal is not None else ()), *near]
