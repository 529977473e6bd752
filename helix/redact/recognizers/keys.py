"""The forms in which providers give out API keys: what each is, and where that is written down."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KEY_FORMATS", "KeyFormat"]


class KeyFormat(NamedTuple):
    """A provider's keys: texts of which one is in every key, the whole form, and where it comes from.

    `least_bits` is the least information in each character (Shannon's entropy): what has less is made up.
    """

    provider: str
    marks: tuple[str, ...]
    regex: str
    source: str
    least_bits: float = 2.5


_GITHUB = "https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns"
_GITLAB = "https://docs.gitlab.com/security/tokens/#token-prefixes"
_SLACK = "https://docs.slack.dev/authentication/tokens"
_GOOGLE = "https://docs.cloud.google.com/docs/authentication/api-keys"
_AWS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes"
_AZURE = "https://learn.microsoft.com/en-us/purview/sit-defn-azure-ad-client-secret"
_RULES = "https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml"

KEY_FORMATS = (
    KeyFormat(
        "OpenAI", ("sk-",), r"sk-(?:proj|svcacct|admin|None)-[\w-]{20,}+", "https://platform.openai.com/api-keys"
    ),
    KeyFormat("Anthropic", ("sk-ant-",), r"sk-ant-[a-z]{2,8}\d{2}-[\w-]{20,}+", _RULES),
    KeyFormat(
        "OpenRouter", ("sk-or-",), r"sk-or-v1-[0-9a-f]{32,}+", "https://openrouter.ai/docs/api-reference/authentication"
    ),
    KeyFormat("Helix", ("sk-hx-",), r"sk-hx-[\w-]{20,}+", "helix/admit/keys.py"),
    # OpenAI's older keys, DeepSeek's, Moonshot's, DashScope's, LiteLLM's own.
    KeyFormat("OpenAI's wire", ("sk-",), r"sk-(?=[A-Za-z_-]{0,64}\d)[A-Za-z0-9_-]{20,}+", _RULES, 3.3),
    KeyFormat("AWS access key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}", _AWS),
    KeyFormat("GitHub", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36,255}+", _GITHUB),
    KeyFormat("GitHub", ("github_pat_",), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", _GITHUB),
    KeyFormat("GitLab", ("gl",), r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|wt)-[\w.-]{20,}+", _GITLAB),
    KeyFormat("Slack", ("xox", "xapp-"), r"(?:xox[abeoprs]-(?:\d-)?|xapp-\d-)[A-Za-z0-9-]{20,}+", _SLACK),
    KeyFormat(
        "Slack webhook",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}+",
        "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    ),
    KeyFormat(
        "Stripe", ("_live_", "_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}+", "https://docs.stripe.com/keys"
    ),
    KeyFormat("Stripe webhook", ("whsec_",), r"whsec_[A-Za-z0-9+/]{32,}+=?", "https://docs.stripe.com/webhooks"),
    KeyFormat("Google", ("AIza",), r"AIza[\w-]{35}", _GOOGLE),
    KeyFormat("Google OAuth client", ("GOCSPX-",), r"GOCSPX-[\w-]{28}", _GITHUB),
    KeyFormat("Google access token", ("ya29.",), r"ya29\.[\w-]{30,}+", _GITHUB),
    KeyFormat("Azure AD client", ("Q~",), r"[A-Za-z0-9_~.]{3}\dQ~[\w~.-]{31,34}", _AZURE),
    KeyFormat(
        "Azure storage",
        ("==",),
        r"(?i:(?:Account|SharedAccess|Primary|Secondary|Storage)Key=)\K[A-Za-z0-9+/]{86}==",
        _AZURE,
        4.0,
    ),
    KeyFormat("Azure", ("JQQJ99",), r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{24,28}", _RULES),
    KeyFormat("Azure signature", ("sig=",), r"(?:[?&;]|\b)sig=\K[A-Za-z0-9%+/]{40,64}(?:%3[dD]|=)", _AZURE),
    KeyFormat("Hugging Face", ("hf_",), r"hf_[A-Za-z0-9]{30,40}", "https://huggingface.co/docs/hub/security-tokens"),
    KeyFormat("npm", ("npm_",), r"npm_[A-Za-z0-9]{36}", "https://docs.npmjs.com/about-access-tokens"),
    KeyFormat("PyPI", ("pypi-AgE",), r"pypi-AgE[\w-]{50,}+", "https://pypi.org/help/#apitoken"),
    KeyFormat("Twilio", ("SK",), r"SK[0-9a-f]{32}", "https://www.twilio.com/docs/iam/api-keys"),
    KeyFormat("SendGrid", ("SG.",), r"SG\.[\w-]{22}\.[\w-]{43}", _GITHUB),
    KeyFormat("Mailgun", ("key-",), r"(?<![\w-])key-[0-9a-f]{32}", _GITHUB),
    KeyFormat("Mailchimp", ("-us",), r"[0-9a-f]{32}-us\d{1,2}", _GITHUB),
    KeyFormat("DigitalOcean", ("_v1_",), r"do[opr]_v1_[0-9a-f]{64}", _GITHUB),
    KeyFormat("Databricks", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?", _GITHUB),
    KeyFormat("Shopify", ("shp",), r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", _GITHUB),
    KeyFormat("Groq", ("gsk_",), r"gsk_[A-Za-z0-9]{40,60}", "https://console.groq.com/keys"),
    KeyFormat("xAI", ("xai-",), r"xai-[A-Za-z0-9]{60,90}", "https://docs.x.ai/docs/overview"),
    KeyFormat("Perplexity", ("pplx-",), r"pplx-[A-Za-z0-9]{40,60}", _RULES),
    KeyFormat("Replicate", ("r8_",), r"r8_[A-Za-z0-9]{37}", "https://replicate.com/docs/topics/security/api-tokens"),
    KeyFormat("NVIDIA", ("nvapi-",), r"nvapi-[\w-]{60,70}", "https://docs.api.nvidia.com/"),
    KeyFormat(
        "Telegram bot", (":AA",), r"\d{8,10}:AA[\w-]{33}", "https://core.telegram.org/bots/api#authorizing-your-bot"
    ),
    KeyFormat("Atlassian", ("ATATT3",), r"ATATT3[\w=-]{100,250}", _RULES),
    KeyFormat("Linear", ("lin_api_",), r"lin_api_[A-Za-z0-9]{40}", _RULES),
    KeyFormat("Notion", ("ntn_",), r"ntn_[A-Za-z0-9]{40,50}", _RULES),
    KeyFormat("Postman", ("PMAK-",), r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", _RULES),
    KeyFormat(
        "Grafana", ("glsa_", "glc_"), r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|glc_[A-Za-z0-9+/]{32,400}={0,2}", _RULES
    ),
    KeyFormat("HashiCorp Vault", ("hvs.", "hvb."), r"hv[sb]\.[\w-]{24,}+", _RULES),
    KeyFormat("Terraform Cloud", (".atlasv1.",), r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,70}", _RULES),
    KeyFormat("Docker", ("dckr_",), r"dckr_(?:pat|oat)_[\w-]{27,32}", _GITHUB),
    KeyFormat("RubyGems", ("rubygems_",), r"rubygems_[0-9a-f]{48}", _RULES),
    KeyFormat("New Relic", ("NRAK-",), r"NRAK-[A-Z0-9]{27}", _RULES),
    KeyFormat("Supabase", ("sbp_", "sb_secret_"), r"(?:sbp_[0-9a-f]{40}|sb_secret_[\w-]{31})", _GITHUB),
    KeyFormat("Sentry", ("sntry",), r"sntry(?:u_[0-9a-f]{64}|s_[\w+/=-]{80,})", _RULES),
    KeyFormat("age", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", "https://age-encryption.org/v1"),
)
"""Every form that is known, by the providers that people have keys of."""
