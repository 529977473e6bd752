"""Check-digit schemes by name: what tells a made-up number from one that somebody was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

__all__ = ["CHECKSUMS", "Checksum"]

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_CHARACTERS: Final = 64  # twice the longest that anybody is given
_SEPARATORS = re.compile(r"[^\w*]|_")


class Checksum(NamedTuple):
    """A scheme: whether a number with its check digits is right, and where the scheme is written down."""

    is_valid: Callable[[str], bool]
    source: str

    def __call__(self, value: str) -> bool:
        """Whether a value passes; what parts its digits does not count, nor does the case of its letters."""
        characters = _SEPARATORS.sub("", value).upper()
        return 1 < len(characters) <= _MOST_CHARACTERS and characters.isascii() and self.is_valid(characters)


def _luhn(number: str) -> bool:
    if not number.isdigit():
        return False
    doubled = (digit if index % 2 == 0 else digit * 2 for index, digit in enumerate(map(int, reversed(number))))
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def _gs1(number: str) -> bool:
    if not number.isdigit():
        return False
    return sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(reversed(number))) % 10 == 0


def _mod11(number: str) -> bool:
    body, check = number[:-1], number[-1]
    if not body.isdigit() or not (check.isdigit() or check == "X"):
        return False
    weighted = sum(int(digit) * weight for weight, digit in enumerate(reversed(body), start=2))
    return (weighted + (10 if check == "X" else int(check))) % 11 == 0


# The multiplication of the dihedral group of order ten, and the permutation whose powers are applied by place.
_DIHEDRAL = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _verhoeff(number: str) -> bool:
    if not number.isdigit():
        return False
    interim = 0
    for place, digit in enumerate(map(int, reversed(number))):
        for _ in range(place % 8):
            digit = _PERMUTATION[digit]
        interim = int(_DIHEDRAL[interim][digit])
    return interim == 0


_DAMM = (
    *("0317598642", "7092154863", "4206871359", "1750983426", "6123045978"),
    *("3674209581", "5869720134", "8945362017", "9438617205", "2581436790"),
)


def _damm(number: str) -> bool:
    if not number.isdigit():
        return False
    interim = 0
    for digit in map(int, number):
        interim = int(_DAMM[interim][digit])
    return interim == 0


def _pure(modulus: int, radix: int, alphabet: str, check: str) -> Callable[[str], bool]:
    """ISO/IEC 7064's pure systems with one check character: the last may also be one that stands for no number."""

    def is_valid(number: str) -> bool:
        if any(character not in alphabet for character in number[:-1]) or number[-1] not in check:
            return False
        interim = 0
        for character in number[:-1]:
            interim = (interim + alphabet.index(character)) * radix % modulus
        return (interim + check.index(number[-1])) % modulus == 1

    return is_valid


def _hybrid(modulus: int, alphabet: str) -> Callable[[str], bool]:
    """ISO/IEC 7064's hybrid systems, modulo one more than the characters there are and modulo as many."""

    def is_valid(number: str) -> bool:
        if any(character not in alphabet for character in number):
            return False
        interim = modulus
        for character in number[:-1]:
            interim = ((interim + alphabet.index(character)) % modulus or modulus) * 2 % (modulus + 1)
        return (interim + alphabet.index(number[-1])) % modulus == 1

    return is_valid


def _mod97(number: str) -> bool:
    if not number.isalnum():
        return False
    return int("".join(str(_LETTERS.index(character)) for character in number)) % 97 == 1


def _iban(number: str) -> bool:
    return len(number) >= 15 and number[:2].isalpha() and number[2:4].isdigit() and _mod97(number[4:] + number[:4])


_ISO_7064 = "ISO/IEC 7064:2003"

CHECKSUMS: Mapping[str, Checksum] = {
    "luhn": Checksum(_luhn, "ISO/IEC 7812-1:2017, annex B: payment cards, IMEI, Canadian SIN"),
    "gs1": Checksum(_gs1, "GS1 General Specifications, 7.9: GTIN, SSCC, GLN; ISBN-13"),
    "mod11": Checksum(_mod11, "ISO 2108:1992: weights 2, 3, 4 … from the right, X for ten: ISBN-10, NHS numbers"),
    "verhoeff": Checksum(_verhoeff, "J. Verhoeff, Error Detecting Decimal Codes, 1969: Aadhaar"),
    "damm": Checksum(_damm, "H. M. Damm, Total anti-symmetrische Quasigruppen, 2004"),
    "mod97": Checksum(_mod97, f"{_ISO_7064}, MOD 97-10, check digits last: LEI, creditor references without their RF"),
    "iban": Checksum(_iban, "ISO 13616-1:2020: MOD 97-10 with the first four characters last"),
    "iso7064_mod11_2": Checksum(
        _pure(11, 2, _LETTERS[:10], "0123456789X"), f"{_ISO_7064}, MOD 11-2: ORCID, ISNI, Chinese resident identity"
    ),
    "iso7064_mod37_2": Checksum(
        _pure(37, 2, _LETTERS, _LETTERS + "*"), f"{_ISO_7064}, MOD 37-2: ISBT 128 donation numbers"
    ),
    "iso7064_mod11_10": Checksum(
        _hybrid(10, _LETTERS[:10]), f"{_ISO_7064}, MOD 11,10: German tax identification, Croatian OIB"
    ),
    "iso7064_mod37_36": Checksum(_hybrid(36, _LETTERS), f"{_ISO_7064}, MOD 37,36: GRid"),
}
"""Every scheme that a custom recognizer may name."""
