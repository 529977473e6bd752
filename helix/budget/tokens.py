"""How many tokens a text has, by the provider's own tokenizer where that can be had without the network.

OpenAI's are known (tiktoken), and LiteLLM brings their vocabularies along. Anthropic has published none since Claude 2,
and others have as many as they have models: their texts are bounded by bytes.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["Encoding", "encodings_of", "load"]

# The name under which tiktoken and LiteLLM keep a vocabulary, the SHA-1 of its address; the pattern that splits a text
# before its pieces are encoded: tiktoken_ext/openai_public.py.
_VOCABULARIES: Final = {
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        (
            r"'(?i:[sdmt]|ll|ve|re)",
            r"[^\r\n\p{L}\p{N}]?+\p{L}++",
            r"\p{N}{1,3}+",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
            r"\s++$",
            r"\s*[\r\n]",
            r"\s+(?!\S)",
            r"\s",
        ),
    ),
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ),
    ),
}
_SAME: Final = {"o200k_harmony": "o200k_base"}  # other special tokens; ordinary text is encoded alike
_FOLDER: Final = "litellm_core_utils/tokenizers"
_PROVIDERS: Final = frozenset(("", "openai", "azure", "text-completion-openai", "azure_text", "ft"))
MOST_CHARACTERS: Final = 131_072
"""Of one text: the pattern's engine gives up on much longer runs of blanks."""
MOST_BYTES: Final = 524_288
"""Of one request: what takes a tenth of a second to encode is not worth the finer figure."""

Encoding = Callable[[str], int]
"""The number of tokens of a text."""


def encodings_of(models: Iterable[str]) -> tuple[str, ...]:
    """The encodings of models, by LiteLLM's names for them; none where one of theirs is not known."""
    found = []
    for model in models:
        name = _encoding_of(model)
        if name is None:
            return ()
        found.append(name)
    return tuple(dict.fromkeys(found))


def _encoding_of(model: str) -> str | None:
    provider, slash, name = model.rpartition("/")
    if provider.partition("/")[0] not in _PROVIDERS or importlib.util.find_spec("tiktoken") is None:
        return None
    from tiktoken.model import encoding_name_for_model  # here: it is LiteLLM's, and not on the way of most requests

    try:
        encoding = encoding_name_for_model(name if slash else model)
    except KeyError:
        return None
    encoding = _SAME.get(encoding, encoding)
    return encoding if encoding in _VOCABULARIES else None


@cache
def load(name: str) -> Encoding | None:
    """An encoding; None where its vocabulary is not installed. Takes some 0.5 s and 60 MB the first time."""
    digest, pattern = _VOCABULARIES[name]
    spec = importlib.util.find_spec("litellm")
    files = (
        [Path(folder) / _FOLDER / digest for folder in (spec.submodule_search_locations or ()) if spec] if spec else []
    )
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    import tiktoken

    # Not tiktoken.get_encoding: that asks the network for what it does not find.
    ranks = {
        base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file.read_bytes().splitlines())
    }
    encoding = tiktoken.Encoding(name, pat_str="|".join(pattern), mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))
