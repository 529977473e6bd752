"""What people say when the answer depends on the moment, or when something is to be done, by language.

Words and phrases are looked for whole, in texts as `plain` makes them. Patterns of requests are matched at the
beginning of a sentence: "book a table" asks for something to be done, "what is a book?" and "how do I book a table?" do
not. What a list leaves out can be added by configuration.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = ["LANGUAGES", "asks_for_action", "asks_for_now", "phrase_pattern", "plain"]


def _listed(*lines: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for line in lines for phrase in line.split(","))


# By ISO 639-1 code. Left out is what is common in another sense or another language (English "now", "currently" and
# "actual", German "nun"), and what tells when something happened rather than when the answer is to hold ("yesterday",
# "this morning").
_FRESHNESS: dict[str, tuple[str, ...]] = {
    "en": _listed(
        "today, tonight, tomorrow, right now, as of now, at this moment, at the moment, nowadays",
        "these days, up to date, up-to-date, breaking news, real time, real-time, newest, this week, this weekend",
        "this month, this year, this evening, next week, next weekend, next month, next year, live score",
        "weather forecast, what time is it, what day is it, what year is it, what date is it",
        "stock price, share price",
    ),
    "de": _listed(
        "heute, heutig, heutige, heutigen, heutiger, heutiges, jetzt, momentan, im moment, zurzeit, zur zeit, derzeit",
        "derzeitige, derzeitigen, aktuell, aktuelle, aktuellen, aktueller, aktuelles, neueste, neuesten, neuester",
        "neuestes, diese woche, dieses wochenende, diesen monat, dieses jahr, nächste woche, nächsten monat",
        "nächstes jahr, wie spät ist es, wie viel uhr, wieviel uhr, wettervorhersage, aktienkurs",
    ),
    "es": _listed(
        "hoy, ahora, ahora mismo, en este momento, actualmente, esta noche, esta semana, este mes, este año",
        "la próxima semana, el próximo mes, más reciente, más recientes, qué hora es, últimas noticias",
    ),
    "fr": _listed(
        "aujourd'hui, maintenant, en ce moment, actuellement, demain, ce soir, cette semaine, ce mois-ci, cette année",
        "la semaine prochaine, le mois prochain, dernières nouvelles, plus récent, plus récente, quelle heure est-il",
    ),
    "it": _listed(
        "oggi, adesso, in questo momento, attualmente, domani, stasera, questa settimana, questo mese, quest'anno",
        "la prossima settimana, più recente, più recenti, che ore sono, ultime notizie",
    ),
    "nl": _listed(
        "vandaag, op dit moment, momenteel, vanavond, deze week, deze maand, dit jaar, volgende week, volgende maand",
        "nieuwste, hoe laat is het",
    ),
    "pt": _listed(
        "hoje, agora, neste momento, atualmente, amanhã, esta noite, esta semana, este mês, este ano",
        "na próxima semana, mais recente, mais recentes, que horas são, últimas notícias",
    ),
    "zh": _listed("今天, 今晚, 明天, 现在, 現在, 目前, 当前, 當前, 最新, 本周, 本週, 几点, 幾點"),
    "ja": _listed("今日, 今夜, 明日, 今すぐ, 現在, 最新, 今週, 今月, 今年, 何時ですか"),
}
LANGUAGES = tuple(_FRESHNESS)
"""The languages that phrases are known in."""

_STATE = (
    r"(?:prices?|(?:exchange |interest |mortgage )?rates?|balance|status|weather|temperature|time|date|day|year|score"
    r"|standings|version|release|president|prime minister|ceo|chancellor|news|events?|situation|offers?|promotions?"
    r"|availability|traffic|location|population|record|champions?|leader)"
)
_OWN = r"(?:(?:account|card|bank|checking|savings|credit|available|current|remaining|outstanding) ){0,3}"
# Of a state that changes: "the latest news", but not "by Monday at the latest"; "the current rate", but not "a current
# account"; "what is my balance", "show me my balance", but not "why did my balance not change".
_FRESH_PATTERNS: dict[str, tuple[str, ...]] = {
    "en": (
        r"(?<!at the )(?<!my )latest",
        r"(?<!my )most recent",
        rf"(?:current|present|today's) (?:\w+ ){{0,2}}{_STATE}",
        rf"(?:what(?:'s| is| are)|whats|how (?:much|high|low) is|tell me|show(?: me)?|give me|check) my {_OWN}"
        r"(?:balances?|limit|position|portfolio|savings|points|miles|credits?|usage|score|status|schedule|agenda)",
        r"how much (?:money )?(?:do i have (?:left|in my)|have i got (?:left|in my)|is (?:left )?(?:in|on) my)",
        r"(?:status of my|where is my (?:order|package|parcel|delivery|driver|ride))",
        r"(?:what(?:'s| is)|how(?:'s| is)) the weather",
        r"what(?:'s| is) the (?:time|date|day)(?= ?(?:[?.!]|$|in\b))",
    ),
}


class _Grammar(NamedTuple):
    """How a language asks that something be done; every field is a part of a regular expression.

    `lead` may stand before a request without changing it; `imperative` with an object behind it is a request, and so is
    `asks` with `between` and a `verb` behind it. So is `wishes`, unless the text asks a question as well: "I
    want to transfer money. How long does it take?"
    """

    lead: str
    imperative: str
    asks: str
    wishes: str
    between: str
    verb: str


# Verbs of what changes something outside of the conversation.
_VERBS = (
    r"(?:cancel(?:l?ing)?|delet(?:e|ing)|buy(?:ing)?|send(?:ing)?|rebook(?:ing)?"
    r"|reschedul(?:e|ing)|withdraw(?:ing)?|activat(?:e|ing)|deactivat(?:e|ing)"
    r"|reactivat(?:e|ing)|terminat(?:e|ing)|unsubscrib(?:e|ing)|remind(?:ing)?|approv(?:e|ing)|revok(?:e|ing)"
    r"|renew(?:ing)?|unblock(?:ing)?|unfreez(?:e|ing)|unlock(?:ing)?|dispatch(?:ing)?)"
)
# Verbs that are nouns too: in the imperative only before what they can have as an object.
_NOUN_VERBS = (
    r"(?:book(?:ing)?|transfer(?:ring)?|pay(?:ing)?|wir(?:e|ing)|deposit(?:ing)?|reserv(?:e|ing)|order(?:ing)?|schedul(?:e|ing)|call(?:ing)?|charg(?:e|ing)|refund(?:ing)?"
    r"|block(?:ing)?|freez(?:e|ing)|lock(?:ing)?|purchas(?:e|ing)|hir(?:e|ing)|email(?:ing)?|text(?:ing)?"
    r"|top(?:ping)? up|clos(?:e|ing)|(?:turn|switch)(?:ing)? (?:on|off)|sign(?:ing)? (?:me|us) up)"
)
_OBJECT = (
    r"(?: (?:me|us|him|her|them|it|a|an|the|my|our|your|his|their|this|that|these|those|one|two|three|four|five|six"
    r"|seven|eight|nine|ten|another|some|all|both|for me|for us)\b| [\d$€£¥]| <)"
)
_ORGANISED = (
    r"(?:(?:set|create|make|add)(?:ting|ing)? (?:up )?(?:me )?(?:a|an|the|another) (?:\w+ )?"
    r"(?:alarm|reminder|timer|appointment|meeting|reservation|booking|payment|standing order)"
    r"|add (?:[\w'<>]+ ){1,6}to my (?:cart|basket|calendar|list))"
)
_GRAMMARS: dict[str, _Grammar] = {
    "en": _Grammar(
        lead="hi|hello|hey|there|ok|okay|so|now|then|and|also|just|please|pls|kindly|thanks|sure|yes|no|well|go ahead"
        "|let's|let us",
        imperative=rf"{_VERBS}(?! (?:vs|versus|or|and)\b) \S|{_NOUN_VERBS}{_OBJECT}|{_ORGANISED}\b",
        asks="(?:can|could|would) you|would you mind|i (?:want|need|would like) you to|i'd like you to",
        wishes="i (?:want|need|wish|would like) to|i'd like to|i wanna|i'm going to|i am going to|let me",
        verb=rf"{_VERBS}|{_NOUN_VERBS}|{_ORGANISED}",
        between=" (?:(?:please|kindly|just|also|now|go ahead and) )*",
    ),
    "de": _Grammar(
        lead="hallo|ok|bitte|und|dann|also|jetzt",
        imperative=r"(?:buch|überweis|stornier|kündig|lösch|bestell|send|schick|bezahl|zahl|reservier|kauf|sperr|entsperr"
        r"|aktivier|deaktivier|erinner)(?:e|en sie)? (?:bitte )?(?:mir|mich|uns|ein\w*|den|die|das|dem|mein\w*|unser\w*"
        r"|diese\w*|zwei|drei|vier|\d|€|<)",
        asks="kannst du|können sie|könntest du|könnten sie|würdest du|würden sie",
        wishes="ich möchte|ich will|ich würde gerne?",
        verb="buchen|überweisen|stornieren|kündigen|löschen|bestellen|senden|schicken|bezahlen|reservieren|kaufen"
        "|sperren|entsperren|aktivieren|deaktivieren|erinnern",
        between=".{0,160}",
    ),
    "es": _Grammar(
        lead="hola|por favor|ok|y|entonces",
        imperative=r"(?:reserv|transfier|cancel|elimin|borr|compr|envía|envi|mand|pag|pid|bloque|desbloque|activ"
        r"|desactiv|recuérda)(?:a|e|en|me|ame|eme)? (?:me|un|una|el|la|los|las|mi|mis|este|esta|ese|esa|dos|tres|\d|€"
        r"|\$|<)",
        asks="puedes|podrías|puede|podría",
        wishes="quiero|quisiera|me gustaría|necesito",
        verb="(?:reserv|transfer|cancel|elimin|borr|compr|envi|mand|pag|bloque|desbloque|activ|desactiv)(?:ar|ir)\\w*"
        "|pedir\\w*",
        between=".{0,24}",
    ),
    "fr": _Grammar(
        lead="bonjour|s'il te plaît|s'il vous plaît|ok|et|alors",
        imperative=r"(?:réserv|annul|supprim|achèt|achet|envoi|envoy|pai|pay|command|bloqu|débloqu|activ|désactiv|transfèr"
        r"|transfér|vir)(?:e|es|ez)(?:-(?:moi|nous|lui))? (?:un|une|le|la|les|mon|ma|mes|ce|cette|deux|trois|\d|€|<)",
        asks="peux-tu|pouvez-vous|pourrais-tu|pourriez-vous|tu peux|vous pouvez",
        wishes="je veux|je voudrais|j'aimerais|je souhaite",
        verb="réserver|annuler|supprimer|acheter|envoyer|payer|commander|bloquer|débloquer|activer|désactiver|transférer"
        "|virer",
        between=".{0,24}",
    ),
    "it": _Grammar(
        lead="ciao|per favore|ok|e|allora",
        imperative=r"(?:prenot|annull|cancell|elimin|compr|invi|mand|pag|ordin|blocc|sblocc|attiv|disattiv|trasferisc)"
        r"(?:a|i|ami|imi)? (?:un|uno|una|il|lo|la|i|gli|le|mio|mia|questo|questa|due|tre|\d|€|<)",
        asks="puoi|potresti|può|potrebbe",
        wishes="voglio|vorrei|mi piacerebbe",
        verb="(?:prenot|annull|cancell|elimin|compr|invi|mand|pag|ordin|blocc|sblocc|attiv|disattiv|trasfer)(?:ar|ir)\\w*",
        between=".{0,24}",
    ),
    "nl": _Grammar(
        lead="hallo|ok|graag|en|dan",
        imperative=r"(?:boek|annuleer|verwijder|koop|stuur|betaal|bestel|reserveer|blokkeer|deblokkeer|activeer"
        r"|deactiveer) (?:me|mij|ons|een|de|het|mijn|onze|deze|dit|twee|drie|\d|€|<)",
        asks="kun je|kunt u|kan je|zou je|zou u|wil je|wilt u",
        wishes="ik wil|ik zou graag",
        verb="boeken|annuleren|verwijderen|kopen|sturen|betalen|bestellen|reserveren|blokkeren|deblokkeren|activeren"
        "|deactiveren|overmaken",
        between=".{0,160}",
    ),
    "pt": _Grammar(
        lead="olá|por favor|ok|e|então",
        imperative=r"(?:reserv|transfir|cancel|exclu|apagu|apag|compr|envi|mand|pagu|pag|peç|bloquei|desbloquei|ativ"
        r"|desativ)(?:a|e|em|o)? (?:me|um|uma|o|a|os|as|meu|minha|este|esta|esse|essa|dois|duas|três|\d|€|<)",
        asks="você pode|pode|podes|poderia|podia",
        wishes="quero|queria|gostaria de|preciso",
        verb="(?:reserv|transfer|cancel|exclu|apag|compr|envi|mand|pag|bloque|desbloque|ativ|desativ)(?:ar|ir)\\w*"
        "|pedir\\w*",
        between=".{0,24}",
    ),
    "zh": _Grammar(
        lead="你好|您好",
        imperative="(?:请|請|帮我|幫我|给我|給我|麻烦|麻煩)+(?:你|您)?(?:预订|預訂|订|訂|取消|转账|轉帳|汇款|匯款|购买|購買|买|買|支付"
        "|发送|發送|删除|刪除)",
        asks="(?:能|能不能|可以|可不可以)(?:帮我|幫我)",
        wishes="我(?:想|要|想要)",
        verb="(?:预订|預訂|订|訂|取消|转账|轉帳|汇款|匯款|购买|購買|买|買|支付|删除|刪除)",
        between=".{0,8}",
    ),
    "ja": _Grammar(
        lead="すみません",
        imperative=".{0,160}(?:予約|キャンセル|送金|振込|購入|注文|支払|送信|削除|解約)を?(?:して|お願い)",
        asks="(?!)",
        wishes="(?!)",
        verb="(?!)",
        between="(?!)",
    ),
}
_INFORMATION = re.compile(
    r"\b(?:how|what|why|when|where|which|who|can i|could i|may i|should i|do i|am i|is it|is there|are there|will it"
    r"|wie|was|warum|wann|wo|welche\w*|kann ich|cómo|qué|por qué|cuándo|dónde|puedo|comment|pourquoi|quand|puis-je|come"
    r"|perché|quando|dove|posso|hoe|wat|waarom|wanneer|waar|kan ik|como|porque|onde)\b"
)
_SENTENCE_END = re.compile(r"[.!?;:\n。！？；：]+")
_MARKS = " \t\"'¿¡«»„“”()-*#>•"
_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def plain(text: str) -> str:
    """A text as it is compared with phrases: one spelling of each character, lower case, straight apostrophes."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'").casefold()


