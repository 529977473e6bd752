"""Which answers are kept: complete ones in words, and what else is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helix.kernel.wire import Dialect, Ending

__all__ = ["Storable"]


@dataclass(frozen=True, slots=True)
class Storable:
    """Says why an answer is not kept, if it is not.

    `refused`, `truncated`, `tools`: whether answers that ended so (`Ending`) are kept too. They then answer equal
    requests alone, never near ones. What did not come to its end, an answer with an error in it, and any reply but 2xx
    are never kept: given again, they would pass for answers.
    """

    refused: bool = False
    truncated: bool = False
    tools: bool = False

    def why_not(self, dialect: Dialect, answer: dict[str, Any]) -> Ending | None:
        """How an answer ended that is not kept; None for one that is."""
        ending = dialect.ending(answer)
        kept = {"complete": True, "refused": self.refused, "truncated": self.truncated, "tools": self.tools}
        if answer.get("error") or not kept.get(ending, False):
            return "incomplete" if ending == "complete" else ending
        return None
