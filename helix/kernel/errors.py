"""The error tree. Inner code raises these; a stage's `__call__` alone turns them into replies.

    HelixError                      500  api_error
    ├── InvalidRequest              400  invalid_request_error
    │   ├── MalformedBody           400    malformed_json
    │   ├── BodyTooLarge            413    body_too_large
    │   ├── BodyTimeout             408    body_timeout
    │   ├── ClientDisconnected      499    client_disconnected
    │   ├── ContentBlocked          400    content_blocked
    │   ├── MethodNotAllowed        405    method_not_allowed
    │   └── NotFound                404    not_found
    │       └── ModelNotFound       404    model_not_found
    ├── Unauthenticated             401  authentication_error   invalid_api_key
    ├── Forbidden                   403  permission_error       permission_denied
    │   ├── ModelNotAllowed         403    model_not_allowed
    │   └── ModelUnpriced           403    model_unpriced
    ├── RateLimited                 429  rate_limit_error       rate_limit_exceeded
    ├── BudgetExceeded              429  budget_exceeded        budget_exceeded
    ├── BackendUnavailable          503  service_unavailable    backend_unavailable
    ├── NotCached                   504  not_cached             not_cached
    ├── UpstreamError               502  upstream_error         upstream_error
    │   ├── UpstreamUnreachable     502    upstream_unreachable
    │   │   └── UpstreamBroke       502    upstream_unreachable
    │   ├── UpstreamTimeout         504    upstream_timeout
    │   │   └── ConnectTimeout      504    upstream_timeout
    │   ├── UpstreamGarbled         502    upstream_invalid_response
    │   ├── NoDeployment            503    no_deployment_available
    │   └── UpstreamStatus          its own status and body
    └── ConfigError                 (no HTTP; exit code 2)

A message says what was wrong, where, and what is allowed; it never contains text of a request or an answer, nor a
secret. Constructor arguments are positional and passed to `super().__init__`, so that errors pickle.
"""

from __future__ import annotations

from typing import ClassVar

Headers = tuple[tuple[str, str], ...]


class HelixError(Exception):
    """Anything that Helix refuses or cannot do, with the HTTP reply that says so."""

    status: int = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"

    def __init__(self, message: str, param: str | None = None, headers: Headers = ()) -> None:
        super().__init__(message, param, headers)
        self.message = message
        self.param = param
        self.headers = headers

    def __str__(self) -> str:
        return self.message


class InvalidRequest(HelixError):
    """The request is not one that the dialect allows; `param` names the place."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class MalformedBody(InvalidRequest):
    """The body is not JSON, or not a JSON object."""

    code = "malformed_json"


class BodyTooLarge(InvalidRequest):
    """The body is over the cap."""

    status = 413
    code = "body_too_large"


class BodyTimeout(InvalidRequest):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"


class ClientDisconnected(InvalidRequest):
    """The caller left; 499 is for the records, nobody reads the reply."""

    status = 499
    code = "client_disconnected"


class ContentBlocked(InvalidRequest):
    """The request holds something that policy does not let through."""

    code = "content_blocked"


class MethodNotAllowed(InvalidRequest):
    """There is such a thing here, but not for this HTTP method; `allow` is among the headers."""

    status = 405
    code = "method_not_allowed"


class NotFound(InvalidRequest):
    """There is no such thing here."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No deployment serves that model name."""

    code = "model_not_found"


class Unauthenticated(HelixError):
    """No credential, or one that is unknown, revoked or expired."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(HelixError):
    """The caller is known but may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class ModelNotAllowed(Forbidden):
    """The caller's key does not allow this model."""

    code = "model_not_allowed"


class ModelUnpriced(Forbidden):
    """A budget applies, and nobody knows what the model costs."""

    code = "model_unpriced"


class RateLimited(HelixError):
    """Too many requests in a window, or at once; `retry-after` is among the headers."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class BudgetExceeded(HelixError):
    """A budget cannot pay for the request; the message names it, its limit and its reset."""

    status = 429
    type = "budget_exceeded"
    code = "budget_exceeded"


class BackendUnavailable(HelixError):
    """Something that Helix itself depends on is down or too slow."""

    status = 503
    type = "service_unavailable"
    code = "backend_unavailable"


class NotCached(HelixError):
    """The caller wants what is cached or nothing, and nothing is (RFC 9111, section 5.2.1.7)."""

    status = 504
    type = "not_cached"
    code = "not_cached"


class UpstreamError(HelixError):
    """The provider failed."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"
    unanswered = False
    """Whether the provider may have had the question all the same, and so may charge for it."""


class UpstreamUnreachable(UpstreamError):
    """The provider refused the connection, or it broke."""

    code = "upstream_unreachable"


class UpstreamBroke(UpstreamUnreachable):
    """The connection to the provider broke after the question was sent."""

    unanswered = True


class UpstreamTimeout(UpstreamError):
    """The provider did not answer in time."""

    status = 504
    code = "upstream_timeout"
    unanswered = True


class ConnectTimeout(UpstreamTimeout):
    """The provider could not be connected to in time: it never had the question."""

    unanswered = False


class UpstreamGarbled(UpstreamError):
    """The provider's answer cannot be read."""

    code = "upstream_invalid_response"


class NoDeployment(UpstreamError):
    """Every deployment of the model is left alone for a while after failures; `retry-after` is among the headers."""

    status = 503
    code = "no_deployment_available"


class UpstreamStatus(UpstreamError):
    """The provider answered with an error status; its own body goes to the caller.

    `body` is the provider's reply, JSON or not, empty where it had none.
    """

    code = "upstream_status"

    def __init__(
        self,
        message: str,
        status: int = 502,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: Headers = (),
    ) -> None:
        super().__init__(message, None, headers)
        self.args = (message, status, body, content_type, headers)
        self.status = status
        self.body = body
        self.content_type = content_type


class ConfigError(HelixError):
    """The configuration is wrong; `param` is the key's path."""

    code = "invalid_config"