def phrase_pattern(phrases: Iterable[str]) -> str:
    """A pattern that finds any of some phrases as whole words, however they are spaced.

    In scripts that put no space between words a phrase is found anywhere.
    """
    spaced: list[str] = []
    unspaced: list[str] = []
    for phrase in phrases:
        written = r"\s+".join(map(re.escape, plain(phrase).split()))
        if not written:
            raise ValueError("a phrase must not be empty")
        (unspaced if _WITHOUT_SPACES.search(phrase) else spaced).append(written)
    if spaced:
        unspaced.append(rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)")
    return "|".join(unspaced)


def asks_for_now(text: str, languages: tuple[str, ...]) -> bool:
    """Whether the answer to a text, as `plain` made it, holds for a moment only."""
    return _fresh(languages).search(" ".join(text.split())) is not None


def asks_for_action(text: str, languages: tuple[str, ...]) -> bool:
    """Whether a text, as `plain` made it, asks that something be done, rather than how it is done or why it was."""
    requests, wishes = _requests(languages)
    is_question = None
    for part in _SENTENCE_END.split(text):
        sentence = " ".join(part.split()).strip(_MARKS)
        if requests.match(sentence):
            return True
        if wishes.match(sentence):
            if is_question is None:
                is_question = "?" in text or _INFORMATION.search(text) is not None
            if not is_question:
                return True
    return False


@lru_cache
def _fresh(languages: tuple[str, ...]) -> re.Pattern[str]:
    phrases = phrase_pattern(phrase for language in languages for phrase in _FRESHNESS[language])
    patterns = "|".join(one for language in languages for one in _FRESH_PATTERNS.get(language, ()))
    return re.compile(rf"{phrases}|\b(?:{patterns})\b" if patterns else phrases)


@lru_cache
def _requests(languages: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    requests, wishes = [], []
    for language in languages:
        lead, imperative, asks, wished, between, verb = _GRAMMARS[language]
        begin = rf"(?:(?:{lead})[, ]+)*"
        within = rf"{between}(?:{verb})" if language == "zh" else rf"{between}(?<!\w)(?:{verb})(?!\w)"
        requests.append(rf"{begin}(?:{imperative}|(?:{asks}){within})")
        wishes.append(rf"{begin}(?:{wished}){within}")
    return re.compile("|".join(requests)), re.compile("|".join(wishes))
