from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helix.cache.key import exact_key, key_of, scope_key, stand_ins_of
from helix.kernel.wire import replaced

REQUEST: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "Where is the Louvre?"},
    ],
    "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"minimum": 1}}}],
}

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
requests = st.dictionaries(st.text(max_size=6), values, max_size=6)


def key(request: dict[str, Any], **more: Any) -> str:
    named: dict[str, Any] = {"partition": "p", "namespace": "", "variant": (), **more}
    return exact_key(named.pop("dialect", "chat"), request, **named)


def shuffled(value: Any) -> Any:
    """The same JSON value with every object's members in another order."""
    if isinstance(value, dict):
        return {name: shuffled(item) for name, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def respelled(value: Any) -> Any:
    """The same JSON value with whole numbers written as floats where that is exact, and the other way round."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= 2**53:
        return float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: respelled(item) for name, item in value.items()}
    return [respelled(item) for item in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: unlike Python's, JSON's true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(requests)
def test_order_does_not_matter(request_: dict[str, Any]) -> None:
    """The order of an object's members is not part of the key."""
    assert key(shuffled(request_)) == key(request_)


@given(requests)
def test_number_spelling_does_not_matter(request_: dict[str, Any]) -> None:
    """1 and 1.0 are one number, at any depth."""
    assert key(respelled(request_)) == key(request_)


@pytest.mark.parametrize("spelling", ["100", "100.0", "1e2", "1E+2", "100.00"])
def test_number_spelling_in_json(spelling: str) -> None:
    """However a number is written in the body."""
    request = orjson.loads(b'{"model": "m", "x": {"y": [%s]}}' % spelling.encode())
    assert key(request) == key({"model": "m", "x": {"y": [100]}})


@given(requests, requests)
def test_different_requests_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two requests have one key only if they are equal but for nulls."""
    one = {name: value for name, value in one.items() if value is not None}
    other = {name: value for name, value in other.items() if value is not None}
    assert (key(one) == key(other)) == same(one, other)


@given(st.integers(2**62, 2**80))
def test_long_integers_are_told_apart(seed: int) -> None:
    """Neighbouring integers beyond a float's precision are different requests."""
    assert key({"seed": seed}) != key({"seed": seed + 1})


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-4o-mini"},
        {"temperature": 0.6},
        {"top_p": 1},
        {"seed": 1},
        {"n": 2},
        {"max_tokens": 5},
        {"max_completion_tokens": 5},
        {"stop": ["x"]},
        {"response_format": {"type": "json_object"}},
        {"tools": []},
        {"tool_choice": "none"},
        {"logprobs": True},
        {"reasoning_effort": "low"},
        {"user": "somebody"},
        {"a_field_of_next_year": 1},
        {"messages": [*REQUEST["messages"], {"role": "user", "content": "And?"}]},
        {"messages": [{**REQUEST["messages"][0], "role": "developer"}, REQUEST["messages"][1]]},
    ],
)
def test_what_can_change_the_answer_changes_the_key(change: dict[str, Any]) -> None:
    """Every field counts unless it is known not to."""
    assert key({**REQUEST, **change}) != key(REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        {"stream": True},
        {"stream": False, "stream_options": {"include_usage": True}},
        {"n": 1},
        {"n": 1.0},
        {"presence_penalty": 0.0, "frequency_penalty": 0},
        {"logprobs": False, "logit_bias": {}, "seed": None, "stop": None},
        {"response_format": {"type": "text"}},
        {"metadata": {"trace": "1"}, "store": True, "service_tier": "flex"},
    ],
)
def test_what_cannot_change_the_answer_does_not_matter(change: dict[str, Any]) -> None:
    """Delivery, filing, and defaults said aloud are not part of the key."""
    assert key({**REQUEST, **change}) == key(REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"patient": "7"}},
        {"store": False},
        {"service_tier": "flex"},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"safety_identifier": "somebody"},
        {"user": "somebody"},
    ],
)
def test_what_a_response_repeats_changes_its_key(change: dict[str, Any]) -> None:
    """A response tells its request's fields again: one caller's must not come back to another."""
    request = {"model": "gpt-4o", "input": "Where is the Louvre?"}
    assert key({**request, **change}, dialect="responses") != key(request, dialect="responses")
    assert key({**request, "stream": True, "metadata": {}, "store": True}, dialect="responses") == key(
        request, dialect="responses"
    )


@pytest.mark.parametrize(
    "change",
    [{"partition": "q"}, {"namespace": "n"}, {"variant": ("anthropic-beta: x",)}, {"dialect": "responses"}],
)
def test_surroundings_change_the_key(change: dict[str, Any]) -> None:
    """Who asks, where, and in which dialect is part of the key."""
    assert key(REQUEST, **change) != key(REQUEST)


def test_parts_do_not_run_together() -> None:
    """What stands in one part of the key cannot be mistaken for another."""
    assert key({}, partition="ab", namespace="c") != key({}, partition="a", namespace="bc")


def test_zero_is_not_false() -> None:
    """A default is only a default in its own type."""
    assert key({"logprobs": 0}) != key({"logprobs": False})


def test_half_a_surrogate_pair() -> None:
    """A text that UTF-8 cannot hold has a key like any other."""
    assert key({"x": "\ud800"}) != key({"x": "\ud801"})


def test_the_question_is_not_part_of_the_scope() -> None:
    """Requests that differ in the question alone share a scope; any other difference parts them."""
    path = ("messages", 1, "content")

    def scope(request: dict[str, Any], **more: Any) -> str:
        named = {"partition": "p", "namespace": "", "variant": (), "embedder": "e", **more}
        return scope_key("chat", request, path, **named)

    asked = json.loads(json.dumps(REQUEST))
    asked["messages"][1]["content"] = "Where is the Prado?"
    assert scope(asked) == scope(REQUEST)
    assert key(asked) != key(REQUEST)
    for other in (scope(REQUEST, embedder="f"), scope(REQUEST, partition="q"), scope({**REQUEST, "seed": 1})):
        assert other != scope(REQUEST)


