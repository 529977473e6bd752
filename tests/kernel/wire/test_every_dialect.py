"""What holds in every dialect alike."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix.kernel import exact
from helix.kernel.errors import BudgetExceeded, HelixError, InvalidRequest, UpstreamGarbled
from helix.kernel.sse import Decoder, Event, encode
from helix.kernel.wire import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    DIALECTS,
    EMBEDDINGS,
    MESSAGES,
    RESPONSES,
    Dialect,
    Text,
    dialect_of,
    replaced,
)
from helix.kernel.wire.base import object_text

from . import samples
from .samples import Json, json_objects, json_values

REQUESTS = [
    (CHAT, samples.CHAT_REQUEST),
    (COMPLETIONS, samples.COMPLETIONS_REQUEST),
    (EMBEDDINGS, samples.EMBEDDINGS_REQUEST),
    (RESPONSES, samples.RESPONSES_REQUEST),
    (MESSAGES, samples.MESSAGES_REQUEST),
    (COUNT_TOKENS, samples.MESSAGES_REQUEST),
]
ANSWERS = [
    (CHAT, samples.CHAT_ANSWER),
    (COMPLETIONS, samples.COMPLETIONS_ANSWER),
    (RESPONSES, samples.RESPONSES_ANSWER),
    (MESSAGES, samples.MESSAGES_ANSWER),
]
MADE_ANSWERS = [
    (CHAT, samples.chat_answers()),
    (COMPLETIONS, samples.completions_answers()),
    (RESPONSES, samples.responses_answers()),
    (MESSAGES, samples.messages_answers()),
]
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
every_request = pytest.mark.parametrize(("dialect", "request_"), REQUESTS, ids=lambda item: getattr(item, "name", ""))
every_answer = pytest.mark.parametrize(("dialect", "answer"), ANSWERS, ids=lambda item: getattr(item, "name", ""))
made_answers = pytest.mark.parametrize(("dialect", "answers"), MADE_ANSWERS, ids=lambda item: getattr(item, "name", ""))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def strings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string value of a JSON value and its path."""
    if isinstance(value, str):
        yield path, value
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from strings(child, (*path, key))


def other(text: Text) -> Any:
    """Something else that fits a text's place."""
    return {"other": [text.value]} if text.form == "object" else text.value.upper() + "!"


def with_others(value: Json, texts: list[Text]) -> Json:
    """A copy of a JSON value with something else in the place of every text."""
    changed = copy.deepcopy(value)
    for text in texts:
        at(changed, text.path[:-1])[text.path[-1]] = other(text)
    return changed


def assembled(dialect: Dialect, events: list[Event]) -> Json | None:
    assembler = dialect.assembler()
    for event in events:
        assembler.feed(event)
    return assembler.answer()


# Requests and answers: texts and their places


@every_request
def test_a_request_is_right_and_its_texts_are_where_they_say(dialect: Dialect, request_: Json) -> None:
    dialect.check(request_)
    texts = dialect.labels(request_) + dialect.texts(request_)
    assert texts
    assert len({text.path for text in texts}) == len(texts)
    assert all(at(request_, text.path) == text.placed(text.value) != "" for text in texts)
    assert all(text.channel is None for text in texts)


@every_request
def test_replacing_every_text_of_a_request_changes_those_places_alone(dialect: Dialect, request_: Json) -> None:
    """Images, ids, options and unknown fields come through; the original is left as it was."""
    before = copy.deepcopy(request_)
    texts = dialect.labels(request_) + dialect.texts(request_)
    changed = replaced(request_, {text.path: other(text) for text in texts})
    assert request_ == before
    assert changed == with_others(before, texts)
    assert replaced(changed, {text.path: text.placed(text.value) for text in texts}) == before


@every_answer
def test_replacing_every_text_of_an_answer_changes_those_places_alone(dialect: Dialect, answer: Json) -> None:
    before = copy.deepcopy(answer)
    texts = dialect.answer_texts(answer)
    changed = replaced(answer, {text.path: other(text) for text in texts})
    assert texts
    assert answer == before
    assert changed == with_others(before, texts)
    assert replaced(changed, {text.path: text.placed(text.value) for text in texts}) == before


@every_request
def test_the_question_is_one_of_the_texts(dialect: Dialect, request_: Json) -> None:
    question = dialect.question(request_)
    if question is not None:
        assert (question.path, question.text) in [(text.path, text.value) for text in dialect.texts(request_)]


