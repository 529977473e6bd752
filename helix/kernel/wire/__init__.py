"""The API dialects: where the texts are, how to replace them, where usage and stream deltas are.

A request or an answer stays the plain dict that came in; what is not understood is left alone and survives. Places are
paths, so that reading (`texts`) and writing (`replaced`) are one idea in every dialect.
"""

from __future__ import annotations

from helix.kernel.wire.base import Assembler, Channel, Dialect, Ending, Path, Question, Text, replaced
from helix.kernel.wire.chat import CHAT
from helix.kernel.wire.completions import COMPLETIONS
from helix.kernel.wire.embeddings import EMBEDDINGS
from helix.kernel.wire.messages import COUNT_TOKENS, MESSAGES
from helix.kernel.wire.responses import RESPONSES

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "COUNT_TOKENS",
    "DIALECTS",
    "EMBEDDINGS",
    "MESSAGES",
    "RESPONSES",
    "Assembler",
    "Channel",
    "Dialect",
    "Ending",
    "Path",
    "Question",
    "Text",
    "dialect_of",
    "replaced",
]

DIALECTS: tuple[Dialect, ...] = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES, COUNT_TOKENS)

_BY_PATH = {dialect.path: dialect for dialect in DIALECTS}
# "/chat/completions" and the like are unmistakable without the version; "/messages" and "/responses" may be anybody's.
_BY_PATH |= {d.path.removeprefix("/v1"): d for d in (CHAT, COMPLETIONS, EMBEDDINGS)}
_LONGEST_FIRST = sorted((d.path for d in DIALECTS), key=len, reverse=True)


def dialect_of(method: str, path: str) -> Dialect | None:
    """The dialect that a request speaks by its method and path, wherever the app is mounted; None for any other."""
    if method != "POST":
        return None
    dialect = _BY_PATH.get(path)
    if dialect is not None:
        return dialect
    for known in _LONGEST_FIRST:
        if path.endswith(known):
            return _BY_PATH[known]
    return None
