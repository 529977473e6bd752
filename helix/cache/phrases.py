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

__all__ = ["LANGUAGES", "asks_for_action", "asks_for_now", "phrase_pattern", "plain"]

# By ISO 639-1 code. Left out is what is common in another sense or another language (English "now" and "actual", German
# "nun"), and what tells when something happened rather than when the answer is to hold ("yesterday").
_FRESHNESS: dict[str, tuple[str, ...]] = {
    "en": (
        *("today", "tonight", "tomorrow", "right now", "as of now", "at this moment", "at the moment"),
        *("currently", "nowadays", "these days", "up to date", "up-to-date", "breaking news", "real time", "real-time"),
        *("newest", "this week", "this weekend", "this month", "this year", "this evening", "next week"),
        *("next weekend", "next month", "next year", "live score"),
        *("weather forecast", "what time is it", "what day is it", "what year is it", "what is the time"),
        *("what is the date", "what date is it", "what's the time", "what's the date", "stock price", "share price"),
    ),
    "de": (
        *("heute", "heutig", "heutige", "heutigen", "heutiger", "heutiges", "jetzt", "gerade eben", "momentan"),
        *("im moment", "zurzeit", "zur zeit", "derzeit", "derzeitige", "derzeitigen", "aktuell", "aktuelle"),
        *("aktuellen", "aktueller", "aktuelles", "neueste", "neuesten", "neuester", "neuestes", "diese woche"),
        *("dieses wochenende", "diesen monat", "dieses jahr", "nächste woche", "nächsten monat", "nächstes jahr"),
        *("wie spät ist es", "wie viel uhr", "wieviel uhr", "wettervorhersage", "aktienkurs"),
    ),
    "es": (
        *("hoy", "ahora", "ahora mismo", "en este momento", "actualmente", "esta noche", "esta semana", "este mes"),
        *("este año", "la próxima semana", "el próximo mes", "más reciente", "más recientes", "qué hora es"),
        *("últimas noticias",),
    ),
    "fr": (
        *("aujourd'hui", "maintenant", "en ce moment", "actuellement", "demain", "ce soir", "cette semaine"),
        *("ce mois-ci", "cette année", "la semaine prochaine", "le mois prochain", "dernières nouvelles"),
        *("plus récent", "plus récente", "quelle heure est-il",),
    ),
    "it": (
        *("oggi", "adesso", "in questo momento", "attualmente", "domani", "stasera", "questa settimana"),
        *("questo mese", "quest'anno", "la prossima settimana", "più recente", "più recenti", "che ore sono"),
        *("ultime notizie",),
    ),
    "nl": (
        *("vandaag", "op dit moment", "momenteel", "vanavond", "deze week", "deze maand", "dit jaar"),
        *("volgende week", "volgende maand", "nieuwste", "hoe laat is het"),
    ),
    "pt": (
        *("hoje", "agora", "neste momento", "atualmente", "amanhã", "esta noite", "esta semana", "este mês"),
        *("este ano", "na próxima semana", "mais recente", "mais recentes", "que horas são", "últimas notícias"),
    ),
    "zh": ("今天", "今晚", "明天", "现在", "現在", "目前", "当前", "當前", "最新", "本周", "本週", "几点", "幾點"),
    "ja": ("今日", "今夜", "明日", "今すぐ", "現在", "最新", "今週", "今月", "今年", "何時ですか"),
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
        r"(?<!at the )latest",
        r"(?<!my )most recent",
        rf"(?:current|present|today's) (?:\w+ ){{0,2}}{_STATE}",
        rf"(?:what(?:'s| is| are)|whats|how (?:much|high|low) is|tell me|show(?: me)?|give me|check) my {_OWN}"
        r"(?:balances?|limit|position|portfolio|savings|points|miles|credits?|usage|score|status|schedule|agenda)",
        r"how much (?:money )?(?:do i have (?:left|in my)|have i got (?:left|in my)|is (?:left )?(?:in|on) my)",
        r"(?:status of my|where is my (?:order|package|parcel|delivery|driver|ride))",
        r"(?:what(?:'s| is)|how(?:'s| is)) the weather",
    ),
}

