"""What the strategy `encrypt` puts into a text can be read again, by whoever holds the key and nobody else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helix.redact.encryption import decrypted, encrypted

KEY = b"0123456789abcdef"


@given(st.text(min_size=1))
@settings(deadline=None)  # the first loads Presidio's anonymizer
def test_what_was_encrypted_is_read_again(value: str) -> None:
    """In the middle of a text, as often as it stands there."""
    sent = f"<CREDIT_CARD:{encrypted(value, KEY)}>"
    assert decrypted(f"pay {sent}, {sent}", KEY) == (f"pay {value}, {value}", 0)


def test_what_is_not_ours_stays_and_is_counted() -> None:
    """Another key's, what somebody altered, what only looks like it."""
    ours = encrypted("4111 1111 1111 1111", KEY)
    altered = ours[:30] + ("A" if ours[30] != "A" else "B") + ours[31:]
    for ciphertext, key in ((ours, KEY[::-1]), (altered, KEY), ("A" * 43, KEY), ("A" * 44, KEY)):
        text = f"pay <CREDIT_CARD:{ciphertext}>"
        assert decrypted(text, key) == (text, 1)
    assert decrypted("<A:b> <CREDIT_CARD_1>", KEY) == ("<A:b> <CREDIT_CARD_1>", 0)
