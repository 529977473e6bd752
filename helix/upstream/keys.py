"""LiteLLM's own key names, sorted into those that Helix honours and those that it does not; and how keys are read.

The names are those of LiteLLM 1.106's `Router.__init__`, `LiteLLM_Params` and `ModelInfo`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from typing import Any

from helix.kernel.errors import ConfigError

__all__ = [
    "PARAMS_UNSUPPORTED",
    "REQUEST_FIELDS",
    "ROUTER_UNSUPPORTED",
    "mapping",
    "number",
    "text",
    "unknown",
    "whole",
]

ROUTER_UNSUPPORTED = frozenset(
    [
        "assistants_config",
        "search_tools",
        "guardrail_list",
        "redis_url",
        "redis_host",
        "redis_port",
        "redis_password",
        "redis_db",
        "cache_responses",
        "cache_kwargs",
        "caching_groups",
        "client_ttl",
        "polling_interval",
        "default_priority",
        "default_max_parallel_requests",
        "set_verbose",
        "debug_level",
        "enable_pre_call_checks",
        "enable_tag_filtering",
        "tag_filtering_match_any",
        "tag_routing_prefix",
        "plugins",
        "optional_pre_call_checks",
        "routing_strategy_args",
        "routing_groups",
        "provider_budget_config",
        "alerting_config",
        "router_general_settings",
        "deployment_affinity_ttl_seconds",
        "model_group_affinity_config",
        "ignore_invalid_deployments",
        "enable_health_check_routing",
        "health_check_staleness_threshold",
        "health_check_ignore_transient_errors",
        "background_health_check_model_groups",
        "fallback_access_check",
        "fallback_budget_check",
        "auto_router_capability_limit",
        "weights",
    ]
)
"""Keys of `router_settings` that LiteLLM has and Helix has not."""

PARAMS_UNSUPPORTED = frozenset(
    [
        "max_parallel_requests",
        "itpm",
        "otpm",
        "timeout_by_service_tier",
        "stream_timeout_by_service_tier",
        "configurable_clientside_auth_params",
        "litellm_credential_name",
        "provider_affinity_header",
        "litellm_trace_id",
        "max_file_size_mb",
        "default_api_key_tpm_limit",
        "default_api_key_rpm_limit",
        "max_budget",
        "budget_duration",
        "keepalive_seconds",
        "allow_client_keepalive_override",
        "use_in_pass_through",
        "use_litellm_proxy",
        "mock_response",
        "tags",
        "tag_regex",
        "auto_router_config_path",
        "auto_router_config",
        "auto_router_default_model",
        "auto_router_embedding_model",
        "auto_router_max_input_chars",
        "complexity_router_config",
        "complexity_router_default_model",
        "adaptive_router_default_model",
        "adaptive_router_config",
        "quality_router_config",
        "quality_router_default_model",
    ]
)
"""Keys of `litellm_params` that LiteLLM's own router or proxy acts on and Helix does not."""

REQUEST_FIELDS: Mapping[str, frozenset[str]] = {
    dialect: frozenset(names.split())
    for dialect, names in {
        "chat": """
            audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
            metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort
            response_format safety_identifier seed service_tier stop store temperature thinking tool_choice tools
            top_k top_logprobs top_p user verbosity web_search_options
        """,
        "completions": """
            best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop suffix
            temperature top_k top_p user
        """,
        "embeddings": "dimensions encoding_format input_type user",
        "responses": """
            background conversation include instructions max_output_tokens max_tool_calls metadata
            parallel_tool_calls previous_response_id prompt prompt_cache_key reasoning safety_identifier
            service_tier store temperature text tool_choice tools top_logprobs top_p truncation user
        """,
        "messages": """
            container context_management max_tokens mcp_servers metadata output_config service_tier stop_sequences
            system temperature thinking tool_choice tools top_k top_p
        """,
        "count_tokens": "system thinking tool_choice tools",
    }.items()
}
"""The optional request fields of each dialect. As keys of `litellm_params` they are defaults."""


def unknown(path: str, name: str, allowed: Collection[str], unsupported: Collection[str] = ()) -> ConfigError:
    """The error for a key that has no place here; tells LiteLLM's own, which Helix lacks, from nobody's."""
    where = f"{path}.{name}" if path else name
    names = ", ".join(sorted(allowed))
    if name in unsupported:
        return ConfigError(f"{where}: a key of LiteLLM that Helix does not support; allowed here: {names}", where)
    near = difflib.get_close_matches(name, allowed, 1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return ConfigError(f"{where}: unknown key{hint}; allowed here: {names}", where)


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """A mapping with names for keys. Raises ConfigError."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{path}: must be a mapping, found {type(value).__name__}", path)
    return value


def text(value: Any, path: str) -> str:
    """A string with something in it; what was found is not shown, since it may be a secret. Raises ConfigError."""
    if not isinstance(value, str) or not value:
        found = "an empty one" if value == "" else type(value).__name__
        raise ConfigError(f"{path}: must be a string, found {found}", path)
    return value


def number(value: Any, path: str, *, least: float = 0.0) -> float:
    """A finite number, also as text, since values from the environment are text. Raises ConfigError."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found) or found < least:
        raise ConfigError(f"{path}: must be a number of at least {least:g}, found {value!r}", path)
    return found


def whole(value: Any, path: str, *, least: int = 0) -> int:
    """A whole number, also as text. Raises ConfigError."""
    found = number(value, path, least=least)
    if not found.is_integer():
        raise ConfigError(f"{path}: must be a whole number, found {value!r}", path)
    return int(found)
