"""Whether two answers say the same: what is only near may say the opposite."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from helix.cache.promise.answers import Answers, digest_of
from helix.cache.promise.learning import Verdict
from helix.kernel.types import Vector


class NearEmbedder:
    """To which all texts are near."""

    name, dim = "near", 2

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [[1.0, 0.0] for _ in texts]


def verdict(left: str, right: str) -> Verdict:
    return asyncio.run(Answers().verdict("?", left, right, NearEmbedder()))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("It is safe to take with alcohol.", "It is not safe to take with alcohol."),
        ("Yes, you can return it.", "No, you cannot return it."),
        ("Enable it in the settings.", "Disable it in the settings."),
        ("Send the form before the deadline.", "Send the form after the deadline."),
        ("The answer is -5.", "The answer is 5."),
        ("\U0001f44d", "\U0001f44e"),
        ("Use C.", "Use C++."),
        ("It costs $5.", "It costs \u20ac5."),
        ("x < y", "x > y"),
    ],
)
def test_what_contradicts_is_not_the_same(left: str, right: str) -> None:
    assert digest_of(left) != digest_of(right)
    assert verdict(left, right) is Verdict.UNSURE
    assert verdict(right, left) is Verdict.UNSURE


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Choose **Security**, then Save.", "choose `Security` - then save"),
        ("- Paris\n- Rome", "* Paris\n* Rome"),
        ("Open Settings and turn it on.", "Go to Settings and switch it on."),
    ],
)
def test_rewordings_are_the_same(left: str, right: str) -> None:
    assert verdict(left, right) is Verdict.SAME
