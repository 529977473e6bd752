"""What the load asks: endless or finite sequences of questions, by name, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, product

import orjson

from perf.personal import KINDS, insert
from perf.upstream import ANSWER

__all__ = ["MAKERS", "Question", "body_of"]

SYSTEM = (
    "You are a helpful assistant of a bank's customer service. Answer briefly, in plain words, and never invent "
    "a rule that you do not know."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what the answer to it must contain."""

    text: str
    expect: str
    stream: bool = False
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns of the conversation: what was asked, and what was answered."""


def _parts(text: str, separator: str | None = "|") -> tuple[str, ...]:
    return tuple(text.split(separator))


# Long enough that courtesies round them leave their meaning, and so their embedding, nearly as it was.
_BASES = (
    "How do I reset the password of my online banking account when the phone that received the security codes has been "
    "replaced and the old number has been given up?",
    "Where can I see the delivery status of the debit card that was ordered for my joint account after the former card "
    "had been damaged in a cash machine?",
    "What fee is charged for a transfer in a foreign currency to a bank in another country, and who pays it when the "
    "receiving bank deducts a part of the amount?",
    "Why was my card payment declined at the supermarket although the balance of the account covers the amount and the "
    "card worked in another shop in the morning?",
    "How long does it take until a transfer that was signed in the app reaches the account of a company at another "
    "bank, and where is it shown that the amount has arrived?",
    "How can I change the postal address on my profile when I have moved to another country and still receive the "
    "account statements at the former address?",
    "What should I do when my telephone with the banking app was stolen on a journey and I have to pay the hotel with "
    "the card that is stored in it?",
    "Can I open a second savings account for my children under the same contract, and which documents does the bank "
    "need to check their identity?",
)
_OPENINGS = _parts(
    "Please tell me: |Hello! |Hi there, |Excuse me, |Quick question: |Good morning. |Hey, |I would like to know: "
    "|Could you help me? |I have a question. |One thing, please: |Hello team, "
)
_CLOSINGS = _parts(
    " Thanks!| Thank you.| Thank you very much.| Please let me know.| Many thanks in advance.| I appreciate your help."
    "| Cheers!| Thanks a lot for your help.| Kind regards.| Thank you so much!"
)
_FAREWELLS = _parts(
    "| Have a nice day.| Best wishes.| Talk soon.| Bye!| See you.| Warm regards.| All the best.| Take care."
)
_TOPICS = _parts(
    """
    glacier violin harbour enzyme orchard turbine parliament comet linen beekeeper reef archive kiln monsoon
    satellite bakery fossil lighthouse tariff marathon pigment subway vineyard compass dialect furnace meadow
    treaty neuron canal tapestry volcano ledger falcon cathedral barley asteroid carpenter tundra quartz
    ferry mosaic pension glassblower drought sonata bridge vaccine plough antenna ballet cobbler delta
    escalator fresco granite hammock island jigsaw kettle lagoon magnet nursery oasis paddle quarry railway
    saffron telescope umbrella velvet windmill yeast zeppelin auction bamboo cinnamon dockyard eclipse
    fountain gallery hydrant ivory jasmine kayak locomotive mammoth nectar obelisk pelican quilt rapeseed
    sawmill tannery urchin varnish walnut xylophone yoghurt zinc
""",
    None,
)
_FORMS = (
    "Compare {} and {} with regard to {}, and say what {} has to do with {}.",
    "Explain how {} changed the history of {}, with an example from {} and one of {} and {}.",
    "Write a plan for a museum of {} that also shows {}, {}, {} and {}.",
    "What would a story about {} and {} say of {}, given {} and {}?",
    "List the risks of moving {} near {}, when {} and {} depend on {}.",
)


def same(seed: int) -> Iterator[Question]:
    """One question for ever, for gateways that keep nothing."""
    question = Question(_BASES[seed % len(_BASES)], _BASES[seed % len(_BASES)])
    while True:
        yield question


def bases(seed: int) -> Iterator[Question]:
    """Each stored question once: what fills the cache before hits are measured."""
    return (Question(text, text) for text in _BASES)


def repeated(seed: int) -> Iterator[Question]:
    """The stored questions in turn, word for word: exact hits."""
    while True:
        yield from bases(seed)


def paraphrased(seed: int) -> Iterator[Question]:
    """The stored questions with other words round them, no two the same, from a place that depends on the seed."""
    forms = list(product(_OPENINGS, _BASES, _CLOSINGS, _FAREWELLS))
    random.Random(0).shuffle(forms)
    first = seed * 1_201 % len(forms)
    for opening, base, closing, farewell in forms[first:] + forms[:first]:
        yield Question(f"{opening}{base}{closing}{farewell}", base)


def fresh(seed: int) -> Iterator[Question]:
    """New questions for ever, every second one with a made-up e-mail address that the answer must give back."""
    rng = random.Random(seed)
    for number in count():
        text = rng.choice(_FORMS).format(*rng.sample(_TOPICS, 5))
        if number % 2:
            text += f" Send a copy to {rng.choice(_TOPICS)}.{seed}.{number}@example.com today."
        yield Question(text, text)


def mixed(seed: int) -> Iterator[Question]:
    """What a long run asks: half new, a third word for word repeated, a sixth paraphrased; every third one streamed."""
    near, again = cycle(paraphrased(seed)), repeated(seed)
    kinds = cycle((fresh(seed), near, fresh(seed + 1), again, fresh(seed + 2), again))
    for number, kind in enumerate(kinds):
        question = next(kind)
        # A streamed answer comes word by word, so that only a word of it can be looked for.
        yield Question(question.text, "asked: ", stream=True) if number % 3 == 0 else question


def personal(seed: int) -> Iterator[Question]:
    """New questions for ever, each with a made-up e-mail address, card and telephone number."""
    rng = random.Random(seed)
    for question in fresh(seed):
        text, _ = insert(question.text, tuple(KINDS), rng)
        yield Question(text, text)


def conversations(seed: int) -> Iterator[Question]:
    """Prompts as they come: single questions, and conversations of four turns that send their history again, in turn.

    Half of the single ones hold made-up personal data, and half of the conversations in their first turn.
    """
    rng, asked = random.Random(seed), fresh(seed)
    for number in count():
        kinds = tuple(KINDS) if number % 2 else ()
        for _ in range(4):
            text, _ = insert(next(asked).text, kinds, rng)
            yield Question(text, text)
        history: tuple[tuple[str, str], ...] = ()
        for turn in range(4):
            text, _ = insert(next(asked).text.partition(" Send a copy")[0], kinds if turn == 0 else (), rng)
            yield Question(text, text, history=history)
            history += ((text, f"You asked: {text}{ANSWER}"),)


MAKERS: dict[str, Callable[[int], Iterator[Question]]] = {
    maker.__name__: maker for maker in (same, bases, repeated, paraphrased, fresh, mixed, personal, conversations)
}


def body_of(question: Question, model: str, *, stream: bool = False, max_tokens: int = 256) -> bytes:
    """The chat completion request that asks it."""
    turns = [{"role": "system", "content": SYSTEM}]
    for asked, answered in question.history:
        turns += ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    request = {
        "model": model,
        "messages": [*turns, {"role": "user", "content": question.text}],
        "temperature": 0.2,
        "max_tokens": max_tokens,
    }
    if stream or question.stream:
        request["stream"] = True
    return orjson.dumps(request)
