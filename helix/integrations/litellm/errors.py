"""Helix's errors as LiteLLM's, and the other way round."""

from __future__ import annotations

from litellm.proxy._types import ProxyException

from helix.integrations.passage import Passage
from helix.kernel import exact
from helix.kernel.errors import HelixError, UpstreamStatus
from helix.kernel.wire import COMPLETIONS, Dialect

__all__ = ["failure", "refusal", "refused"]


class _Refused(Exception):
    """A refusal that LiteLLM does not log itself: where it would, it would log the body as it came."""

    def __init__(self, error: ProxyException) -> None:
        super().__init__(error.message)
        self.message, self.type, self.param = error.message, error.type, error.param
        self.code, self.status_code, self.headers = error.openai_code, int(error.code), error.headers


def refused(error: HelixError, *, is_logged: bool = True) -> Exception:
    """An error of ours as one of LiteLLM's."""
    exception = ProxyException(
        message=error.message,
        type=type(error).type,
        param=error.param,
        code=error.status,
        openai_code=error.code,
        headers=dict(error.headers),
    )
    return exception if is_logged else _Refused(exception)


def refusal(dialect: Dialect, passage: Passage, body: bytes) -> Exception:
    """The reply by which a stage refuses, as an error of LiteLLM's."""
    said = exact.loads(body)["error"]
    exception = ProxyException(
        message=said["message"],
        type=said["type"],
        param=said.get("param"),
        code=passage.status,
        openai_code=said.get("code"),
        headers={name.decode(): value.decode("latin-1") for name, value in passage.headers if name[:8] == b"x-helix-"},
    )
    # LiteLLM's endpoint for the older completions keeps the body as it came beside the one that hooks are given.
    return _Refused(exception) if dialect is COMPLETIONS else exception


def failure(error: Exception) -> HelixError:
    """LiteLLM's error as one of ours, for the record; its words may hold anybody's."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return UpstreamStatus("the provider failed", status if isinstance(status, int) and 400 <= status < 600 else 502)
