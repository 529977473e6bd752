"""`helix cache`: what the cache holds, and taking out of it, from the shell."""

from __future__ import annotations

import json
import urllib.parse
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from helix.cli import carry, warming
from helix.cli.admin import DATA, DataOption, JsonOption, UrlOption, call, show
from helix.cli.calibrate import calibrate

__all__ = ["cache"]

cache = typer.Typer(help="See, flush, carry, warm and calibrate the cache.", no_args_is_help=True)
cache.command("calibrate")(calibrate)

ScopeOption = Annotated[str | None, typer.Option(help="Only this scope, as `show` lists it.")]
NamespaceOption = Annotated[str | None, typer.Option(help="Only this namespace; '' is the default one.")]
TagOption = Annotated[str | None, typer.Option(help="Only what has this tag (x-helix-cache-tags).")]
ModelOption = Annotated[str | None, typer.Option(help="Only this model: the one asked for, or the one that answered.")]
UserOption = Annotated[str | None, typer.Option(help="Only this user: a name, or the digest that `show` lists.")]
PartitionOption = Annotated[
    str | None, typer.Option(help="Only who shares answers so: key:ID, team:NAME, ..., or the digest.")
]


class Verdict(Enum):
    """What somebody says of an answer."""

    WRONG = "wrong"
    RIGHT = "right"


COLUMNS = ("id", "namespace", "asked_model", "hits", "bytes", "stored_at", "expires_at", "tags", "text")


@cache.command("stats")
def cache_stats(url: UrlOption = None, data: DataOption = DATA) -> None:
    """Say what the cache holds, by namespace."""
    print(json.dumps(call("GET", url, "/helix/cache", data), indent=2))


