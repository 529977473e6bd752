"""Personal data out of requests, and back into their answers.

    app.add_middleware(RedactMiddleware, entities={"EMAIL_ADDRESS": "placeholder", "US_SSN": "block"})

Importing this loads no detector: Presidio is loaded when the middleware opens.
"""

from __future__ import annotations

from helix.redact.answers import ACTIONS, Answers
from helix.redact.entities import DEFAULT_ENTITIES, KNOWN_ENTITIES
from helix.redact.explain import Explanation, explain
from helix.redact.middleware import RedactMiddleware
from helix.redact.policy import Policy
from helix.redact.presidio import PresidioDetector
from helix.redact.redactor import Redactor
from helix.redact.strategies import STRATEGIES

__all__ = [
    "ACTIONS",
    "DEFAULT_ENTITIES",
    "KNOWN_ENTITIES",
    "STRATEGIES",
    "Answers",
    "Explanation",
    "Policy",
    "PresidioDetector",
    "RedactMiddleware",
    "Redactor",
    "explain",
]
