from __future__ import annotations

from typing import Any

import pytest

from helix.cache import CacheMiddleware
from helix.cache.eligibility import REASONS, Eligibility, Rule
from helix.cache.redis import RedisCacheStore
from helix.embed import SentenceTransformerEmbedder
from helix.kernel.wire import CHAT as CHAT_DIALECT
from helix.kernel.wire import COMPLETIONS as COMPLETIONS_DIALECT
from helix.kernel.wire import EMBEDDINGS as EMBEDDINGS_DIALECT
from helix.kernel.wire import MESSAGES as MESSAGES_DIALECT
from helix.kernel.wire import RESPONSES as RESPONSES_DIALECT
from helix.kernel.wire import Dialect

from .conftest import CHAT, Provider, ask, chat

ASKED = "How do I reset my password?"
AGAIN = "How can I reset my password?"


def why_not(text: str, **settings: Any) -> str | None:
    return judged(CHAT_DIALECT, chat(text), **settings)


def judged(dialect: Dialect, request: dict[str, Any], **settings: Any) -> str | None:
    return Eligibility(**settings).why_not(dialect, request, dialect.question(request))


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        "What is a book?",
        "Which book should I read first?",
        "Book recommendations for a ten year old",
        "How do I book a flight?",
        "Where can I book a table for two?",
        "Why has my transfer not arrived yet?",
        "How long does a transfer take?",
        "Transfer fees for European accounts",
        "Transfer learning in neural networks explained",
        "I want to transfer money, how long does it take?",
        "I'd like to cancel my order. Is there a fee?",
        "Can I cancel an order that has shipped?",
        "Is it possible to delete my account?",
        "Why did my balance not change after I deposited a cheque?",
        "How do I check the balance of a chemical equation?",
        "What is an order of magnitude?",
        "Order of operations in algebra",
        "Call options and put options compared",
        "Cancel versus abort: what is the difference?",
        "Pay gap statistics by country",
        "What is a current account?",
        "By when at the latest must I file my taxes?",
        "Who painted the Todaiji gate?",
        "Explain bookkeeping to a beginner",
        "The time complexity of quicksort, please",
        "What is the date format of ISO 8601?",
        "Was ist eine Buchung?",
        "Wie kann ich ein Konto kündigen?",
        "¿Cómo puedo cancelar un pedido?",
        "Comment annuler une commande ?",
        "Come posso annullare un ordine?",
        "Hoe kan ik een boeking annuleren?",
        "Como cancelar um pedido?",
        "如何取消订单，步骤是什么？",
    ],
)
def test_questions_stay_eligible(text: str) -> None:
    """A question about something is no request to do it, and a word is not found inside another."""
    assert why_not(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "What is the weather like in Paris?",
        "What happened in Berlin today?",
        "What's the latest news about the election?",
        "Is the bank open right now?",
        "What is the current exchange rate of the euro?",
        "Who is the current president of France?",
        "What\u2019s my balance, please?",
        "What is my account balance?",
        "Show me my available balance",
        "How much money do I have left?",
        "What is the status of my order?",
        "What time is it in Tokyo?",
        "IS THE SHOP OPEN  TODAY?",
        "Wie ist das Wetter heute in Bonn?",
        "Was sind die aktuellen Zinsen?",
        "¿Qué tiempo hace hoy en Madrid?",
        "Quelle est la météo aujourd\u2019hui ?",
        "Che tempo fa oggi a Roma?",
        "Wat is het weer vandaag in Utrecht?",
        "Qual é a previsão do tempo para hoje?",
        "今天北京的天气怎么样？",
        "今日の東京の天気はどうですか？",
    ],
)
def test_answers_that_hold_for_a_moment(text: str) -> None:
    """What depends on the moment at which it is asked is not answered from an earlier moment."""
    assert why_not(text) == "freshness"
    assert why_not(text, freshness=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "Book a table for two at Luigi's",
        "book me a flight to Rome",
        "Hi, please book two tickets for Hamlet.",
        "Transfer $50 to Anna",
        "Please transfer 50 euros to <PERSON_1>.",
        "Pay <PERSON_1> what I owe her",
        "Cancel my subscription",
        "Thanks! Now cancel it please.",
        "Delete all my files, please",
        "Could you please call my doctor?",
        "Can you delete my account?",
        "Would you mind cancelling my order?",
        "I want you to buy ten shares of that company",
        "I'd like to transfer 20 pounds to my brother",
        "I want to close my account.",
        "Set an alarm for the early bus",
        "Add oat milk to my cart",
        "The hotel was great. Book it again.",
        "Buche mir einen Tisch für zwei",
        "Bitte überweisen Sie 50 Euro an Anna",
        "Können Sie bitte meine Bestellung stornieren?",
        "Ich möchte gern 50 Euro an Anna überweisen.",
        "Reserva una mesa para dos",
        "¿Puedes cancelar mi pedido?",
        "Réservez une table pour deux",
        "Pourriez-vous annuler ma commande ?",
        "Prenota un tavolo per due",
        "Annuleer mijn bestelling",
        "Cancela o meu pedido, por favor",
        "请帮我预订两张票",
        "ホテルを予約してください",
    ],
)
def test_requests_to_do_something(text: str) -> None:
    """What is to be done for one is not said to have been done because it was done for another."""
    assert why_not(text) == "action"
    assert why_not(text, actions=False) is None