@cache.command("show")
def show_cache(
    entry: Annotated[str | None, typer.Option(help="Only this entry, the id in x-helix-cache-entry.")] = None,
    scope: ScopeOption = None,
    namespace: NamespaceOption = None,
    tag: TagOption = None,
    model: ModelOption = None,
    user: UserOption = None,
    partition: PartitionOption = None,
    most_used: Annotated[bool, typer.Option("--most-used", help="Those given most often first; all entries.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at the most.")] = 20,
    url: UrlOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """List entries, latest first: what they are about, never what they answer."""
    said = meant(entry, scope, namespace, tag, model, user, partition)
    if most_used and said:
        raise typer.BadParameter("--most-used lists all entries: it goes with --limit alone")
    query = {**said, "limit": limit, "sort": "used" if most_used else "latest"}
    page = call("GET", url, f"/helix/cache/entries?{urllib.parse.urlencode(query)}", data)
    show(page["data"], COLUMNS, as_json)


@cache.command("flush")
def cache_flush(
    entry: Annotated[str | None, typer.Option(help="Only this entry, the id in x-helix-cache-entry.")] = None,
    scope: ScopeOption = None,
    namespace: NamespaceOption = None,
    tag: TagOption = None,
    model: ModelOption = None,
    user: UserOption = None,
    partition: PartitionOption = None,
    all: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go; remove nothing.")] = False,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Remove answers from the cache: those that fit all that is said."""
    said = meant(entry, scope, namespace, tag, model, user, partition)
    if all == bool(said) or (entry is not None and len(said) > 1):
        raise typer.BadParameter(
            "say what to remove: --namespace, --tag, --model, --user, --partition and --scope together, --entry alone, "
            "or --all alone"
        )
    query = {**said, **({"all": "true"} if all else {}), **({"dry_run": "true"} if dry_run else {})}
    print(json.dumps(call("DELETE", url, f"/helix/cache?{urllib.parse.urlencode(query)}", data)))


@cache.command("similar")
def similar(
    text: Annotated[str, typer.Argument(help="A text; redacted before it is compared, neither kept nor logged.")],
    min_similarity: Annotated[float, typer.Option(min=0, max=1, help="Least cosine similarity.")] = 0.8,
    scope: ScopeOption = None,
    namespace: NamespaceOption = None,
    tag: TagOption = None,
    model: ModelOption = None,
    user: UserOption = None,
    partition: PartitionOption = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at the most.")] = 20,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is listed.")] = False,
    url: UrlOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """List entries whose question is near to a text, best first; with --remove they go."""
    said = meant(None, scope, namespace, tag, model, user, partition)
    body = {**said, "text": text, "min_similarity": min_similarity, "limit": limit, "remove": remove}
    told = call("POST", url, "/helix/cache/similar", data, body)
    if as_json:
        print(json.dumps(told, indent=2))
        return
    show(told["data"], ("similarity", *COLUMNS), False)
    if remove:
        print(f"{told['removed']} removed.")


@cache.command("extend")
def extend(
    ttl: Annotated[float, typer.Option(min=1, help="Seconds from now.")],
    most_used: Annotated[int, typer.Option(min=0, max=500, help="So many of those given most often.")] = 0,
    entry: Annotated[list[str] | None, typer.Option(help="An entry's id; repeat for more.")] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Let entries live at least so long from now: the most used, or named ones."""
    if not most_used and not entry:
        raise typer.BadParameter("say which entries: --most-used N, or --entry ID")
    body = {"ttl_seconds": ttl, "most_used": most_used, "entries": entry or []}
    print(json.dumps(call("POST", url, "/helix/cache/extend", data, body)))


@cache.command("feedback")
def feedback(
    verdict: Annotated[Verdict, typer.Argument(help="What the answer was.")],
    request: Annotated[
        str | None, typer.Option(help="The request that got it from near, by the id in x-helix-request-id.")
    ] = None,
    entry: Annotated[str | None, typer.Option(help="The cached answer, by the id in x-helix-cache-entry.")] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Say that a cached answer was wrong, which removes it, or right: the promised error rate learns from it."""
    if (request is None) == (entry is None):
        raise typer.BadParameter("say which answer: --request ID or --entry ID")
    which = {"request_id": request} if request is not None else {"entry": entry}
    print(json.dumps(call("POST", url, "/helix/cache/feedback", data, {"verdict": verdict.value, **which})))


@cache.command("precision")
def precision(url: UrlOption = None, data: DataOption = DATA) -> None:
    """Say how right answers from near have been, with the 95 % interval."""
    print(json.dumps(call("GET", url, "/helix/cache/precision", data), indent=2))


@cache.command("export")
def export_cache(
    file: Annotated[Path, typer.Argument(help="Where to; .gz compresses it. Must not exist.")],
    namespace: NamespaceOption = None,
    tag: TagOption = None,
    model: ModelOption = None,
    user: UserOption = None,
    partition: PartitionOption = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Write entries to a file, as they are kept: what is encrypted stays encrypted."""
    said = meant(None, None, namespace, tag, model, user, partition)

    def page(cursor: str | None) -> Any:
        query = {**said, "limit": carry.PAGE, **({"cursor": cursor} if cursor else {})}
        return call("GET", url, f"/helix/cache/export?{urllib.parse.urlencode(query)}", data)

    written = carry.write(file, page)
    print(json.dumps({"entries": written, "file": str(file)}))


@cache.command("import")
def import_cache(
    file: Annotated[Path, typer.Argument(help="What `helix cache export` wrote.", exists=True, dir_okay=False)],
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Read entries from a file, which is checked whole first. What is there already stays, so it may be done again."""
    layout = carry.check(file)

    def send(entries: list[Any]) -> Any:
        return call("POST", url, "/helix/cache/import", data, {"layout": layout, "entries": entries})

    print(json.dumps(carry.load(file, send)))


@cache.command("warm")
def warm(
    file: Annotated[
        Path,
        typer.Argument(help="JSON lines: a request each, or {path, request, headers}.", exists=True, dir_okay=False),
    ],
    per_second: Annotated[float, typer.Option(min=0.01, max=1000, help="Requests a second at the most.")] = 2.0,
    skip: Annotated[int, typer.Option(min=0, help="Lines to pass over: those done before.")] = 0,
    key: Annotated[
        str | None, typer.Option(envvar="HELIX_KEY", help="The key to ask with: its partition is warmed.")
    ] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Send requests through the gateway at a bounded rate, so that their answers are cached; they cost as ever."""
    print(json.dumps(warming.warm(file, url=url, data=data, key=key, per_second=per_second, skip=skip)))


def meant(
    entry: str | None,
    scope: str | None,
    namespace: str | None,
    tag: str | None,
    model: str | None,
    user: str | None,
    partition: str | None,
) -> dict[str, Any]:
    """What is said, by the API's names."""
    said = {
        "entry": entry,
        "scope": scope,
        "namespace": namespace,
        "tag": tag,
        "model": model,
        "user": user,
        "partition": partition,
    }
    return {name: value for name, value in said.items() if value is not None}
