"""Numbers, as digits or words, and what they count."""

from __future__ import annotations

from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.numerals import Number
from helix.cache.guards.reading import REMEMBERED, Reading, Token

__all__ = ["same_numbers"]

_OPERATORS = frozenset("*/")  # beside operands; elsewhere they are how people write. The rest is symbols.py's


def same_numbers(one: Reading, other: Reading, _: Alignment) -> bool:
    """The same numbers of the same units, in the same order or each beside its own noun, and the same operators."""
    left, right = one.numbers, other.numbers
    if _operators(one) != _operators(other):
        return False
    if len(left) == len(right):
        if all(map(_agree, left, right)):
            return True
        mine, theirs = _by_place(left), _by_place(right)
        return len(mine) == len(left) and all(_agree(number, theirs.get(place)) for place, number in mine.items())
    # "one" is a pronoun as often as a number, so it may stand for a 1 and need not.
    fewer, more, reading = (left, right, one) if len(left) < len(right) else (right, left, other)
    rest = [number for number in more if number.value != 1.0]
    spare = sum(word == "one" for word in reading.words())
    return len(rest) == len(fewer) and len(more) - len(rest) <= spare and all(map(_agree, fewer, rest))


@lru_cache(maxsize=REMEMBERED)
def _operators(reading: Reading) -> list[str]:
    """What stands between two operands: numbers, or letters that stand for some."""
    tokens = reading.tokens
    return [
        sign.lower
        for before, sign, after in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if sign.lower in _OPERATORS and _is_operand(before) and _is_operand(after)
    ]


def _is_operand(token: Token) -> bool:
    return token.kind == "number" or (token.kind == "word" and len(token.text) == 1)


def _agree(one: Number, other: Number | None) -> bool:
    return other is not None and one.value == other.value and (one.unit == other.unit or not one.unit or not other.unit)


def _by_place(numbers: tuple[Number, ...]) -> dict[tuple[str, str], Number]:
    """The numbers by the nouns beside them; where those do not tell them apart, by the prepositions too."""
    if len({number.noun for number in numbers}) == len(numbers):
        return {("", number.noun): number for number in numbers}
    return {(number.preposition, number.noun): number for number in numbers}
