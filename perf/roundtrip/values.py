"""Hypothesis strategies for personal data, and for texts with it among all that may stand beside it."""

from __future__ import annotations

import string
from collections.abc import Sequence

from hypothesis import strategies as st

__all__ = ["texts", "values"]

_DIGITS = st.integers(0, 9).map(str)
_HOSTS = ("example.com", "mail.example.co.uk", "münchen.de", "sub-domain.example.org", "build.internal", "posteo.de")
_LOCAL = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
_PEOPLE = (
    *("Ann Lee", "Jürgen Groß-Müller", "Siobhán O'Brien", "JOHN SMITH", "maria garcía lópez", "Wei Zhang", "Li"),
    *("Олена Шевченко", "محمد علي", "Nguyễn Thị Minh Khai", "J. R. R. Tolkien", "Dr. Amara Okafor", "Jean-Luc"),
)
_PLACES = ("Berlin", "12 Rue de la Paix, 75002 Paris", "São Paulo", "New York", "221B Baker Street, London", "Osaka")


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.lists(_DIGITS, min_size=count, max_size=count).map("".join)


@st.composite
def _card(draw: st.DrawFn) -> str:
    start, length = draw(st.sampled_from([("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("4", 19)]))
    number = start + draw(_digits(length - len(start) - 1))
    # ISO/IEC 7812-1, annex B: from the right, every second digit counts double.
    doubled = (sum(divmod(2 * int(d), 10)) if place % 2 == 0 else int(d) for place, d in enumerate(reversed(number)))
    number += str(-sum(doubled) % 10)
    mark = draw(st.sampled_from(["", "", " ", "-"]))
    return mark.join(number[at : at + 4] for at in range(0, length, 4)) if mark and length == 16 else number


@st.composite
def _iban(draw: st.DrawFn) -> str:
    country, length = draw(st.sampled_from([("DE", 18), ("NL", 14), ("GB", 18), ("ES", 20)]))
    letters = {"NL": "ABNA", "GB": "WEST"}.get(country, "")
    account = letters + draw(_digits(length - len(letters)))
    # ISO 13616-1: letters count as 10 to 35, and the whole modulo 97 is 1.
    number = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    iban = f"{country}{98 - int(number) % 97:02d}{account}"
    return draw(st.sampled_from([iban, " ".join(iban[at : at + 4] for at in range(0, len(iban), 4)), iban.lower()]))


@st.composite
def _ssn(draw: st.DrawFn) -> str:
    area = draw(st.integers(1, 899).filter(lambda number: number != 666))
    return f"{area:03d}-{draw(st.integers(1, 99)):02d}-{draw(st.integers(1, 9999)):04d}"


_EMAIL = st.builds("{}{}{}@{}".format, _LOCAL, st.sampled_from([".", "_", "+", ""]), _LOCAL, st.sampled_from(_HOSTS))
_PHONE = st.one_of(
    st.builds("+1 202-555-01{}".format, _digits(2)),
    st.builds("(415) 555-01{}".format, _digits(2)),
    st.builds("+49 30 901820{}".format, _digits(2)),
    st.builds("+44 20 7946 0{}".format, _digits(3)),
)
_IP = st.one_of(
    st.builds("{}.{}.{}.{}".format, *[st.integers(11, 223)] * 4).filter(lambda ip: not ip.startswith("127.")),
    st.builds("2a00:1450:4001:81b::{:x}".format, st.integers(1, 65535)),
)
_CREDENTIALS = st.builds("postgres://{}:{}@db.example/x".format, _LOCAL, _LOCAL)

values: st.SearchStrategy[str] = st.one_of(
    _EMAIL, _card(), _PHONE, _iban(), _ssn(), _IP, _CREDENTIALS, st.sampled_from(_PEOPLE), st.sampled_from(_PLACES)
)
"""One piece of personal data, in one of its forms."""

_CARRIERS = (
    *("{}", "{}", "I'm {}.", "mail {} now", "«{}»", "({})", "{}!", "card {}", "ssn: {}", "call me: {}", "\n{}\n"),
    *(
        "**{}**",
        "`{}`",
        "<{}>",
        '"{}"',
        "'{}',",
        "{},",
        "user={}&x=1",
        '{{"who": "{}"}}',
        "a,{},b",
        "{}'s",
        "x{}",
        "{}x",
    ),
    *("IP {} was seen", "iban {}", "# {}", "\u202b{}\u202c", "👩‍👩‍👧{}👋", "{}\u0301", "他是{}。"),
)
_KINDS = ("PERSON", "EMAIL_ADDRESS", "CREDIT_CARD", "PHONE_NUMBER", "US_SSN", "LOCATION", "IP_ADDRESS", "X")
_LITERALS = st.builds(
    str.format,
    st.sampled_from(
        ["<{0}_{1}>", "<{0}_{1}", "{0}_{1}>", "**<{0}_{1}>**", "&lt;{0}_{1}&gt;", "< {0}_{1} >", "[{0}_{1}]"]
    ),
    st.one_of(st.sampled_from(_KINDS), st.sampled_from(_KINDS).map(str.lower), st.sampled_from(_KINDS).map(str.title)),
    st.sampled_from([0, 1, 1, 1, 2, 3, 12]),
)
_ODD_PIECES = (
    *(
        "<",
        ">",
        "<<",
        "\\u003c",
        "\\",
        '"',
        "\\n",
        "\n",
        "\t",
        "\r\n",
        "\x00",
        "\u200b",
        "\ufeff",
        "e\u0301",
        "😀",
        "🇩🇪",
    ),
    *("1.2.3.4.5", "v10.2.3", "123456789", "deadbeefdeadbeef", "2024-05-06T07:08:09Z", "{}", "[1, 2]", "<br/>"),
    *(
        "data:image/png;base64,iVBORw0KGgo=",
        "العربية",
        "日本語",
        "İ",
        "ß",
        "ſ",
        "ǅ",
        "Ａ",
        "the",
        "order 66",
        "@",
        "@@",
    ),
)
_ODD = st.one_of(st.sampled_from(_ODD_PIECES), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


def _spelled(value: str) -> st.SearchStrategy[str]:
    """The value, mostly as it is: sometimes in other letters or with other blanks."""
    others = (value.upper(), value.lower(), value.replace(" ", "  "), value.replace(" ", "\n"))
    return st.sampled_from([value] * 6 + list(others))


def texts(pool: Sequence[str], corpus: Sequence[str] = ()) -> st.SearchStrategy[str]:
    """A text in which values of the pool may stand, with whole texts of a corpus now and then."""
    value = st.sampled_from(pool).flatmap(_spelled)
    pieces = [st.builds(str.format, st.sampled_from(_CARRIERS), value)] * 3 + [_LITERALS, _ODD]
    if corpus:
        pieces.append(st.sampled_from(corpus))
    return st.builds(
        lambda mark, parts: mark.join(parts),
        st.sampled_from([" ", " ", "", "\n", ", "]),
        st.lists(st.one_of(pieces), min_size=1, max_size=5),
    )