# What may stand before a request without changing it.
_LEAD = (
    r"(?:(?:hi|hello|hey|ok|okay|so|now|then|and|also|just|please|pls|kindly|thanks|sure|yes|no|well|go ahead and|let's"
    r"|let us)(?: there)?,? )*"
)
_ASKS_YOU = r"(?:(?:can|could|would) you|would you mind|i (?:want|need|would like) you to|i'd like you to)"
_WISHES = r"(?:i (?:want|need|wish|would like) to|i'd like to|i wanna|i'm going to|i am going to|let me)"
# Verbs of what changes something outside of the conversation.
_VERBS = (
    r"(?:cancel(?:l?ing)?|delet(?:e|ing)|buy(?:ing)?|send(?:ing)?|pay(?:ing)?|reserv(?:e|ing)|rebook(?:ing)?"
    r"|reschedul(?:e|ing)|withdraw(?:ing)?|deposit(?:ing)?|wir(?:e|ing)|activat(?:e|ing)|deactivat(?:e|ing)"
    r"|reactivat(?:e|ing)|terminat(?:e|ing)|unsubscrib(?:e|ing)|remind(?:ing)?|approv(?:e|ing)|revok(?:e|ing)"
    r"|renew(?:ing)?|unblock(?:ing)?|unfreez(?:e|ing)|unlock(?:ing)?|dispatch(?:ing)?)"
)
# Verbs that are nouns too: in the imperative only before what they can have as an object.
_NOUN_VERBS = (
    r"(?:book(?:ing)?|transfer(?:ring)?|order(?:ing)?|schedul(?:e|ing)|call(?:ing)?|charg(?:e|ing)|refund(?:ing)?"
    r"|block(?:ing)?|freez(?:e|ing)|lock(?:ing)?|purchas(?:e|ing)|hir(?:e|ing)|email(?:ing)?|text(?:ing)?"
    r"|top(?:ping)? up|clos(?:e|ing)|(?:turn|switch)(?:ing)? (?:on|off)|sign(?:ing)? (?:me|us) up)"
)
_OBJECT = (
    r"(?: (?:me|us|him|her|them|it|a|an|the|my|our|your|his|their|this|that|these|those|one|two|three|four|five|six|seven"
    r"|eight|nine|ten|another|some|all|both|for me|for us)\b| [\d$€£¥]| <)"
)
_ORGANISED = (
    r"(?:(?:set|create|make|add)(?:ting|ing)? (?:up )?(?:me )?(?:a|an|the|another) (?:\w+ )?"
    r"(?:alarm|reminder|timer|appointment|meeting|reservation|booking|payment|standing order)"
    r"|add (?:[\w'<>]+ ){1,6}to my (?:cart|basket|calendar|list))"
)
_NOT_COMPARED = r"(?! (?:vs\.?|versus|or|and)\b)"
# By language: in the first group of each what is said to be done; what a question of one's own turns into a question.
_ACTIONS: dict[str, tuple[str, ...]] = {
    "en": (
        rf"{_LEAD}(?:{_VERBS}\b{_NOT_COMPARED} \S|{_NOUN_VERBS}{_OBJECT}|{_ORGANISED}\b)",
        rf"{_LEAD}{_ASKS_YOU} (?:please |kindly |just |also |go ahead and )*(?:{_VERBS}|{_NOUN_VERBS}|{_ORGANISED})\b",
    ),
    "de": (
        r"(?:(?:hallo|ok|bitte|und|dann|also|jetzt),? )*(?:buch|überweis|stornier|kündig|lösch|bestell|send|schick|bezahl"
        r"|zahl|reservier|kauf|sperr|entsperr|aktivier|deaktivier|erinner)(?:e|en sie)? (?:bitte )?(?:mir|mich|uns|ein\w*"
        r"|den|die|das|dem|mein\w*|unser\w*|diese\w*|zwei|drei|vier|\d|€|<)",
        r"(?:(?:hallo|ok|bitte|und|dann),? )*(?:kannst du|können sie|könntest du|könnten sie|würdest du|würden sie)\b"
        r".{0,160}\b(?:buchen|überweisen|stornieren|kündigen|löschen|bestellen|senden|schicken|bezahlen|reservieren"
        r"|kaufen|sperren|entsperren|aktivieren|deaktivieren|erinnern)\b",
    ),
    "es": (
        r"(?:(?:hola|por favor|ok|y|entonces),? )*(?:reserv|transfier|cancel|elimin|borr|compr|envía|envi|mand|pag|pid"
        r"|bloque|desbloque|activ|desactiv|recuérda)(?:a|e|en|me|ame|eme)? (?:me|un|una|el|la|los|las|mi|mis|este|esta"
        r"|ese|esa|dos|tres|\d|€|\$|<)",
        r"(?:(?:hola|por favor|ok|y),? )*(?:puedes|podrías|puede|podría|quiero que)\b.{0,40}\b(?:reserv|transf|cancel|elimin"
        r"|borr|compr|envi|mand|pag|ped|bloque|desbloque|activ|desactiv)\w*\b",
    ),
    "fr": (
        r"(?:(?:bonjour|s'il (?:te|vous) plaît|ok|et|alors),? )*(?:réserv|annul|supprim|achèt|achet|envoi|envoy|pai|pay"
        r"|command|bloqu|débloqu|activ|désactiv|transfèr|transfér|vir)(?:e|es|ez)(?:-(?:moi|nous|lui))? (?:un|une|le|la"
        r"|les|mon|ma|mes|ce|cette|deux|trois|\d|€|<)",
        r"(?:(?:bonjour|ok|et),? )*(?:peux-tu|pouvez-vous|pourrais-tu|pourriez-vous|tu peux|vous pouvez)\b.{0,40}"
        r"\b(?:réserver|annuler|supprimer|acheter|envoyer|payer|commander|bloquer|débloquer|activer|désactiver"
        r"|transférer|virer)\b",
    ),
    "it": (
        r"(?:(?:ciao|per favore|ok|e|allora),? )*(?:prenot|annull|cancell|elimin|compr|invi|mand|pag|ordin|blocc|sblocc"
        r"|attiv|disattiv|trasferisc)(?:a|i|ami|imi)? (?:un|uno|una|il|lo|la|i|gli|le|mio|mia|questo|questa|due|tre"
        r"|\d|€|<)",
        r"(?:(?:ciao|per favore|ok|e),? )*(?:puoi|potresti|può|potrebbe)\b.{0,40}\b(?:prenotar|annullar|cancellar|eliminar"
        r"|comprar|inviar|mandar|pagar|ordinar|bloccar|sbloccar|attivar|disattivar|trasferir)\w*\b",
    ),
    "nl": (
        r"(?:(?:hallo|ok|graag|en|dan),? )*(?:boek|annuleer|verwijder|koop|stuur|betaal|bestel|reserveer|blokkeer"
        r"|deblokkeer|activeer|deactiveer) (?:me|mij|ons|een|de|het|mijn|onze|deze|dit|twee|drie|\d|€|<)",
        r"(?:(?:hallo|ok),? )*(?:kun je|kunt u|kan je|zou je|zou u|wil je|wilt u)\b.{0,160}\b(?:boeken|annuleren|verwijderen"
        r"|kopen|sturen|betalen|bestellen|reserveren|blokkeren|deblokkeren|activeren|deactiveren|overmaken)\b",
    ),
    "pt": (
        r"(?:(?:olá|por favor|ok|e|então),? )*(?:reserv|transfir|cancel|exclu|apagu|apag|compr|envi|mand|pagu|pag|peç"
        r"|bloquei|desbloquei|ativ|desativ)(?:a|e|em|o)? (?:me|um|uma|o|a|os|as|meu|minha|este|esta|esse|essa|dois"
        r"|duas|três|\d|€|<)",
        r"(?:(?:olá|por favor|ok|e),? )*(?:você pode|pode|podes|poderia|podia|quero que)\b.{0,40}\b(?:reserv|transf|cancel"
        r"|exclu|apag|compr|envi|mand|pag|ped|bloque|desbloque|ativ|desativ)\w*\b",
    ),
    "zh": (r"(?:请|請|帮我|幫我|给我|給我|麻烦|麻煩)+(?:预订|預訂|订|訂|取消|转账|轉帳|汇款|匯款|购买|購買|买|買|支付|发送|發送|删除|刪除)",),
    "ja": (r".{0,160}(?:予約|キャンセル|送金|振込|購入|注文|支払|送信|削除|解約)(?:を)?(?:して|お願い|したい)",),
}
# A wish of one's own is a request unless it comes with a question: "I want to transfer money. How long does it take?"
_WISHED: dict[str, str] = {
    "en": rf"{_LEAD}{_WISHES} (?:please |just |also )*(?:{_VERBS}|{_NOUN_VERBS}|{_ORGANISED})\b",
    "de": r"ich (?:möchte|will|würde gerne?)\b.{0,160}\b(?:buchen|überweisen|stornieren|kündigen|löschen|bestellen"
    r"|bezahlen|reservieren|kaufen|sperren|entsperren)\b",
    "es": r"(?:quiero|quisiera|me gustaría|necesito) (?:reservar|transferir|cancelar|eliminar|borrar|comprar|enviar"
    r"|mandar|pagar|pedir|bloquear|desbloquear)\b",
    "fr": r"(?:je veux|je voudrais|j'aimerais|je souhaite) (?:réserver|annuler|supprimer|acheter|envoyer|payer|commander"
    r"|bloquer|débloquer|transférer)\b",
    "it": r"(?:voglio|vorrei|mi piacerebbe) (?:prenotare|annullare|cancellare|eliminare|comprare|inviare|mandare|pagare"
    r"|ordinare|bloccare|sbloccare|trasferire)\b",
    "nl": r"ik (?:wil|zou graag)\b.{0,160}\b(?:boeken|annuleren|verwijderen|kopen|sturen|betalen|bestellen|reserveren"
    r"|blokkeren|overmaken)\b",
    "pt": r"(?:quero|queria|gostaria de|preciso) (?:reservar|transferir|cancelar|excluir|apagar|comprar|enviar|mandar"
    r"|pagar|pedir|bloquear|desbloquear)\b",
}
_INFORMATION = re.compile(
    r"\b(?:how|what|why|when|where|which|who|can i|could i|may i|should i|do i|am i|is it|is there|are there|will it|wie"
    r"|was|warum|wann|wo|welche\w*|kann ich|cómo|qué|por qué|cuándo|dónde|puedo|comment|pourquoi|quand|puis-je|come"
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
    spaced, unspaced = [], []
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
    requests = "|".join(one for language in languages for one in _ACTIONS[language])
    wishes = "|".join(_WISHED[language] for language in languages if language in _WISHED)
    return re.compile(requests), re.compile(wishes or r"(?!)")
