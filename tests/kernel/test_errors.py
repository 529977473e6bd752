from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from helix.kernel import errors
from helix.kernel.errors import HelixError, UpstreamStatus


def tree(base: type[HelixError] = HelixError) -> Iterator[type[HelixError]]:
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind: type[HelixError]) -> None:
    """Ray carries errors between processes by pickle."""
    if kind is UpstreamStatus:
        error: HelixError = UpstreamStatus("it says no", 418, b"{}", "application/json", (("retry-after", "1"),))
    else:
        error = kind("it says no", "model", (("retry-after", "1"),))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert vars(copy) == vars(error)
    assert copy.args == error.args
    assert str(copy) == "it says no"
    assert (copy.status, copy.type, copy.code) == (error.status, error.type, error.code)


def test_the_docstring_draws_the_tree() -> None:
    """Every class is in it, with its own status and code, and nothing else is."""
    assert errors.__doc__ is not None
    drawn = {
        match[1]: match[2] for match in re.finditer(r"^[ │├└─]*([A-Z]\w+) +(\d{3}|\S.*)", errors.__doc__, re.MULTILINE)
    }
    for kind in tree():
        assert kind.__name__ in drawn, kind
        if drawn[kind.__name__].isdigit():
            assert int(drawn[kind.__name__]) == kind.status
        line = next(line for line in errors.__doc__.splitlines() if re.search(rf"\b{kind.__name__}\b", line))
        if kind.__name__ not in ("HelixError", "UpstreamStatus", "ConfigError", "InvalidRequest"):
            assert kind.code in line
