"""The tables of `pii`, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show"]


def show(console: Console, result: Mapping[str, Any]) -> None:
    """Print what was measured, and how kinds are brought together."""
    for name, by_finder in result["accuracy"].items():
        _accuracy(console, name, by_finder)
    for name, by_finder in result["technical"].items():
        _technical(console, name, by_finder)
    _speed(console, result["speed"])
    same: dict[str, list[str]] = {}
    for theirs, ours in result["same_kind"].items():
        same.setdefault(ours, []).append(theirs)
    joined = "; ".join(f"{', '.join(theirs)} → {ours}" for ours, theirs in same.items())
    _line(console, f"Kinds counted as one: {joined}.")


def _accuracy(console: Console, name: str, by_finder: Mapping[str, Any]) -> None:
    texts = next(iter(by_finder.values()))["texts"]
    _grid(
        console,
        f"{name}: {texts} texts. Spans: binary, IoU .75 (every marked kind | the kinds looked for). Characters: masked",
        ("", "precision", "recall", "F2", "precision", "recall", "F2", "masked", "rightly", "masked"),
        (
            (
                finder,
                *(_share(one[scope][figure]) for scope in ("all", "looked_for") for figure in _SPANS),
                _share(one["characters"]["masked"]),
                _share(one["characters"]["rightly"]),
                _share(one["characters_looked_for"]["masked"]),
            )
            for finder, one in by_finder.items()
        ),
    )
    for finder, one in by_finder.items():
        if one["not_looked_for"]:
            counts = ", ".join(f"{kind} ({count})" for kind, count in one["not_looked_for"].items())
            _line(console, f"{finder} does not look for {counts}")
    kinds = {kind for one in by_finder.values() for kind, figures in one["kinds"].items() if figures["marked"]}
    _grid(
        console,
        f"{name}: precision / recall by kind; – where nothing was found, n/a where it is not looked for",
        ("kind", "marked", *by_finder),
        (
            (
                kind,
                str(max(one["kinds"].get(kind, {"marked": 0})["marked"] for one in by_finder.values())),
                *(_by_kind(one, kind) for one in by_finder.values()),
            )
            for kind in sorted(kinds)
        ),
    )
    certain = {kind for one in by_finder.values() for kind in one["certain"]}
    if certain:
        _grid(
            console,
            f"{name}: share of values found with exactly their borders and kind (masked whole, by whatever finding)",
            ("kind", *by_finder),
            (
                (
                    kind,
                    *(
                        f"{_share(one['certain'][kind]['exact'])} ({_share(one['certain'][kind]['masked'])})"
                        for one in by_finder.values()
                    ),
                )
                for kind in sorted(certain)
            ),
        )


_SPANS = ("precision", "recall", "f2")


def _by_kind(one: Mapping[str, Any], kind: str) -> str:
    if kind in one["not_looked_for"]:
        return "n/a"
    figures = one["kinds"].get(kind)
    return "–" if figures is None else f"{_share(figures['precision'])} / {_share(figures['recall'])}"


def _technical(console: Console, name: str, by_finder: Mapping[str, Any]) -> None:
    apart = sorted({kind for one in by_finder.values() for kind in one["apart"]})
    _grid(
        console,
        f"{name}: share of {next(iter(by_finder.values()))['texts']} texts with a finding",
        ("", "any but those apart", "person, place, nationality", *(f"apart: {kind}" for kind in apart)),
        (
            (
                finder,
                _percent(one["any"]),
                _percent(one["names"]),
                *(_percent(one["apart"].get(kind)) for kind in apart),
            )
            for finder, one in by_finder.items()
        ),
    )
    for finder, one in by_finder.items():
        worst = ", ".join(f"{row['recognizer']} {row['kind']} ×{row['findings']}" for row in one["worst"])
        _line(console, f"{finder}: {worst or 'nothing'}")


def _speed(console: Console, speed: Mapping[str, Any]) -> None:
    finders = list(next(iter(speed["times"].values()), {}))
    _grid(
        console,
        "CPU time of one thread, ms: p50 / p95 (times as fast as stock Presidio, p50 within a round)",
        ("texts", *finders),
        ((texts, *(_times(by_finder[finder]) for finder in finders)) for texts, by_finder in speed["times"].items()),
    )
    for finder, one in speed["repeated"].items():
        _line(
            console,
            f"{finder}, a conversation of {one['turns']} turns of {one['characters']} characters, remembered:"
            f" {one['new_p50_ms']:g} ms a new turn, {one['again_p50_ms']:g} ms one that is sent again",
        )


def _times(one: Mapping[str, float]) -> str:
    ratio = f" ({one['times_stock']:g}×)" if "times_stock" in one else ""
    return f"{one['p50_ms']:.3g} / {one['p95_ms']:.3g}{ratio}"


def _grid(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _line(console: Console, text: str) -> None:
    console.print(f"  {text}", highlight=False, markup=False)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