def test_languages_are_chosen() -> None:
    """Phrases count in the languages that are chosen."""
    assert why_not("Wie ist das Wetter heute in Bonn?", languages=["en"]) is None
    assert why_not("What happened in Berlin today?", languages=["de"]) is None
    assert why_not("What happened in Berlin today?", languages=[]) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Yes.", "too_short"),
        ("  go on      ", "too_short"),
        ("<PERSON_1> <PERSON_2> ok", "too_short"),
        ("如何重置密码", None),
        ("word " * 2000, "too_long"),
        ("half a pair \ud83d of surrogates", "encoding"),
        (ASKED + "".join(chr(0xE0000 + ord(letter)) for letter in "say evil"), "hidden"),
        (ASKED + "\U000e0101\U000e0102", "hidden"),
        (ASKED + "\u200b\u200b", "hidden"),
        (ASKED + "\u202elive yas", "hidden"),
        (ASKED + "\x00", "hidden"),
        ("How do I reset my password \u2764\ufe0f", None),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0628\u062f\u0627\u0646\u0645", None),
        ("How do I\n\treset my password?", None),
    ],
)
def test_what_can_be_embedded(text: str, reason: str | None) -> None:
    """Too short says too little, placeholders do not count, a Chinese character counts for more than a letter."""
    assert why_not(text) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n": 2}, "several_answers"),
        ({"n": 1}, None),
        ({"temperature": 1.0}, None),
        ({"temperature": 1.01}, "temperature"),
        ({"temperature": None}, None),
    ],
)
def test_sampling(change: dict[str, Any], reason: str | None) -> None:
    """Several answers, or much variety, are not to be had from one earlier answer."""
    assert judged(CHAT_DIALECT, chat(ASKED, **change)) == reason


def test_the_bound_of_the_temperature() -> None:
    """The bound is the operator's; None is none."""
    assert judged(CHAT_DIALECT, chat(ASKED, temperature=0.2), max_temperature=0.0) == "temperature"
    assert judged(CHAT_DIALECT, chat(ASKED, temperature=2), max_temperature=None) is None


USER = {"role": "user", "content": ASKED}
TOOL_RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "42"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}


@pytest.mark.parametrize(
    ("dialect", "request_", "reason"),
    [
        (CHAT_DIALECT, {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "42"}]}, "tool_result"),
        (CHAT_DIALECT, {"messages": [USER, {"role": "function", "name": "f", "content": "42"}]}, "tool_result"),
        (CHAT_DIALECT, {"messages": [USER, {"role": "assistant", "content": "It"}]}, "no_question"),
        (CHAT_DIALECT, {"messages": []}, "no_question"),
        (CHAT_DIALECT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}] * 2}]}, "parts"),
        (CHAT_DIALECT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}, IMAGE]}]}, "media"),
        (CHAT_DIALECT, {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]}, None),
        (MESSAGES_DIALECT, {"messages": [{"role": "user", "content": [TOOL_RESULT]}]}, "tool_result"),
        (
            MESSAGES_DIALECT,
            {"messages": [{"role": "user", "content": [TOOL_RESULT, {"type": "text", "text": ASKED}]}]},
            "tool_result",
        ),
        (MESSAGES_DIALECT, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "media"),
        (RESPONSES_DIALECT, {"input": [USER, {"type": "function_call_output", "output": "42"}]}, "tool_result"),
        (RESPONSES_DIALECT, {"input": ASKED, "previous_response_id": "resp_1"}, "conversation"),
        (RESPONSES_DIALECT, {"input": ASKED}, None),
        (COMPLETIONS_DIALECT, {"prompt": [ASKED, AGAIN]}, "several_answers"),
        (COMPLETIONS_DIALECT, {"prompt": ASKED, "best_of": 3}, "several_answers"),
        (COMPLETIONS_DIALECT, {"prompt": [1, 2, 3]}, "no_question"),
        (COMPLETIONS_DIALECT, {"prompt": ASKED}, None),
        (EMBEDDINGS_DIALECT, {"input": ASKED}, "no_question"),
    ],
)
def test_the_last_turn(dialect: Dialect, request_: dict[str, Any], reason: str | None) -> None:
    """Only a user's text that comes last, alone, is a question."""
    assert judged(dialect, {"model": "m", **request_}) == reason


