"""Helix's stages as a guardrail of LiteLLM's proxy: personal data out of requests, and back into their answers.

    guardrails:
      - guardrail_name: helix
        litellm_params: {guardrail: helix.integrations.litellm.HelixGuardrail, mode: pre_call, default_on: true}

Before LiteLLM calls a provider, the request goes through the stages (a Passage) and LiteLLM is given what they pass on;
what the provider answers goes back through them to the caller. What was taken out stays in the passage, in this
process: it is in nothing that LiteLLM, or another callback, logs or stores. Written against LiteLLM 1.106.
"""

from __future__ import annotations

from helix.integrations.litellm.guardrail import HelixGuardrail

__all__ = ["HelixGuardrail"]
