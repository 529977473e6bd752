"""An embedder in this process: one thread of its own, calls of one tick batched, texts seen remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from helix.embed.model import Model, load
from helix.embed.running import Backend, Running
from helix.kernel.errors import BackendUnavailable
from helix.kernel.lifecycle import Resource
from helix.kernel.types import Vector

__all__ = ["SentenceTransformerEmbedder"]

_BATCH = 64


class SentenceTransformerEmbedder:
    """An Embedder that runs a sentence-transformers model here.

    - `model`: a folder or a name on the Hugging Face hub (HF_HUB_OFFLINE is respected); None is the all-MiniLM-L6-v2
      that is installed with Helix.
    - `backend`: "onnx-int8" and "onnx" run a plain BERT in ONNX Runtime, in integers and in float32; "torch" runs it,
      and every other model, in torch. "auto" is torch for a model that only it can run or where a `device` is named,
      onnx where `providers` name more than the CPU, else onnx-int8.
    - `dim`: keep so many floats of each vector, the first, for models that were trained for it (Matryoshka); None: all.
    - `providers`: ONNX Runtime's execution providers, in order; None is the CPU's.
    - `device`: torch's name of where it runs; None is "cuda" where there is a GPU that this process may use, or "cpu".
    - `threads`: how many may work on one operation (torch: in the whole process); None is 1 below 16 cores.
    - `remembered`: how many texts' vectors are kept (1.7 KB each at 384 floats); the least recently used go first.
    - `cache_dir`: where the graphs that ONNX Runtime runs are kept, each written at the model's first use from its own
      files; None is `helix/embed` in the user's cache folder.

    `name`, `dim` and `max_tokens` are known once it is open. It opens itself at first use.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        backend: Backend = "auto",
        dim: int | None = None,
        providers: Sequence[str] | None = None,
        device: str | None = None,
        threads: int | None = None,
        remembered: int = 4096,
        cache_dir: str | Path | None = None,
    ) -> None:
        if remembered < 0:
            raise ValueError(f"remembered must be 0 or more, not {remembered!r}")
        self._running = Running(
            backend=backend,
            dim=dim,
            providers=None if providers is None else tuple(providers),
            device=device,
            threads=threads,
            cache_dir=None if cache_dir is None else Path(cache_dir),
        )
        self.name = ""
        """The model's name, a digest of its content, and how it is run: what decides over its vectors."""
        self.dim = 0
        """Floats in a vector."""
        self.max_tokens = 0
        """The model's window; a longer text gets an empty vector."""
        self._which = model
        self._remembered = remembered
        self._seen: OrderedDict[bytes, Vector] = OrderedDict()
        # Memory holds no text longer than it must, nor a digest that somebody could look a text up by.
        self._digest_key = token_bytes(16)
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

    async def fits(self, text: str) -> bool:
        """Whether a text is inside the model's window, or gets an empty vector for its length."""
        loaded = self._loaded.value or await self._loaded.open()
        return await asyncio.get_running_loop().run_in_executor(loaded.thread, loaded.model.fits, text)

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
            name, model = await loop.run_in_executor(thread, _load_and_try, self._which, self._running)
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

    def _key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._digest_key).digest()

    def _recall(self, text: str) -> Vector | None:
        key = self._key(text)
        vector = self._seen.get(key)
        if vector is not None:
            self._seen.move_to_end(key)
        return vector

    def _remember(self, text: str, vector: Vector) -> None:
        self._seen[self._key(text)] = vector
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


def _load_and_try(which: str | Path | None, running: Running) -> tuple[str, Model]:
    name, model = load(which, running)
    model.encode(["the first text through a model is slow"])
    return name, model