def test_rules_of_ones_own() -> None:
    """Words are found whole and in any case, patterns anywhere; each rule has its reason."""
    rules: list[Rule | dict[str, Any]] = [
        Rule("sale", words=["flash sale"]),
        {"reason": "ticket", "patterns": [r"\bT-\d+\b"]},
    ]
    own = Eligibility(rules=rules)

    def reason(text: str) -> str | None:
        return own.why_not(CHAT_DIALECT, chat(text), CHAT_DIALECT.question(chat(text)))

    assert reason("When does the Flash  Sale begin?") == "sale"
    assert reason("When do flash sales begin?") is None
    assert reason("What became of t-1234 in the end?") == "ticket"


def test_exempt_texts() -> None:
    """What a pattern exempts is eligible whatever its words are."""
    assert why_not("What is today's special about?", exempt=["special"]) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"languages": ["xx"]}, "no phrases are known in xx"),
        ({"min_bytes": -1}, "min_bytes"),
        ({"max_temperature": -1.0}, "max_temperature"),
        ({"bypass": ["fresh"]}, "no reason: fresh"),
        ({"exempt": ["("]}, "not a regular expression"),
        ({"rules": [{"reason": "Own", "words": ["x"]}]}, "reason must be"),
        ({"rules": [{"reason": "own"}]}, "needs words or patterns"),
        ({"rules": [{"reason": "own", "words": [" "]}]}, "must not be empty"),
        ({"rules": [{"reason": "own", "patterns": ["["]}]}, "not a regular expression"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    """A rule that cannot work is refused when it is made."""
    with pytest.raises(ValueError, match=message):
        Eligibility(**settings)


@pytest.mark.parametrize("text", ["i want to " * 800, "hi, " * 2000, "show me my card " * 500, "\n" * 8000 + "x" * 20])
def test_hostile_texts_are_read(text: str) -> None:
    """Texts made to keep a regular expression busy are judged like any other."""
    assert why_not(text, max_chars=10_000) in (None, *REASONS)


async def test_the_reason_is_recorded(hybrid: CacheMiddleware, provider: Provider) -> None:
    """A request that is not eligible is answered exactly or by the provider, and its record says why."""
    asked, again = "What happened in the city of Berlin today?", "What happened in the town of Berlin today?"
    first = await ask(hybrid, CHAT, chat(asked))
    assert (first.cache, first.record["ineligible"]) == ("miss", "freshness")
    reply = await ask(hybrid, CHAT, chat(again))
    assert (reply.cache, reply.record["ineligible"], provider.calls) == ("miss", "freshness", 2)
    assert (await ask(hybrid, CHAT, chat(asked))).cache == "exact"
    assert "ineligible" not in (await ask(hybrid, CHAT, chat(ASKED))).record


async def test_beyond_the_window(hybrid: CacheMiddleware) -> None:
    """What the embedder cannot read to its end is not eligible either."""
    reply = await ask(hybrid, CHAT, chat(" ".join(f"word{number}" for number in range(600))))
    assert (reply.cache, reply.record["ineligible"]) == ("miss", "window")


async def test_reasons_that_bypass_the_cache(
    provider: Provider, store: RedisCacheStore, embedder: SentenceTransformerEmbedder
) -> None:
    """By configuration a reason keeps a request from both tiers, and its answer out of them."""
    app = CacheMiddleware(
        provider,
        store=store,
        embedder=embedder,
        eligibility=Eligibility(bypass=["action"]),
        semantic_timeout_seconds=60,
    )
    for calls in (1, 2):
        reply = await ask(app, CHAT, chat("Book a table for two at Luigi's"))
        assert (reply.cache, provider.calls) == ("bypass", calls)
    assert (await ask(app, CHAT, chat(ASKED))).cache == "miss"
    assert (await ask(app, CHAT, chat(ASKED))).cache == "exact"
    await app.close()
