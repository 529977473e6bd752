"""API keys, private keys, tokens and passwords are found; what only looks like one, or stands for one, is not."""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable

import pytest

from helix.redact.lean import without

with without("torch", "transformers"):
    from helix.redact.recognizers.keys import KEY_FORMATS
    from helix.redact.recognizers.secrets import recognizers

KINDS = ("API_KEY", "JWT", "PRIVATE_KEY", "SECRET", "PASSWORD")
RECOGNIZERS = recognizers(KINDS, "en")
DRAW = random.Random(20)


def found(text: str) -> set[tuple[str, str]]:
    """Kind and value of everything that is found in a text."""
    return {
        (result.entity_type, text[result.start : result.end])
        for recognizer in RECOGNIZERS
        for result in recognizer.analyze(text, list(KINDS))
    }


def drawn(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Characters drawn from an alphabet: no key of anybody's stands in this file."""
    return "".join(DRAW.choices(alphabet, k=count))


def hexadecimal(count: int) -> str:
    return drawn(count, "0123456789abcdef")


UPPER = string.ascii_uppercase
URLSAFE = string.ascii_letters + string.digits + "_-"

# Provider → a key as that provider makes them.
MADE: dict[str, list[Callable[[], str]]] = {
    "OpenAI": [lambda: f"sk-proj-{drawn(74)}T3BlbkFJ{drawn(74)}", lambda: f"sk-svcacct-{drawn(40)}"],
    "Anthropic": [lambda: f"sk-ant-api03-{drawn(93)}AA", lambda: f"sk-ant-admin01-{drawn(93)}AA"],
    "OpenRouter": [lambda: f"sk-or-v1-{hexadecimal(64)}"],
    "Helix": [lambda: f"sk-hx-{drawn(43)}"],
    "OpenAI's wire": [lambda: f"sk-{drawn(20)}4T3BlbkFJ{drawn(20)}", lambda: f"sk-7{hexadecimal(31)}"],
    "AWS access key": [lambda: f"AKIA{drawn(16, UPPER + '234567')}", lambda: f"ASIA{drawn(16, UPPER + '234567')}"],
    "GitHub": [lambda: f"ghp_{drawn(36)}", lambda: f"github_pat_{drawn(22)}_{drawn(59)}"],
    "GitLab": [lambda: f"glpat-{drawn(20)}"],
    "Slack": [lambda: f"xoxb-{drawn(12, '0123456789')}-{drawn(13, '0123456789')}-{drawn(24)}"],
    "Slack webhook": [lambda: f"hooks.slack.com/services/T{drawn(10, UPPER)}/B{drawn(10, UPPER)}/{drawn(24)}"],
    "Stripe": [lambda: f"sk_live_{drawn(24)}", lambda: f"rk_test_{drawn(99)}"],
    "Stripe webhook": [lambda: f"whsec_{drawn(32)}"],
    "Google": [lambda: f"AIza{drawn(35)}"],
    "Google OAuth client": [lambda: f"GOCSPX-{drawn(28)}"],
    "Google access token": [lambda: f"ya29.{drawn(120)}"],
    "Azure AD client": [lambda: f"{drawn(3)}8Q~{drawn(33)}"],
    "Azure storage": [lambda: f"AccountKey={drawn(86)}=="],
    "Azure": [lambda: f"{drawn(52)}JQQJ99{drawn(26)}"],
    "Azure signature": [lambda: f"?sv=2024-01-01&sig={drawn(43)}%3D"],
    "Hugging Face": [lambda: f"hf_{drawn(34)}"],
    "npm": [lambda: f"npm_{drawn(36)}"],
    "PyPI": [lambda: f"pypi-AgEIcHlwaS5vcmc{drawn(120)}"],
    "Twilio": [lambda: f"SK{hexadecimal(32)}"],
    "SendGrid": [lambda: f"SG.{drawn(22)}.{drawn(43)}"],
    "Mailgun": [lambda: f"key-{hexadecimal(32)}"],
    "Mailchimp": [lambda: f"{hexadecimal(32)}-us14"],
    "DigitalOcean": [lambda: f"dop_v1_{hexadecimal(64)}"],
    "Databricks": [lambda: f"dapi{hexadecimal(32)}-2"],
    "Shopify": [lambda: f"shpat_{hexadecimal(32)}"],
    "Groq": [lambda: f"gsk_{drawn(52)}"],
    "xAI": [lambda: f"xai-{drawn(80)}"],
    "Perplexity": [lambda: f"pplx-{drawn(48)}"],
    "Replicate": [lambda: f"r8_{drawn(37)}"],
    "NVIDIA": [lambda: f"nvapi-{drawn(64)}"],
    "Telegram bot": [lambda: f"{drawn(10, '123456789')}:AA{drawn(33)}"],
    "Atlassian": [lambda: f"ATATT3{drawn(186)}"],
    "Linear": [lambda: f"lin_api_{drawn(40)}"],
    "Notion": [lambda: f"ntn_{drawn(46)}"],
    "Postman": [lambda: f"PMAK-{hexadecimal(24)}-{hexadecimal(34)}"],
    "Grafana": [lambda: f"glsa_{drawn(32)}_{hexadecimal(8)}", lambda: f"glc_{drawn(100)}="],
    "HashiCorp Vault": [lambda: f"hvs.{drawn(95)}"],
    "Terraform Cloud": [lambda: f"{drawn(14)}.atlasv1.{drawn(67)}"],
    "Docker": [lambda: f"dckr_pat_{drawn(27)}"],
    "RubyGems": [lambda: f"rubygems_{hexadecimal(48)}"],
    "New Relic": [lambda: f"NRAK-{drawn(27, UPPER + '0123456789')}"],
    "Supabase": [lambda: f"sbp_{hexadecimal(40)}", lambda: f"sb_secret_{drawn(31)}"],
    "Sentry": [lambda: f"sntryu_{hexadecimal(64)}", lambda: f"sntrys_{drawn(120)}"],
    "age": [lambda: f"AGE-SECRET-KEY-1{drawn(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}"],
}
TOLD_BY = ("AccountKey=", "?sv=2024-01-01&sig=")


def test_every_format_has_an_example_and_a_source() -> None:
    """Each provider whose keys are known is tested here, and it is said where the form is written down."""
    assert {form.provider for form in KEY_FORMATS} == set(MADE)
    assert all(form.source.startswith("https://") or form.source == "helix/admit/keys.py" for form in KEY_FORMATS)


@pytest.mark.parametrize("provider", sorted(MADE))
@pytest.mark.parametrize(
    "frame", ["{}", "my key is {}, please keep it", 'export KEY="{}"\n', "{{'key': '{}'}}", "<{}>"]
)
def test_providers_keys_are_found_whole(provider: str, frame: str) -> None:
    """A key in a provider's own form is found from its first to its last character, in prose and in code."""
    for make in MADE[provider]:
        for _ in range(5):
            key = make()
            value = key
            for told_by in TOLD_BY:
                value = value.removeprefix(told_by)
            assert ("API_KEY", value) in found(frame.format(key)), key


JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"42","name":"A"}', hashlib.sha256(b"x").digest())
)
PEM_BODY = "\n".join(drawn(64, string.ascii_letters + string.digits + "+/") for _ in range(24))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\nqk==\n-----END RSA PRIVATE KEY-----"


