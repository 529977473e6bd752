"""An embedder in this process: one thread of its own, calls of one tick batched, texts seen remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

from helix.embed.model import Model, load
from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import Vector

__all__ = ["SentenceTransformerEmbedder"]

_BATCH = 64


class SentenceTransformerEmbedder:
    """An Embedder that runs a sentence-transformers model here.

    - `model`: a folder or a name on the Hugging Face hub (HF_HUB_OFFLINE is respected); None is the all-MiniLM-L6-v2
      that is installed with Helix.
    - `device`: torch's name of where it runs; None is "cuda" where there is a GPU that this process may use (on Ray:
      where the deployment reserves one), else "cpu".
    - `threads`: how many torch may use for one operation, in the whole process.
    - `remembered`: how many texts' vectors are kept (1.7 KB each at 384 floats); the least recently used go first.

    `name`, `dim` and `max_tokens` are known once it is open. It opens itself at first use.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str | None = None,
        threads: int = 1,
        remembered: int = 4096,
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads!r}")
        if remembered < 0:
            raise ValueError(f"remembered must be 0 or more, not {remembered!r}")
        self.name = ""
        """The model's name and a digest of its content."""
        self.dim = 0
        """Floats in a vector."""
        self.max_tokens = 0
        """The model's window; a longer text gets an empty vector."""
        self._which = model
        self._device = device
        self._threads = threads
        self._remembered = remembered
        self._seen: OrderedDict[bytes, Vector] = OrderedDict()
        self._waiting: list[tuple[str, asyncio.Future[Vector]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[_Loaded] | None = None
        self._loaded: Resource[_Loaded] = Resource(self._load, _Loaded.close)

    async def open(self) -> None:
        """Load the model. Raises BackendUnavailable, which says what is missing."""
        await self._loaded.open()

    async def close(self) -> None:
        """Let the model and its thread go; calls in flight end with BackendUnavailable."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
        self._fail(self._waiting, BackendUnavailable("the embedder was closed"))
        self._waiting = []
        self._seen.clear()
        await self._loaded.close()

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """One unit vector a text; an empty one for a text beyond the window. Raises BackendUnavailable."""
        loaded = self._loaded.value or await self._loaded.open()
        loop = asyncio.get_running_loop()
        found: list[Vector | asyncio.Future[Vector]] = []
        for text in texts:
            vector = self._recall(text)
            if vector is not None:
                found.append(vector)
                continue
            future: asyncio.Future[Vector] = loop.create_future()
            self._waiting.append((text, future))
            found.append(future)
        if self._waiting and self._worker is None:
            self._worker = asyncio.create_task(self._work(loaded))
        computed = iter(await asyncio.gather(*(item for item in found if isinstance(item, asyncio.Future))))
        return [next(computed) if isinstance(item, asyncio.Future) else item for item in found]

    # Inside

    async def _load(self) -> _Loaded:
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_in_thread())
        # Whoever waits may leave; the loading goes on for the next.
        loading = self._loading
        try:
            return await asyncio.shield(loading)
        finally:
            if loading.done():
                self._loading = None

    async def _load_in_thread(self) -> _Loaded:
        thread = ThreadPoolExecutor(1, thread_name_prefix="helix-embed")
        loop = asyncio.get_running_loop()
        try:
            name, model = await loop.run_in_executor(thread, _load_and_try, self._which, self._threads, self._device)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        self.name, self.dim, self.max_tokens = name, model.dim, model.max_tokens
        return _Loaded(model, thread)

    async def _work(self, loaded: _Loaded) -> None:
        """Embed what waits, batch by batch; what arrives while one runs makes up the next."""
        loop = asyncio.get_running_loop()
        batch: list[tuple[str, asyncio.Future[Vector]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                texts = list(dict.fromkeys(text for text, future in batch if not future.done()))
                if not texts:
                    continue
                try:
                    vectors = dict(
                        zip(texts, await loop.run_in_executor(loaded.thread, loaded.model.encode, texts), strict=True)
                    )
                except Exception as error:  # whatever a model raises, its callers hear of it
                    # Only the kind: the message may repeat the text.
                    self._fail(batch, BackendUnavailable(f"the embedding model failed ({type(error).__name__})"))
                    continue
                for text, vector in vectors.items():
                    self._remember(text, vector)
                for text, future in batch:
                    if not future.done():
                        future.set_result(vectors[text])
        finally:
            self._fail(batch, BackendUnavailable("the embedder was closed"))
            self._worker = None

    @staticmethod
    def _fail(batch: list[tuple[str, asyncio.Future[Vector]]], error: BackendUnavailable) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)

    def _recall(self, text: str) -> Vector | None:
        key = _key(text)
        vector = self._seen.get(key)
        if vector is not None:
            self._seen.move_to_end(key)
        return vector

    def _remember(self, text: str, vector: Vector) -> None:
        self._seen[_key(text)] = vector
        while len(self._seen) > self._remembered:
            self._seen.popitem(last=False)


class _Loaded:
    """A model in its thread."""

    def __init__(self, model: Model, thread: ThreadPoolExecutor) -> None:
        self.model = model
        self.thread = thread

    async def close(self) -> None:
        """End the thread when its last batch is through."""
        await asyncio.to_thread(self.thread.shutdown)


def _load_and_try(which: str | Path | None, threads: int, device: str | None) -> tuple[str, Model]:
    name, model = load(which, threads=threads, device=device)
    model.encode(["the first text through a model is slow"])
    return name, model


def _key(text: str) -> bytes:
    # Not the text itself: memory should not hold what people wrote longer than it must.
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
