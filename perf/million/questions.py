"""Questions that nobody asked: vectors with the neighbours that real ones have, scopes, and answers of 700 bytes.

How the vectors are made. A question lies around its topic, and an asking of it around the question: three Gaussian
clouds, one inside another, whose axes have variances that fall as 1/i, as those of sentence embeddings do. Topics and
questions are of very different sizes (Zipf's law), the spread of a question around its topic and of an asking around
its question differ from case to case, and all share a direction. The numbers are such that 10,000 of them are like the
10,003 questions of banking77 under all-MiniLM-L6-v2:

    cosine to the nearest (10th, 50th, 90th percentile)     banking77 0.80, 0.91, 0.98    here 0.82, 0.93, 0.98
    to the 5th nearest                                                0.73, 0.84, 0.93         0.70, 0.81, 0.92
    to the 20th nearest                                               0.65, 0.76, 0.86         0.63, 0.74, 0.84
    to any (5th, 50th, 95th)                                          0.01, 0.21, 0.50        -0.14, 0.18, 0.50
    local dimension (Levina and Bickel 2005, k = 20), median          7.4                      7.1

The number of topics grows with the number of questions, as that of a growing cache's does. A scope gets its questions
at random, so that a neighbour of another scope is as near as one of the own: the hard case for a filter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from perf.process import ROOT

__all__ = ["SHARES", "Questions", "answers", "texts"]

DIM = 384
SHARES = (0.60, 0.25, 0.10)
"""Of the questions in the largest scopes; the rest lies in scopes of about 100."""
ANSWER_BYTES = 700
_SMALL_SCOPE = 100
_PER_TOPIC, _PER_QUESTION = 130, 4
_CHUNK = 50_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Questions:
    """So many vectors, one a row, at unit length; the number of each one's scope; and vectors to ask with."""

    vectors: Floats
    scopes: NDArray[np.int64]
    asked: Floats
    """Half of them ask again, in other words, what is in `vectors`; half ask something new of the same topics."""
    asked_scopes: NDArray[np.int64]

    @classmethod
    def make(cls, count: int, asked: int, seed: int = 1) -> Questions:
        """The same for the same arguments, in random order."""
        rng = np.random.default_rng(seed)
        axes = np.arange(1, DIM + 1, dtype=np.float32) ** -0.5
        axes /= np.linalg.norm(axes)
        rotation = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)

        def cloud(rows: int) -> Floats:
            return rng.standard_normal((rows, DIM), np.float32) * axes

        topics = cloud(max(1, count // _PER_TOPIC))
        common = 0.4 * cloud(1)
        of_topic = _zipf(rng, len(topics), max(1, count // _PER_QUESTION) + asked, 0.6)
        spread = rng.uniform(0.5, 0.8, (len(of_topic), 1)).astype(np.float32)
        questions = cloud(len(of_topic))
        questions *= np.sqrt(1 - spread)
        questions += np.sqrt(spread) * topics[of_topic]
        old = len(of_topic) - asked  # the last ones are asked only
        of_question = _zipf(rng, old, count, 0.4)

        def askings(of: NDArray[np.int64]) -> Floats:
            spread = rng.beta(1.2, 7, (len(of), 1)).astype(np.float32)
            rows = np.sqrt(1 - spread) * questions[of] + np.sqrt(spread) * cloud(len(of)) + common
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            return np.asarray(rows @ rotation, np.float32)

        vectors = np.empty((count, DIM), np.float32)
        for start in range(0, count, _CHUNK):
            vectors[start : start + _CHUNK] = askings(of_question[start : start + _CHUNK])
        again = rng.choice(of_question, asked - asked // 2)
        new = rng.choice(np.arange(old, len(of_topic)), asked // 2)
        return cls(
            vectors, _scopes(rng, count, count), askings(np.concatenate((again, new))), _scopes(rng, asked, count)
        )


def answers(count: int, seed: int = 1) -> Iterator[bytes]:
    """Whole chat answers of 700 bytes, of words of this project's documentation in random order."""
    rng, words = random.Random(seed), _words()
    for number in range(count):
        answer = {
            "id": f"chatcmpl-{rng.getrandbits(140):035x}",
            "object": "chat.completion",
            "created": 1_700_000_000 + number,
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "", "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": rng.randrange(10, 99), "completion_tokens": 80, "total_tokens": 120},
            "service_tier": "default",
            "system_fingerprint": f"fp_{rng.getrandbits(40):010x}",
        }
        room = ANSWER_BYTES - len(orjson.dumps(answer))
        answer["choices"][0]["message"]["content"] = _of(rng, words, room)  # type: ignore[index]
        yield orjson.dumps(answer)


def texts(count: int, seed: int = 2) -> Iterator[str]:
    """Questions of 40 to 80 characters, of the same words."""
    rng, words = random.Random(seed), _words()
    for _ in range(count):
        yield _of(rng, words, rng.randrange(40, 80)) + "?"


def _words() -> list[str]:
    pages = sorted(Path(ROOT / "docs").glob("*.md"))
    return [word for page in pages for word in page.read_text().split() if word.isascii() and word.isalpha()]


def _of(rng: random.Random, words: list[str], chars: int) -> str:
    text = ""
    while len(text) <= chars:
        text += rng.choice(words) + " "
    return text[:chars]


def _zipf(rng: np.random.Generator, kinds: int, count: int, exponent: float) -> NDArray[np.int64]:
    weights = rng.permutation(np.arange(1, kinds + 1, dtype=np.float64)) ** -exponent
    return rng.choice(kinds, count, p=weights / weights.sum())


def _scopes(rng: np.random.Generator, count: int, of: int) -> NDArray[np.int64]:
    small = max(1, round(of * (1 - sum(SHARES)) / _SMALL_SCOPE))
    large = rng.choice(len(SHARES) + 1, count, p=(*SHARES, 1 - sum(SHARES)))
    return np.where(large < len(SHARES), large, len(SHARES) + rng.integers(0, small, count))