def test_keys_are_made_under_a_secret() -> None:
    """Without the secret nobody can tell a request from its key, and each secret has keys and scopes of its own."""
    path = ("messages", 1, "content")

    def both(secret: str | bytes) -> tuple[str, str]:
        named: dict[str, Any] = {"partition": "p", "namespace": "", "variant": (), "key": key_of(secret)}
        return exact_key("chat", REQUEST, **named), scope_key("chat", REQUEST, path, embedder="e", **named)

    secrets: list[str | bytes] = ["", "a secret of some length", "another secret of some length", "x" * 1000]
    digests = [digest for secret in secrets for digest in both(secret)]
    assert len(set(digests)) == len(digests) == 8
    assert both(b"a secret of some length") == both("a secret of some length")


@given(requests, st.data())
def test_any_changed_value_changes_the_key(request_: dict[str, Any], data: st.DataObject) -> None:
    """Wherever in a request another value is put, however deep, the key is another."""
    request_ = {"model": "m", **request_}
    path: list[Any] = []
    value: Any = request_
    while isinstance(value, dict | list) and value and (not path or data.draw(st.booleans())):
        path.append(data.draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value))))))
        value = value[path[-1]]
    other = data.draw(values.filter(lambda new: not same(new, value) and not (new is None and len(path) == 1)))
    assume(not (value is None and len(path) == 1) or other is not None)
    assert key(replaced(request_, {tuple(path): other})) != key(request_)


@given(
    partition=st.text(max_size=8),
    namespace=st.text(max_size=8),
    variant=st.lists(st.text(max_size=8), max_size=2).map(tuple),
    other=st.tuples(st.text(max_size=8), st.text(max_size=8), st.lists(st.text(max_size=8), max_size=2).map(tuple)),
)
def test_parts_of_a_key_do_not_run_into_each_other(
    partition: str, namespace: str, variant: tuple[str, ...], other: tuple[str, str, tuple[str, ...]]
) -> None:
    """What stands at the end of one part is not taken for the beginning of the next."""
    one = key(REQUEST, partition=partition, namespace=namespace, variant=variant)
    two = key(REQUEST, partition=other[0], namespace=other[1], variant=other[2])
    assert (one == two) == ((partition, namespace, variant) == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),  # composed and not
        ("\u212b", "\u00c5"),  # the angstrom sign and the letter
        ("a\u200bb", "ab"),  # a space of no width
        ("a", "\uff41"),  # of another width
        ("I", "\u0130"),
        ("a\u0000", "a"),
        ("\ud800", "\\ud800"),  # half a pair of surrogates, and how it is escaped
        ("\ud800", "\ufffd"),
        ("1", 1),
        ("true", True),
        (1, True),
        (0, False),
        (None, "null"),
        ([], {}),
        ([[]], []),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"": 1}, {}),
        (2**64, float(2**64) * 2),
        (2**64, 2**64 + 1),
        (10**400, 10**400 + 1),
        (1.0000000000000002, 1.0),
        (5e-324, 0.0),
        (1e16, 1e16 + 2),
    ],
)
def test_values_that_look_alike(one: Any, other: Any) -> None:
    """Different values have different keys, wherever they stand; which of them a provider would tell apart is open."""
    assert key({**REQUEST, "x": one}) != key({**REQUEST, "x": other})
    assert key({**REQUEST, "x": [{"y": one}]}) != key({**REQUEST, "x": [{"y": other}]})


def test_deep_values_have_keys() -> None:
    """As deep as a body may be."""
    deep: Any = 1.0
    for _ in range(190):
        deep = [deep]
    assert key({**REQUEST, "x": deep}) != key({**REQUEST, "x": [deep]})


@pytest.mark.parametrize(
    ("text", "known", "found"),
    [
        ("Ask <PERSON_1> or <PERSON_2>, not <PERSON_1>.", ("<PERSON_1>",), []),
        ("<URL_h0123456789ab> of <PERSON:AbC-_9==>", (), ["<URL_h0123456789ab>", "<PERSON:AbC-_9==>"]),
        ("Ann Lee and Ann met <PERSON_1>", ("Ann", "Ann Lee", "Bob"), ["Ann Lee", "Ann"]),
        ("A card ending in ****1234 (a.b)", ("****1234", "(a.b)", ""), ["****1234", "(a.b)"]),
        ("Is <person_1> like < PERSON_1 > or <PERSON_1>?", (), ["<person_1>", "< PERSON_1 >"]),
        ("if a < B_1 or <b> then", (), []),
    ],
)
def test_what_stands_for_personal_data(text: str, known: tuple[str, ...], found: list[str]) -> None:
    """By its form, or because the redact stage told of it; the longest first. Placeholders are anybody's."""
    assert stand_ins_of(text, known) == found


def test_who_is_spoken_of_is_part_of_the_scope() -> None:
    """A near text about others, or about the same in other roles, is of another scope."""

    def scope(*named: str) -> str:
        path = ("messages", 1, "content")
        return scope_key("chat", REQUEST, path, partition="p", namespace="", variant=(), embedder="e", named=named)

    assert len({scope(), scope("<A_1>"), scope("<A_2>"), scope("<A_1>", "<A_2>"), scope("<A_2>", "<A_1>")}) == 5
    assert scope("<A_1>") == scope("<A_1>")
