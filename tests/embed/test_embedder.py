from __future__ import annotations

import asyncio
import math
import threading
from array import array
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from helix.embed import SentenceTransformerEmbedder
from helix.kernel.errors import BackendUnavailable

TEXTS = [
    "Where is my card?",
    "x",
    "Ünïcode, 日本 and <PERSON_1>",
    "word " * 120,
    "",
    "A middling sentence about nothing.",
]


@pytest_asyncio.fixture
async def embedder(graphs: Path) -> AsyncIterator[SentenceTransformerEmbedder]:
    made = SentenceTransformerEmbedder(cache_dir=graphs)
    await made.open()
    yield made
    await made.close()


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_vectors(embedder: SentenceTransformerEmbedder) -> None:
    """One unit vector of `dim` float32 a text, in order; near texts are near."""
    assert (embedder.dim, embedder.max_tokens) == (384, 256)
    vectors = await embedder.embed([*TEXTS, "Where's my card?"])
    for vector in vectors:
        assert isinstance(vector, array)
        assert vector.typecode == "f"
        assert len(vector) == 384
        assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-5)
    assert cosine(vectors[0], vectors[-1]) > 0.95 > 0.3 > cosine(vectors[0], vectors[5])


async def test_beyond_the_window(embedder: SentenceTransformerEmbedder) -> None:
    """A text longer than the window gets an empty vector, the others of its batch theirs; the last that fits fits."""
    fits, too_long, huge = "word " * 254, "word " * 255, "word" * 100_000
    vectors = await embedder.embed([fits, too_long, "short", huge])
    assert [len(vector) for vector in vectors] == [384, 0, 384, 0]
    assert [len(vector) for vector in await embedder.embed([too_long])] == [0]
    assert [await embedder.fits(text) for text in (fits, too_long, "short", huge)] == [True, False, True, False]


class Counting:
    """A model that notes its batches and threads, and waits to be let go on."""

    dim = 1
    max_tokens = 10

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.may_run = threading.Event()

    def encode(self, texts: Sequence[str]) -> list[array[float]]:
        self.may_run.wait()
        self.batches.append(list(texts))
        self.threads.add(threading.get_ident())
        if "bad" in texts:
            raise ValueError("a secret text")
        return [array("f", [1.0]) for _ in texts]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr("helix.embed.local._load_and_try", lambda which, running: ("counting@0", counting))
    return counting


@pytest.mark.parametrize(
    "text",
    [
        "\u4f60\u5982\u4f55\u91cd\u7f6e\u5bc6\u7801\u5462\u8bf7\u95ee",
        "\u1360\u12a2\u1275\u12ee",
        "Decode this: " + "x" * 200,
        "What is [UNK]?",
    ],
)
async def test_words_that_the_model_does_not_know(embedder: SentenceTransformerEmbedder, text: str) -> None:
    """All such words are one to the model, so whatever is asked in them would be near."""
    assert not await embedder.fits(text)
    (vector,) = await embedder.embed([text])
    assert len(vector) == 0


async def test_signs_that_the_model_does_not_know(embedder: SentenceTransformerEmbedder) -> None:
    """An emoji leaves a text readable."""
    assert await embedder.fits("Where is my card? \U0001f600")


async def test_calls_of_one_tick_are_one_batch(model: Counting) -> None:
    """Calls made together are embedded together, equal texts once, all in one thread that is not the loop's."""
    model.may_run.set()
    embedder = SentenceTransformerEmbedder()
    await embedder.open()
    await asyncio.gather(*(embedder.embed([text]) for text in ("a", "b", "a", "c")), embedder.embed(["d", "b"]))
    assert model.batches == [["a", "b", "c", "d"]]
    assert len(model.threads) == 1
    assert threading.get_ident() not in model.threads
    await embedder.close()


async def test_texts_seen_are_remembered(model: Counting) -> None:
    """A text that was seen is not embedded again until it is the least recently used."""
    model.may_run.set()
    embedder = SentenceTransformerEmbedder(remembered=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await embedder.embed([text])
    assert model.batches == [["a"], ["b"], ["c"], ["b"]]
    await embedder.close()


async def test_what_is_remembered_is_no_text(model: Counting) -> None:
    """Texts are remembered under keyed digests: memory shows neither a text nor what another process calls it."""
    model.may_run.set()
    embedders = [SentenceTransformerEmbedder(), SentenceTransformerEmbedder()]
    for embedder in embedders:
        await embedder.embed(["a secret"])
    one, other = ({*embedder._seen} for embedder in embedders)
    assert len(one) == len(other) == 1
    assert not one & other
    for embedder in embedders:
        await embedder.close()


async def test_a_failure_reaches_those_who_asked_and_nobody_else(model: Counting) -> None:
    """An error of the model is a BackendUnavailable without the model's message; the next call works."""
    model.may_run.set()
    embedder = SentenceTransformerEmbedder()
    with pytest.raises(BackendUnavailable) as raised:
        await embedder.embed(["bad", "good"])
    assert "secret" not in raised.value.message
    assert len(await embedder.embed(["good"])) == 1
    await embedder.close()


async def test_a_caller_who_leaves(model: Counting) -> None:
    """A cancelled call takes nothing from the others of its batch."""
    embedder = SentenceTransformerEmbedder()
    await embedder.open()
    leaving = asyncio.create_task(embedder.embed(["a"]))
    staying = asyncio.create_task(embedder.embed(["b"]))
    await asyncio.sleep(0)
    leaving.cancel()
    model.may_run.set()
    assert len(await staying) == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await embedder.close()


async def test_who_leaves_during_the_loading_does_not_undo_it(model: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled first call leaves the loading to the next, which finds it done."""
    loads = 0
    may_load = threading.Event()

    def slow(which: object, running: object) -> tuple[str, Counting]:
        nonlocal loads
        loads += 1
        may_load.wait()
        return "counting@0", model

    monkeypatch.setattr("helix.embed.local._load_and_try", slow)
    model.may_run.set()
    embedder = SentenceTransformerEmbedder()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await embedder.embed(["a"])
    may_load.set()
    assert len(await embedder.embed(["a"])) == 1
    assert loads == 1
    await embedder.close()


async def test_close_ends_calls_in_flight(model: Counting) -> None:
    """Who waits when the embedder is closed is told so; opened again, it works."""
    embedder = SentenceTransformerEmbedder()
    await embedder.open()
    waiting = asyncio.create_task(embedder.embed(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing = asyncio.create_task(embedder.close())
    with pytest.raises(BackendUnavailable):
        await waiting
    model.may_run.set()
    await closing
    assert len(await embedder.embed(["b"])) == 1
    await embedder.close()


async def test_a_model_that_is_not_here() -> None:
    """An unknown name, offline, is an outage that names the model and tries again later."""
    embedder = SentenceTransformerEmbedder("nobody/no-such-model")
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="nobody/no-such-model"):
            await embedder.open()


async def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    """A folder without a model is an outage too."""
    embedder = SentenceTransformerEmbedder(tmp_path)
    with pytest.raises(BackendUnavailable, match=tmp_path.name):
        await embedder.open()


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"remembered": -1},
        {"backend": "tensorflow"},
        {"dim": 0},
        {"providers": []},
        {"providers": ["CUDAExecutionProvider"], "backend": "torch"},
        {"providers": ["CUDAExecutionProvider"], "device": "cuda"},
        {"providers": ["CUDAExecutionProvider"], "backend": "onnx-int8"},
        {"device": "cuda", "backend": "onnx"},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """The constructor names the argument that is wrong."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SentenceTransformerEmbedder(None, **wrong)