@given(json_objects, json_values)
def test_replaced_copies_what_it_changes_and_shares_the_rest(value: Json, other: Any) -> None:
    before = copy.deepcopy(value)
    for path, _ in strings(value):
        changed = replaced(value, {path: other})
        assert at(changed, path) == other
        assert replaced(changed, {path: at(before, path)}) == before
    assert value == before
    assert replaced(value, {}) is value
    assert replaced(value, {(): other}) is other


def test_an_object_is_one_text_with_keys_and_numbers() -> None:
    """Its very value comes back from the text, numbers of any length too; what is no object or empty is no text."""
    value = {"a": ["x", {"b": 12345678901234567890123}], "c": 1.50}
    [text] = object_text(("r",), value, "user")
    assert (text.path, text.form, text.is_json) == (("r",), "object", True)
    assert text.placed(text.value) == value
    assert (
        object_text(("r",), {}, "user") == object_text(("r",), "s", "user") == object_text(("r",), None, "user") == []
    )


@every_dialect
def test_labels_of_the_wrong_type_are_texts_all_the_same(dialect: Dialect) -> None:
    """What holds nothing is passed over; an object, a long number, a text where an object belongs are not."""
    assert dialect.labels({"user": 1, "safety_identifier": [], "metadata": None, "prompt_cache_key": True}) == []
    labels = dialect.labels({"user": ["x"], "safety_identifier": 4111111111111111, "metadata": "x"})
    assert [label.value for label in labels] == ['["x"]', "4111111111111111", "x"]
    assert [label.placed(label.value) for label in labels] == [["x"], 4111111111111111, "x"]


# Answer ↔ stream


@every_answer
def test_an_answer_becomes_a_stream_and_the_stream_that_answer(dialect: Dialect, answer: Json) -> None:
    before = copy.deepcopy(answer)
    events = list(dialect.stream(answer))
    assert assembled(dialect, events) == before
    assert answer == before


@made_answers
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_round_trip_holds_for_all_answers(dialect: Dialect, answers: Any, data: st.DataObject) -> None:
    """Also over the bytes, cut anywhere; and a stream cut off anywhere gives no answer."""
    answer = data.draw(answers)
    events = list(dialect.stream(answer))
    assert assembled(dialect, events) == answer
    raw = encode(events)
    decoder = Decoder()
    cut = data.draw(st.integers(0, len(raw)))
    first = decoder.feed(raw[:cut])
    if len(first) < len(events):
        assert assembled(dialect, first) is None
    assert assembled(dialect, first + decoder.feed(raw[cut:])) == answer
    assert assembled(dialect, events[: data.draw(st.integers(0, len(events) - 1))]) is None


@made_answers
@given(data=st.data())
@settings(deadline=None)
def test_deltas_make_up_the_texts_and_closes_ends_every_channel(
    dialect: Dialect, answers: Any, data: st.DataObject
) -> None:
    """Each channel's pieces joined are a text of the answer, and each is closed before the stream ends, once."""
    answer = data.draw(answers)
    grown: dict[Any, str] = {}
    done: list[str] = []
    opened: dict[Any, str] = {}
    for event in dialect.stream(answer):
        payload = event.json()
        if payload is None:
            continue
        texts = dialect.event_texts(payload)
        carried = {text.channel for text in texts}
        closed = dialect.closes(payload, opened)
        assert set(closed) <= set(opened)
        assert len(set(closed)) == len(closed)
        for channel in closed:
            if channel not in carried:
                done.append(opened.pop(channel))
        for text in texts:
            assert at(payload, text.path) == text.value
            if text.channel is not None:
                opened[text.channel] = opened.get(text.channel, "") + text.value
                grown[text.channel] = grown.get(text.channel, "") + text.value
        for channel in closed:
            if channel in carried:
                done.append(opened.pop(channel))
    assert opened == {}
    # No channel went on after it was closed.
    assert sorted(done) == sorted(grown.values())
    whole = [text.value for text in dialect.answer_texts(answer)]
    for grew in done:
        assert grew in whole or any(json_equal(grew, value) for value in all_objects(answer))


def json_equal(text: str, value: Any) -> bool:
    try:
        return bool(exact.loads(text.encode()) == value)
    except ValueError:
        return False


def all_objects(value: Any) -> Iterator[Any]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