def test_tokens() -> None:
    """A JSON web token is found; something like one whose header is no JSON is not."""
    assert found(f"Authorization is '{JWT}'.") >= {("JWT", JWT)}
    assert not found("eyJhbGciOiJub25l" + JWT[17:])


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n"), PEM.replace(" RSA", ""), PEM.replace("RSA", "OPENSSH")])
def test_private_keys(pem: str) -> None:
    """A PEM block of a private key is found whole, also with its line ends spelled as escapes."""
    assert found(f"here:\n{pem}\nthanks") == {("PRIVATE_KEY", pem)}


def test_private_keys_cut_in_two() -> None:
    """Of a block that a border cuts, both parts are found."""
    head, tail = PEM[:700], PEM[700:]
    assert found(f"x {head}") == {("PRIVATE_KEY", head)}
    assert found(f"{tail} y") == {("PRIVATE_KEY", tail)}


SECRETS = [
    ("SECRET", "aws_secret_access_key = {}", drawn(40, string.ascii_letters + string.digits + "/+")),
    ("SECRET", '"client_secret": "{}"', drawn(32)),
    ("SECRET", "API_KEY={}", hexadecimal(32)),
    ("SECRET", "the access token is {} for today", drawn(40)),
    ("SECRET", "Authorization: Bearer {}", drawn(40)),
    ("SECRET", "curl -H 'Authorization: Basic {}'", base64.b64encode(b"admin:p4ssw0rd-and-more").decode()),
    ("SECRET", "secret: '{}'", drawn(24)),
    ("PASSWORD", "password: {}", "hunter2!"),
    ("PASSWORD", "my password is {}", "Tr0ub4dor&3"),
    ("PASSWORD", '{{"passwd": "{}"}}', "s3cr3tpw"),
    ("PASSWORD", "Server=db;Database=x;User Id=sa;Password={};Encrypt=yes", "Qu1ckBr0wn"),
    ("PASSWORD", "PGPASSWORD={}", "kT9vvbQz"),
    ("PASSWORD", "Mein Passwort lautet {}", "Sommer2024!"),
    ("PASSWORD", "mot de passe : {}", "Azerty!99x"),
]


