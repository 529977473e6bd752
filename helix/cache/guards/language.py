"""The language a text is in: an answer in another is no answer."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from helix.cache.guards.align import Alignment
from helix.cache.guards.grammar import FUNCTION
from helix.cache.guards.reading import REMEMBERED, Reading

__all__ = ["same_language"]

_LEAST_WORDS = 2
"""So many words of a language's own, and more than of any other, tell that it is this one."""

# The commonest words of each language that no other of these has.
_COMMON = {
    "en": " ".join(
        FUNCTION - {"a", "an", "as", "do", "no", "in", "for", "me", "on", "per", "so", "dare", "die", "was"}
    ),
    "es": "el los las una por para con como cual cuando donde quiero puedo mi esta esto pero porque del muy hacer cómo "
    "qué cuál dónde cuándo",
    "fr": "le les des une est dans pour avec comment je vous nous mon ma mes quel quelle où puis peux sur pas ce cette "
    "du pourquoi quand faire",
    "de": "der die das und ist ein eine einen wie ich nicht mit für mein meine wo wann warum kann auf dem den zu von "
    "sie was wird",
    "it": "il gli di che è per non sono della come posso mio mia dove quando perché con questo questa nel cosa fare",
    "pt": "o os as um uma não como posso meu minha onde quando porque com para isto fazer você é do da em qual",
    "nl": "de het een en van ik niet mijn hoe waar wanneer waarom kan met voor op dat zijn wat wordt",
    "sv": "och att det jag inte min hur var när varför kan med för på är som en ett den vad",
    "pl": "jest nie jak moja mój gdzie kiedy dlaczego czy mogę się na do z co po to",
    "tr": "bir ve bu nasıl nerede ne zaman neden benim için ile mı mi değil kartım var",
}
_OWN: dict[str, list[str]] = {}
for _language, _words in _COMMON.items():
    for _word in _words.split():
        _OWN.setdefault(_word, []).append(_language)
_SCRIPTS = frozenset(
    "CYRILLIC GREEK ARABIC HEBREW DEVANAGARI BENGALI TAMIL TELUGU GUJARATI THAI HANGUL CJK LATIN ARMENIAN".split()
)


def same_language(one: Reading, other: Reading, _: Alignment) -> bool:
    """The same script, and the same language where both can be told."""
    (script, language), (other_script, other_language) = _language_of(one), _language_of(other)
    if script != other_script and script and other_script:
        return False
    return not language or not other_language or language == other_language


@lru_cache(maxsize=REMEMBERED)
def _language_of(reading: Reading) -> tuple[str, str]:
    """The script of most letters, and the language by its commonest words; "" for what cannot be told."""
    scripts: dict[str, int] = {}
    found: dict[str, int] = {}
    for word in set(reading.words()):
        if word.isascii():
            script = "LATIN"
        else:
            script = unicodedata.name(word[0], "").partition(" ")[0]
            script = "CJK" if script in ("HIRAGANA", "KATAKANA") else script
        if script in _SCRIPTS:
            scripts[script] = scripts.get(script, 0) + len(word)
        for language in _OWN.get(word, ()):
            found[language] = found.get(language, 0) + 1
    script = max(scripts, key=lambda name: (scripts[name], name), default="")
    best = sorted(found.items(), key=lambda item: -item[1])[:2]
    clear = best and best[0][1] >= _LEAST_WORDS and (len(best) < 2 or best[0][1] > best[1][1])
    return script, best[0][0] if clear else ""