@every_answer
def test_a_streams_pieces_are_words(dialect: Dialect, answer: Json) -> None:
    """Not one giant delta, and not one a character."""
    pieces = [
        text.value
        for event in dialect.stream(answer)
        if event.json() is not None
        for text in dialect.event_texts(event.json())
        if text.channel is not None
    ]
    assert all(len(piece) <= 32 for piece in pieces)
    assert sum(map(len, pieces)) / len(pieces) > 2


@every_answer
def test_an_event_made_by_delta_goes_on_with_its_channel(dialect: Dialect, answer: Json) -> None:
    """Put into the stream behind its template, it lengthens the text there, and nothing else."""
    for event in dialect.stream(answer):
        payload = event.json()
        for text in dialect.event_texts(payload) if payload is not None else ():
            if text.channel is None:
                continue
            made = dialect.delta(payload, text.channel, " more")
            assert [(t.value, t.channel, t.form) for t in dialect.event_texts(made)] == [
                (" more", text.channel, text.form)
            ]
            assert dialect.closes(made, {text.channel: ""}) == []
            assert dialect.event_usage(made, None) is None
            assert not dialect.is_end(Event.of(made))
            assert not dialect.is_error(Event.of(made))


@every_answer
def test_inserted_deltas_reach_the_assembled_answer(dialect: Dialect, answer: Json) -> None:
    """In a dialect whose end repeats the texts, the end is the answer, and what was put in shows there or nowhere."""
    events: list[Event] = []
    added = 0
    for event in dialect.stream(answer):
        events.append(event)
        payload = event.json()
        for text in dialect.event_texts(payload) if payload is not None else ():
            if text.channel is not None and text.form == "text":
                events.append(Event.of(dialect.delta(payload, text.channel, "§"), event.name))
                added += 1
    whole = assembled(dialect, events)
    assert whole is not None
    found = "".join(text.value for text in dialect.answer_texts(whole)).count("§")
    assert found == (0 if dialect is RESPONSES else added)


@every_answer
def test_usage_in_the_stream_is_the_usage_of_the_answer(dialect: Dialect, answer: Json) -> None:
    usage = None
    reason = None
    for event in dialect.stream(answer):
        payload = event.json()
        if payload is not None:
            usage = dialect.event_usage(payload, usage)
            reason = dialect.event_finish_reason(payload) or reason
    assert usage == dialect.usage(answer) is not None
    assert reason is not None


@every_answer
def test_only_the_last_event_is_the_end(dialect: Dialect, answer: Json) -> None:
    events = list(dialect.stream(answer))
    assert [dialect.is_end(event) for event in events] == [False] * (len(events) - 1) + [True]
    assert not any(dialect.is_error(event) for event in events)


@every_answer
def test_an_error_event_spoils_the_answer(dialect: Dialect, answer: Json) -> None:
    """Wherever it comes, even where a proper end follows."""
    events = list(dialect.stream(answer))
    (error,) = dialect.error_events(BudgetExceeded("spent"))
    assert dialect.is_error(error)
    assert not dialect.is_end(error)
    for place in range(len(events)):
        assert assembled(dialect, [*events[:place], error, *events[place:]]) is None


# Garbage


def bad(dialect: Dialect, request: Json) -> InvalidRequest | None:
    try:
        dialect.check(request)
    except InvalidRequest as error:
        return error
    return None


@st.composite
def damaged(draw: st.DrawFn, whole: Json) -> Json:
    """A right request or answer with something else in one or two places."""
    value: Any = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        path: tuple[str | int, ...] = ()
        item = value
        while isinstance(item, (dict, list)) and item and (not path or draw(st.integers(0, 4))):
            key: Any = draw(st.sampled_from(sorted(item) if isinstance(item, dict) else range(len(item))))
            path, item = (*path, key), item[key]
        value = replaced(value, {path: draw(json_values)}) if path else value
    return value  # type: ignore[no-any-return]


def requests_of(dialect: Dialect) -> st.SearchStrategy[Json]:
    whole = next(request for known, request in REQUESTS if known is dialect)
    keys = st.sampled_from(sorted(whole))
    return damaged(whole) | st.dictionaries(keys | st.text(), json_values) | json_objects


