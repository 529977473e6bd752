"""`helix keys`, `helix budgets`: the administration API of a running gateway, from the shell."""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from helix.config import LOOPBACK
from helix.kernel.errors import ConfigError, HelixError

__all__ = ["DATA", "DataOption", "JsonOption", "UrlOption", "ask", "budgets", "call", "keys", "show"]

keys = typer.Typer(help="Make, list and revoke virtual keys.", no_args_is_help=True)
budgets = typer.Typer(help="See what is spent, held and left of each budget.", no_args_is_help=True)

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="HELIX_URL",
        help="The gateway.",
        show_default="http://127.0.0.1:8000, or the port in HELIX_PORT",
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data", envvar="HELIX_DATA_DIR", help="Data folder, for the master key if HELIX_MASTER_KEY is not set."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DATA = Path(".helix")


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    model: Annotated[list[str] | None, typer.Option(help="A model it may use; repeat for more. None: all.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Requests at once.")] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="USD/window, for example 5/day, 100/month@Europe/Berlin, 20/24h, 1000/total; tokens and requests too:"
            " '500000 tokens/day'; repeat for more."
        ),
    ] = None,
    team: Annotated[str, typer.Option(help="Whose team it belongs to.")] = "",
    user: Annotated[str, typer.Option(help="Whose it is.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat for more.")] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown once: only a keyed hash of it is stored."""
    body: dict[str, Any] = {"name": name, "models": model or [], "budgets": [_budget(text) for text in budget or []]}
    body |= {
        key: value
        for key, value in (("rpm", rpm), ("parallel", parallel), ("team", team), ("user", user), ("tags", tag))
        if value
    }
    made = call("POST", url, "/helix/keys", data, body)
    if as_json:
        print(json.dumps(made))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"Key [bold]{escape(made['id'])}[/] ({escape(name)}) is made. It is shown this once:\n")
    print(made["key"])


@keys.command("list")
def list_keys(url: UrlOption = None, data: DataOption = DATA, as_json: JsonOption = False) -> None:
    """List the keys; never the secrets."""
    show(
        _every(url, "/helix/keys", data),
        ("id", "name", "models", "rpm", "parallel", "budgets", "team", "revoked"),
        as_json,
    )


@keys.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id, from `helix keys list`.")],
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Revoke a key; it stops working within seconds, for good."""
    call("DELETE", url, f"/helix/keys/{urllib.parse.quote(id, safe='')}", data)
    print(f"Key {id} is revoked.")


@budgets.command("list")
def list_budgets(url: UrlOption = None, data: DataOption = DATA, as_json: JsonOption = False) -> None:
    """List the budgets with what is spent, held for requests in flight, and left."""
    show(_every(url, "/helix/budgets", data), None, as_json)


@budgets.command("raise")
def raise_budget(
    to: Annotated[str, typer.Argument(help="The new limit and the window of the old: 200/month, '900000 tokens/24h'.")],
    until: Annotated[
        str, typer.Option(help="When it ends, an ISO 8601 time with its zone; one that has come ends it now.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept with who and when.")],
    scope: Annotated[str, typer.Option(help="everybody, organization, team, user, key, model, …")] = "everybody",
    of: Annotated[str | None, typer.Option(help="Which one; for a key its id.")] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Raise a hard limit for a while, on every gateway at once."""
    body = {**_budget(to), "scope": scope, "of": of, "until": until, "reason": reason}
    made = call("POST", url, "/helix/budgets/raise", data, body)
    whose = made["name"] or made["scope"]
    print(f"{whose} is raised from {made['limit']:g} to {made['raised_to']:g} until {made['until']}.")


_BUDGET = re.compile(r"([0-9.]+)(?: ?(tokens|input_tokens|output_tokens|requests|usd))?/([a-z0-9]+)(?:@(\S+))?")


def _budget(text: str) -> dict[str, Any]:
    """A budget as it is written here; which windows and time zones there are the gateway says."""
    parts = _BUDGET.fullmatch(text)
    if parts is None:
        raise typer.BadParameter(
            f"{text!r}: write USD/window, for example 5/day, 100/month@Europe/Berlin, 20/24h or 500000 tokens/day"
        )
    amount, unit, window, zone = parts.groups()
    try:
        limit = float(amount) if unit in (None, "usd") else int(amount)
    except ValueError:
        raise typer.BadParameter(f"{text!r}: {amount} is no amount") from None
    budget = {f"limit_{unit or 'usd'}": limit, "window": window}
    return budget if zone is None else {**budget, "time_zone": zone}


def _credential(data: Path) -> str:
    key = os.environ.get("HELIX_MASTER_KEY")
    if key:
        return key
    file = data / "master.key"
    try:
        return file.read_text().strip()
    except OSError:
        raise ConfigError(
            f"no master key: set HELIX_MASTER_KEY, or name the gateway's data folder with --data; {file} cannot be read"
        ) from None


def call(method: str, url: str | None, path: str, data: Path, body: Any = None) -> Any:
    """What the administration API answers. Raises HelixError with its own message, or where no gateway answers."""
    status, _, told = _exchange(method, url, path, data, body)
    if status >= 400:
        raise HelixError(_message(status, told))
    return told


def ask(
    method: str,
    url: str | None,
    path: str,
    data: Path,
    body: Any,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and error message of a request through the gateway; raises where no gateway answers."""
    status, told_headers, told = _exchange(method, url, path, data, body, key=key, headers=headers, timeout=600)
    return status, told_headers, _message(status, told) if status >= 400 else ""


def _exchange(
    method: str,
    url: str | None,
    path: str,
    data: Path,
    body: Any,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> tuple[int, Mapping[str, str], Any]:
    if url is None:
        url = f"http://127.0.0.1:{os.environ.get('HELIX_PORT') or 8000}"
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--url must be http:// or https:// and a host, found {url!r}")
    credential = f"Bearer {key or _credential(data)}"
    request = urllib.request.Request(
        url.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={**(headers or {}), "authorization": credential, "content-type": "application/json"},
    )
    # A proxy in the environment is for the world outside.
    without = [urllib.request.ProxyHandler({})] if parts.hostname in LOOPBACK else []
    try:
        try:
            with urllib.request.build_opener(*without).open(request, timeout=timeout) as reply:
                return reply.status, _by_name(reply.headers), json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _by_name(error.headers), _parsed(error.read())
    except (ValueError, http.client.HTTPException):
        raise HelixError(f"what answers at {url} is no Helix gateway; name yours with --url") from None
    except OSError as error:  # a URLError is one
        reason = getattr(error, "reason", error)
        raise HelixError(
            f"no gateway answers at {url} ({reason}); start one with `helix up` or name it with --url"
        ) from None


def _by_name(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _message(status: int, told: Any) -> str:
    try:
        return str(told["error"]["message"])
    except (KeyError, TypeError):
        return f"the gateway answered with status {status}"


def _every(url: str | None, path: str, data: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = f"?{urllib.parse.urlencode({'cursor': cursor})}" if cursor else ""
        page = call("GET", url, path + query, data)
        rows.extend(page["data"])
        cursor = page.get("next_cursor")
        if not cursor:
            return rows


def show(rows: list[dict[str, Any]], columns: tuple[str, ...] | None, as_json: bool) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("None yet.")
        return
    columns = columns or tuple(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, box=None)
    for row in rows:
        # Text, since a name may hold what looks like markup.
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no width; `keys list | grep` must find whole ids
    console.print(table)


def _cell(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{key}={_cell(item)}" for key, item in value.items())
    return str(value)
