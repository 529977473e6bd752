"""Names and places by a small model: windows of pieces in, spans of whole words out. Imports onnxruntime and more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from helix.kernel.errors import BackendUnavailable
from helix.redact.shapes import SHAPES, shapes

__all__ = ["PACKAGED", "Tag", "Tagger"]

PACKAGED = Path(__file__).parent / "pii_en"
"""The model that comes with Helix: models/pii-en says what it is and how it was made."""

_FILES, _SUMS = ("config.json", "model.onnx", "tokenizer.json"), "SHA256SUMS"
_ACROSS = frozenset("'’-.&/")
_SENTENCE_END = frozenset(".!?")
_BATCH = 64

Likely = NDArray[np.float32]


class Tag(NamedTuple):
    """Characters [start, end) of a text, their kind, and how sure the model is (0 to 1)."""

    start: int
    end: int
    kind: str
    score: float


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A text cut into the model's pieces: ids, shapes, character offsets, and which word each belongs to."""

    ids: list[int]
    shapes: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]


class Tagger:
    """Tags texts with the kinds of what they name. For any number of threads at once.

    `folder` holds what models/pii-en/export.py writes; `providers` are ONNX Runtime's, in order of preference, and
    `threads` are those of one call. `version` tells one model from another. Raises BackendUnavailable where files are
    missing or not those they were.
    """

    def __init__(
        self, folder: Path = PACKAGED, *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 1
    ) -> None:
        files = _checked(folder)
        self.version = hashlib.sha256(files[_SUMS]).hexdigest()
        config: dict[str, Any] = json.loads(files["config.json"])
        if config["shapes"] != SHAPES:
            raise BackendUnavailable(f"the names model in {folder} was trained by another version of Helix")
        labels: list[str] = config["labels"]
        self.kinds = tuple(label[2:] for label in labels if label.startswith("B-"))
        self._begins = np.array([labels.index(f"B-{kind}") for kind in self.kinds])
        self._insides = np.array([labels.index(f"I-{kind}") for kind in self.kinds])
        self._window: int = config["window_pieces"] - 2
        self._overlap: int = config["overlap_pieces"]
        self._tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
        self._first, self._last = (self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
        available = onnxruntime.get_available_providers()
        if not any(provider in available for provider in providers):  # it would take the processor without a word
            raise BackendUnavailable(
                f"ONNX Runtime has none of {', '.join(providers)} for the names model; here are {', '.join(available)}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        # Threads that wait in a loop take the core from those that work; buffers kept per length pile up.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(files["model.onnx"], options, providers=list(providers))
        # The scale of 8-bit activations is that of a call: alone, a window's tags depend on nothing else.
        self._batch = 1 if self._session.get_providers() == ["CPUExecutionProvider"] else _BATCH

    def tag(
        self, texts: Sequence[str], *, threshold: float = 0.4, going_on: Callable[[], None] = lambda: None
    ) -> list[list[Tag]]:
        """The tags of each text, in order and apart; `going_on` is called between windows and may raise."""
        cut = [self._pieces(text) for text in texts]
        likely = self._likely(cut, going_on)
        return [
            list(self._tags(text, pieces, rows, threshold)) if pieces.ids else []
            for text, pieces, rows in zip(texts, cut, likely, strict=True)
        ]

    def _pieces(self, text: str) -> _Pieces:
        # A lone surrogate, which JSON may carry, is nothing that a tokenizer takes: one sign for another.
        safe = text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        safe = safe if len(safe) == len(text) else text.encode("utf-8", "replace").decode()
        encoding = self._tokenizer.encode(safe, add_special_tokens=False)
        offsets = encoding.offsets
        return _Pieces(encoding.ids, shapes(text, offsets), offsets, [word or 0 for word in encoding.word_ids])

    def _likely(self, cut: Sequence[_Pieces], going_on: Callable[[], None]) -> list[Likely]:
        """For each text (pieces, labels): how likely each label is."""
        labels = 1 + 2 * len(self.kinds)
        found = [np.empty((len(pieces.ids), labels), np.float32) for pieces in cut]
        jobs = [
            (end - start, at, start, end, keep)
            for at, pieces in enumerate(cut)
            for start, end, keep in self._windows(pieces)
        ]
        jobs.sort()
        while jobs:
            # Windows of one length go together, so that nothing is padded.
            batch = [job for job in jobs[-self._batch :] if job[0] == jobs[-1][0]]
            del jobs[-len(batch) :]
            going_on()
            ids = [[self._first, *cut[at].ids[start:end], self._last] for _, at, start, end, _ in batch]
            written = [[0, *cut[at].shapes[start:end], 0] for _, at, start, end, _ in batch]
            feed = {"pieces": np.array(ids, np.int64), "shapes": np.array(written, np.int64)}
            (rows,) = self._session.run(["likely"], feed)
            for (_, at, start, end, keep), row in zip(batch, rows, strict=True):
                found[at][keep:end] = row[1 + keep - start : 1 + end - start]
        return found

    def _windows(self, pieces: _Pieces) -> Iterator[tuple[int, int, int]]:
        """[start, end) of each window, and from where on it counts: later windows are sure of their beginnings."""
        total, start, keep = len(pieces.ids), 0, 0
        while start < total:
            end = min(start + self._window, total)
            following = end
            if end < total:
                end, following = self._cut(pieces, start, end)
            yield start, end, keep
            # What stands in two windows is taken from the one where it is further from the edge.
            keep = (following + end) // 2 if end < total else total
            while following < keep < end and pieces.words[keep] == pieces.words[keep - 1]:
                keep += 1
            start = following if end < total else total

    def _cut(self, pieces: _Pieces, start: int, end: int) -> tuple[int, int]:
        """Where a window ends and the next one starts: at a line's or a sentence's end, else they overlap."""
        least = start + self._window * 2 // 3
        for at in range(end, least, -1):
            if pieces.shapes[at] % 3 == 2:
                return at, at
        for at in range(end, least, -1):
            if pieces.shapes[at] % 3 == 1 and self._ends_sentence(pieces, at - 1):
                return at, at
        following = end - self._overlap
        while following > start + 1 and pieces.words[following] == pieces.words[following - 1]:
            following -= 1
        return end, following

    def _ends_sentence(self, pieces: _Pieces, at: int) -> bool:
        # After an initial or an abbreviation a sentence goes on.
        token = self._tokenizer.id_to_token(pieces.ids[at])
        return token in _SENTENCE_END and at > 0 and pieces.offsets[at - 1][1] - pieces.offsets[at - 1][0] > 3

    def _tags(self, text: str, pieces: _Pieces, likely: Likely, threshold: float) -> Iterator[Tag]:
        words = np.array(pieces.words)
        starts = np.flatnonzero(np.concatenate(([True], words[1:] != words[:-1])))
        counts = np.diff(np.append(starts, len(words)))[:, None]
        kinds = np.add.reduceat(likely[:, self._begins] + likely[:, self._insides], starts, axis=0) / counts
        best = kinds.argmax(axis=1)
        sure = kinds.sum(axis=1)
        hits = np.flatnonzero(sure >= threshold)
        if not len(hits):
            return
        begins = likely[starts][:, self._begins] > likely[starts][:, self._insides]
        ends = np.append(starts[1:], len(words)) - 1
        run: list[tuple[int, int, int, float]] = []  # start, end, kind, score of each word
        previous = -2
        for word in hits.tolist():
            start, end = pieces.offsets[starts[word]][0], pieces.offsets[ends[word]][1]
            kind = int(best[word])
            if run:
                glued = text[run[-1][1] : start]
                adjoins = word == previous + 1 or (len(glued) == 1 and glued in _ACROSS)
                # Nothing begins within a word; nothing reaches across cells, and addresses alone across lines.
                goes_on = (not begins[word, kind] or not glued or not glued.isspace()) and not (
                    "\t" in glued or ("\n" in glued and self.kinds[kind] != "LOCATION")
                )
                if not (adjoins and kind == run[-1][2] and goes_on):
                    yield from self._span(text, run)
                    run = []
            run.append((start, end, kind, float(sure[word])))
            previous = word
        yield from self._span(text, run)

    def _span(self, text: str, run: Sequence[tuple[int, int, int, float]]) -> Iterator[Tag]:
        start, end = run[0][0], run[-1][1]
        kind = self.kinds[run[0][2]]
        found = text[start:end]
        if found[-2:].lower() in {"'s", "’s"}:
            end -= 2
        while end > start and not text[end - 1].isalnum() and not _belongs(text, start, end):
            end -= 1
        while end > start and not text[start].isalnum() and text[start] not in "+(#@":
            start += 1
        if end > start and any(character.isalnum() for character in text[start:end]):
            yield Tag(start, end, kind, min(1.0, sum(score for *_, score in run) / len(run)))


def _belongs(text: str, start: int, end: int) -> bool:
    """Whether the sign before `end` is part of what it ends: the stop of a short form, a bracket opened before."""
    sign = text[end - 1]
    if sign == ")":
        return "(" in text[start:end]
    last = text[start : end - 1].split()[-1:] or [""]
    return sign == "." and 0 < len(last[0].rpartition(".")[2]) <= 4


def _checked(folder: Path) -> dict[str, bytes]:
    """The files of a model, by name, once their checksums are those of SHA256SUMS. Raises BackendUnavailable."""
    try:
        files = {name: (folder / name).read_bytes() for name in (*_FILES, _SUMS)}
    except OSError as error:
        raise BackendUnavailable(f"the names model in {folder} cannot be read: {error.strerror}") from None
    lines = files[_SUMS].decode("utf-8", "replace").splitlines()
    sums = {name: sum_ for sum_, _, name in (line.partition("  ") for line in lines)}
    for name in _FILES:
        if hashlib.sha256(files[name]).hexdigest() != sums.get(name):
            raise BackendUnavailable(f"{name} of the names model in {folder} is not the file that its {_SUMS} names")
    return files