@every_dialect
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_json_object_is_refused_or_can_be_read(dialect: Dialect, data: st.DataObject) -> None:
    """What passes the check never fails later; what is refused names the place and no value."""
    request = data.draw(requests_of(dialect))
    if bad(dialect, request):
        return
    for text in dialect.labels(request) + dialect.texts(request):
        assert at(request, text.path) == text.placed(text.value)
    opaque = dialect.opaque_input(request)
    assert opaque is None or isinstance(at(request, opaque), list)
    question = dialect.question(request)
    assert question is None or at(request, question.path) == question.text
    most = dialect.max_output_tokens(request)
    assert most is None or most >= 0
    assert dialect.choices(request) >= 1
    dialect.asks_usage(request)
    assert dialect.asks_usage({**dialect.ask_usage(request), "stream": True})
    assert isinstance(request["model"], str)


@every_dialect
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_answer_can_be_read(dialect: Dialect, data: st.DataObject) -> None:
    """A provider may send what it likes; nothing is raised, and what is not understood is passed over."""
    whole = next((answer for known, answer in ANSWERS if known is dialect), samples.EMBEDDINGS_ANSWER)
    answer = data.draw(damaged(whole) | json_objects)
    for text in dialect.answer_texts(answer):
        assert at(answer, text.path) == text.placed(text.value)
    dialect.usage(answer)
    dialect.finish_reason(answer)
    dialect.is_complete(answer)
    for event in dialect.stream(answer):
        assert event.raw


@every_dialect
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_event_can_be_read(dialect: Dialect, data: st.DataObject) -> None:
    """Events that are not of the dialect are passed over or are garbled; nothing else is raised."""
    answer = next((answer for known, answer in ANSWERS if known is dialect), None)
    payloads = [event.json() for event in dialect.stream(answer)] if answer else []
    payloads = [payload for payload in payloads if payload is not None]
    some = st.sampled_from(payloads).flatmap(damaged) if payloads else json_objects
    events: list[Any] = data.draw(st.lists(some | json_values, max_size=6))
    assembler = dialect.assembler()
    usage = None
    opened: dict[Any, str] = {}
    for payload in events:
        event = Event.of(payload)
        try:
            for text in dialect.event_texts(payload):
                there = at(payload, text.path)
                assert there == (orjson.loads(text.value) if text.form == "object" else text.value)
                if text.channel is not None:
                    opened[text.channel] = text.value
                    dialect.delta(payload, text.channel, "x")
            for channel in dialect.closes(payload, opened):
                opened.pop(channel)
            usage = dialect.event_usage(payload, usage)
            dialect.event_finish_reason(payload)
            dialect.is_usage_only(payload)
            dialect.is_end(event)
            dialect.is_error(event)
            dialect.numbered([event], 3)
            assembler.feed(event)
        except UpstreamGarbled:
            pass
    assembler.answer()


@every_request
@pytest.mark.parametrize("value", ["sk-secret", 7, True, ["sk-secret"], {"sk-secret": "sk-secret"}, 1.5, None])
def test_a_refusal_never_repeats_a_value(dialect: Dialect, request_: Json, value: Any) -> None:
    for key in request_:
        error = bad(dialect, {**request_, key: value})
        if error is not None:
            assert "sk-secret" not in json.dumps(dialect.error_body(error))
            assert error.param is not None
            assert error.param in error.message


@every_request
@pytest.mark.parametrize("model", [None, "", 5, ["m"], {}])
def test_a_model_must_be_named(dialect: Dialect, request_: Json, model: Any) -> None:
    error = bad(dialect, {**request_, "model": model})
    assert error is not None
    assert error.param == "model"


# Paths


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", CHAT),
        ("/chat/completions", CHAT),
        ("/v1/completions", COMPLETIONS),
        ("/v1/embeddings", EMBEDDINGS),
        ("/v1/responses", RESPONSES),
        ("/v1/messages", MESSAGES),
        ("/v1/messages/count_tokens", COUNT_TOKENS),
        ("/sub/app/v1/messages/count_tokens", COUNT_TOKENS),
        ("/sub/app/v1/chat/completions", CHAT),
        ("/messages", None),
        ("/responses", None),
        ("/v1/chat/completions/", None),
        ("/v1/models", None),
        ("/", None),
    ],
)
def test_a_dialect_is_known_by_its_path_wherever_it_is_mounted(path: str, dialect: Dialect | None) -> None:
    assert dialect_of("POST", path) is dialect
    assert dialect_of("GET", path) is None


@every_dialect
def test_error_bodies_are_of_the_dialects_form(dialect: Dialect) -> None:
    body = dialect.error_body(HelixError("it broke"))
    assert body["error"]["message"] == "it broke"
    assert (body.get("type") == "error") is (dialect in (MESSAGES, COUNT_TOKENS))