@pytest.mark.parametrize(("kind", "frame", "value"), SECRETS)
def test_secrets_beside_key_words(kind: str, frame: str, value: str) -> None:
    """What looks random after a key word, or is strong after a word for a password, is found: the value alone."""
    assert (kind, value) in found(frame.format(value))


PIXEL = base64.b64encode(random.Random(1).randbytes(600)).decode()

HARMLESS = [
    "OPENAI_API_KEY=sk-...",
    "api_key: os.environ/OPENAI_API_KEY",
    "api_key: <your key>",
    'api_key="YOUR_API_KEY_1234567890"',
    "api_key = 'sk-xxxxxxxxxxxxxxxxxxxxxxxx'",
    "api_key: sk-your-key-goes-here-1234",
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "token: ${{ secrets.GITHUB_TOKEN }}",
    "password = ${DB_PASSWORD}",
    "password: {{ vault_password }}",
    "password=********",
    "password: changeme",
    "password: str | None = None",
    "password = getpass.getpass()",
    "password=self.password2",
    "Password: must be at least 8 characters",
    "passwords are hashed with bcrypt",
    "the token is invalid",
    "token = tokenizer.decode(ids)",
    "max_tokens: 4096, token_type: bearer",
    "next_token: None",
    "secret = os.getenv('SECRET')",
    "secretKeyRef: {name: db-credentials, key: url}",
    "api_key: model-gpt-4o-2024-08-06",
    f"commit {hashlib.sha1(b'a').hexdigest()}",
    f"sha256:{hashlib.sha256(b'a').hexdigest()}",
    f"Checksum (MD5) = {hashlib.md5(b'a').hexdigest()}",
    f"integrity sha512-{base64.b64encode(hashlib.sha512(b'a').digest()).decode()}",
    f"request id {uuid.UUID(int=2**127 + 12345678901234567890)}",
    f"session_token: {uuid.UUID(int=2**126 + 98765432109876543210)}",
    f"data:image/png;base64,{PIXEL}",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "Look for the -----BEGIN PRIVATE KEY----- line",
    "sk-learn is sklearn; task-force-one-two-three-four",
    "key-value stores, key-0 to key-9",
    "pk_live_ keys are publishable",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_no_secret(text: str) -> None:
    """Placeholders, references, digests, UUIDs, images, names and ordinary sentences hold no secret."""
    assert found(text) == set()


def test_what_is_found_is_not_told() -> None:
    """Why something was found is said without the value."""
    key = MADE["GitHub"][0]()
    (result,) = RECOGNIZERS[0].analyze(key, ["API_KEY"])
    assert key not in str(result) + str(result.analysis_explanation)
    assert result.analysis_explanation.textual_explanation == "GitHub"
