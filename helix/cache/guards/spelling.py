"""Slips of the hand."""

from __future__ import annotations

import re
from functools import lru_cache

from helix.cache.guards.grammar import CONTRACTIONS, FUNCTION
from helix.cache.guards.lexicon import bases, entry

__all__ = ["are_one_slip_apart", "is_slip", "is_usual", "reseated", "right_spelling"]

# Of these the turns of phrase in grammar.CARRIERS are made.
_CLOSED = FUNCTION | {"way", "best", "good", "want", "know", "tell", "should", "would", "process", "steps", "trying"}
_LETTERS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_ROMAN = re.compile(r"[ivxlcdm]+")
_MOST_LETTERS = 32
"""Of a word that may be another one misspelt; trying each of its letters takes the square of their number."""
_LEAST_LETTERS = 4
"""Words shorter than this are other words when a letter differs; two neighbours may be swapped in any."""


def is_slip(one: str, other: str) -> str | None:
    """What makes one word of the other: neighbours "swapped", a letter "dropped" or "replaced"; None for more."""
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    if len(long) - len(short) > 1 or one == other or (_ROMAN.fullmatch(one) and _ROMAN.fullmatch(other)):
        return None
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) == len(long):
        if short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]:
            return "swapped"
        return "replaced" if len(short) >= _LEAST_LETTERS and short[at + 1 :] == long[at + 1 :] else None
    return "dropped" if len(long) > _LEAST_LETTERS and short[at:] == long[at + 1 :] else None


@lru_cache(maxsize=8192)
def is_usual(word: str) -> bool:
    """Whether a lower-case word is likely what it seems, and not another one misspelt."""
    if word in FUNCTION:
        return True
    known = [entry(base) for base in bases(word)]
    return any(found is not None and (found.frequent or len(word) > _LEAST_LETTERS) for found in known)


@lru_cache(maxsize=4096)
def right_spelling(word: str) -> str | None:
    """The closed-class word that was meant by a word that is none; None where none is one slip away."""
    if not _LEAST_LETTERS <= len(word) <= _MOST_LETTERS:
        return _swapped().get(word)
    found = {meant for part in _shortened(word) for meant in _meant().get(part, ()) if is_slip(word, meant)}
    return _swapped().get(word) or min(found, default=None)


@lru_cache(maxsize=1)
def _swapped() -> dict[str, str]:
    """Closed-class words with two neighbours swapped, as far as that gives no other word, and what was meant."""
    found: dict[str, str] = {}
    for word in sorted(_CLOSED):
        for at in range(len(word) - 1):
            slip = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            if not is_usual(slip):
                found.setdefault(slip, word)
    return found


@lru_cache(maxsize=1)
def _meant() -> dict[str, list[str]]:
    """Longer closed-class words by what is left of them without one letter, or none."""
    found: dict[str, list[str]] = {}
    for word in _CLOSED:
        if len(word) >= _LEAST_LETTERS:
            for part in _shortened(word):
                found.setdefault(part, []).append(word)
    return found


def _shortened(word: str) -> list[str]:
    return [word, *(word[:at] + word[at + 1 :] for at in range(len(word)))]


def reseated(left: str, right: str) -> tuple[str, str] | None:
    """Two words with the letter beside the space moved across it, where that makes usual words of both."""
    for cut in ((left[:-1], left[-1:] + right), (left + right[:1], right[1:])):
        if all(len(word) > 1 or word in ("a", "i") for word in cut) and all(map(is_usual, cut)):
            return cut
    return None


def are_one_slip_apart(one: str, other: str) -> bool:
    """Whether two texts are the same but for one slip of the hand in one place, which leaves no word of the language.

    Two neighbouring signs are swapped (a space or a mark may be one of them), or a letter of a longer word is dropped,
    doubled or replaced. Digits, names and codes are not slips.
    """
    if abs(len(one) - len(other)) > 1:
        return False
    head = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    most = min(len(one), len(other)) - head
    tail = next((at for at in range(most) if one[-1 - at] != other[-1 - at]), most)
    here, there = one[head : len(one) - tail], other[head : len(other) - tail]
    if any(sign.isdigit() or sign in "<>_" for sign in here + there):
        return False
    swapped = len(here) == len(there) == 2 and here == there[::-1]
    if not swapped and not ((here + there).isalpha() and len(here) < 2 and len(there) < 2):
        return False
    mine, theirs = _touched(one, head, len(one) - tail), _touched(other, head, len(other) - tail)
    if any("<" in text or (text.isupper() and not one.isupper() and not other.isupper()) for text in (mine, theirs)):
        return False
    left, right = _LETTERS.findall(mine.lower()), _LETTERS.findall(theirs.lower())
    if any(_ROMAN.fullmatch(word) and len(word) > 1 for word in (*left, *right)):
        return False
    odd, others = [word for word in left if not _is_word(word)], [word for word in right if not _is_word(word)]
    if swapped:
        return bool(odd or others)
    if here + there == one[head - 1 : head] and len(mine) > _LEAST_LETTERS and mine.islower():
        return bool(odd or others)  # a letter twice, or once instead
    return (
        bool(odd) != bool(others)
        and mine.islower()
        and theirs.islower()
        and min(len(mine), len(theirs)) >= (_LEAST_LETTERS)
    )


def _touched(text: str, start: int, end: int) -> str:
    """The stretch between spaces in which something was changed."""
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end]


def _is_word(word: str) -> bool:
    plain = word.replace("\u2019", "'")
    return plain in CONTRACTIONS or is_usual(plain.removesuffix("'s"))
