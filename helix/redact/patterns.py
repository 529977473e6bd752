"""Regular expressions of others': checked when they are read, and held to a time limit when they run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped]

from helix.kernel.errors import BackendUnavailable
from helix.redact.hostile import hostile_texts, is_empty_possible

__all__ = ["FLAGS", "IGNORECASE", "RUN_LIMIT_SECONDS", "BoundedPattern", "bound", "check_pattern"]

FLAGS = int(regex.DOTALL | regex.MULTILINE)
"""What Presidio compiles patterns with, beside IGNORECASE, which a recognizer may leave out."""

IGNORECASE = int(regex.IGNORECASE)

RUN_LIMIT_SECONDS = 1.0
"""CPU seconds that a pattern may take over one window of a text; after that the detector counts as failed."""

# A pattern's work may grow with the square of the length. One whose work grows with the cube, or doubles with every
# character, goes past this limit at some length; each length is tried in turn, so that this costs little time itself.
_PROBE_CHARS = (8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 675, 1000, 1500, 2250)
_LIMIT_CHARS = 4096
"""The length of a window: what a pattern is given at once."""
_LEAST_LIMIT_SECONDS = 0.005
_PROBES_LIMIT_SECONDS = 0.5


@lru_cache(maxsize=4096)
def check_pattern(expression: str, flags: int) -> None:
    """Raise ValueError for a pattern that is invalid, that takes nothing, or that backtracks without end.

    The last is tried out, on texts made from the pattern to be as bad as can be.
    """
    try:
        compiled = regex.compile(expression, flags)
    except regex.error as error:
        at = f" at position {error.pos}" if error.pos is not None else ""
        raise ValueError(f"not a regular expression: {error.msg}{at}") from None
    except (RecursionError, OverflowError, ValueError, IndexError) as error:
        raise ValueError(f"not a regular expression: {type(error).__name__}") from None
    empty = is_empty_possible(expression, flags)
    if empty or (empty is None and compiled.search("") is not None):
        raise ValueError("every part of it is optional, so it would find nothing at every place; require a character")
    for hostile in hostile_texts(expression, flags):
        ends = time.thread_time() + _PROBES_LIMIT_SECONDS
        for length in _PROBE_CHARS:
            limit = max(RUN_LIMIT_SECONDS * (length / _LIMIT_CHARS) ** 2, _LEAST_LIMIT_SECONDS)
            for kind in hostile:
                text = kind.text(length)
                # Up to three times: at first a processor's caches are cold, and other threads may be at work.
                if all(_seconds(compiled, text, limit) > limit for _ in range(3)):
                    raise ValueError(
                        f"it backtracks without end: {kind.piece!r} repeated over {length} characters takes it over "
                        f"{limit * 1000:.0f} ms; let only one repeat take a character, or make it possessive, a++"
                    )
                if time.thread_time() > ends:
                    break


def _seconds(compiled: regex.Pattern[str], text: str, limit: float) -> float:
    """How long a pattern takes over a text, in CPU time of this thread; not much longer than the limit."""
    started = time.thread_time()
    try:
        # This limit counts the CPU time of all threads.
        for _ in compiled.finditer(text, timeout=limit * 8, concurrent=True):
            pass
    except TimeoutError:
        pass
    return time.thread_time() - started


class BoundedPattern:
    """A compiled pattern that takes `RUN_LIMIT_SECONDS` at most, and lets other threads run meanwhile.

    It stands where Presidio keeps a pattern's compiled form. Presidio itself skips a pattern that takes too long, as
    though it had found nothing; here it is an outage: BackendUnavailable is raised.
    """

    __slots__ = ("_compiled", "_name")

    def __init__(self, compiled: regex.Pattern[str], name: str) -> None:
        self._compiled = compiled
        self._name = name

    def __repr__(self) -> str:
        return f"BoundedPattern({self._name!r})"

    def finditer(
        self, text: str, pos: int | None = None, endpos: int | None = None, **_options: Any
    ) -> Iterator[regex.Match[str]]:
        """What it finds in a text, or in a part of it. Raises BackendUnavailable."""
        try:
            yield from self._compiled.finditer(text, pos, endpos, timeout=RUN_LIMIT_SECONDS, concurrent=True)
        except TimeoutError:
            raise BackendUnavailable(
                f"the pattern {self._name} took longer than {RUN_LIMIT_SECONDS:g} s over a text"
            ) from None


def bound(recognizers: Iterable[Any]) -> None:
    """Hold the patterns of Presidio recognizers to the limit, whoever made them."""
    for recognizer in recognizers:
        for pattern in getattr(recognizer, "patterns", None) or ():
            flags = recognizer.global_regex_flags
            pattern.compiled_with_flags = flags
            name = f"{pattern.name!r} of the recognizer {recognizer.name!r}"
            pattern.compiled_regex = BoundedPattern(regex.compile(pattern.regex, flags), name)
