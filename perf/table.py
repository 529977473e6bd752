"""Prints what was measured, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from perf.pii.show import show as show_pii
from perf.semcache.show import show_pairs, show_streams

__all__ = ["show"]

_MARKS = {True: "[green]reached[/]", False: "[red]not reached[/]", None: "[yellow]not measured[/]"}


def show(name: str, result: Mapping[str, Any]) -> None:
    """Print one measurement: its tables, what is missing, the ratios, the figures to reach."""
    console = Console(width=130)
    console.rule(name)
    if "unavailable" in result:
        console.print(f"not measured: {result['unavailable']}", highlight=False, markup=False)
        return
    blocks = [(title, block) for title, block in result.items() if isinstance(block, Mapping) and "gateways" in block]
    for title, block in blocks or ([("", result)] if "gateways" in result else []):
        _gateways(console, f"{name} {title}".strip(), block)
    if name == "pii":
        show_pii(console, result)
    elif name == "semcache":
        show_pairs(console, result["pairs"])
        show_streams(console, result["streams"])
    elif not blocks and "gateways" not in result:
        _pairs(console, result)
    for one in result.get("targets", ()):
        got = "–" if one["got"] is None else f"{one['got']:g}"
        console.print(f"  {one['name']}: {got} (wanted {one['want']}) {_MARKS[one['met']]}", highlight=False)


def _gateways(console: Console, title: str, block: Mapping[str, Any]) -> None:
    table = Table(title=title, title_justify="left")
    for column in (
        "gateway",
        "version",
        "load",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "first p50",
        "event p50",
        "remarks",
    ):
        table.add_column(column, justify="left" if column in ("gateway", "version", "load", "remarks") else "right")
    for name, found in block["gateways"].items():
        loads = {load: one for load, one in found.items() if isinstance(one, Mapping)}
        for number, (load, one) in enumerate(loads.items()):
            remarks = [f"{share}: {one[share]:.0%}" for share in one if share.endswith("_share")]
            remarks += [f"{error} ×{count}" for error, count in one["errors"].items()]
            figures = [one.get(figure, {}).get(at) for figure, at in _FIGURES]
            figures.insert(2, one.get("cpu_ms"))
            shown = ["" if value is None else f"{value:,.2f}" for value in figures]
            about = (name, found["version"]) if number == 0 else ("", "")
            table.add_row(*about, load, f"{one.get('rps', 0):,.0f}", *shown, ", ".join(remarks))
    console.print(table)
    for name, reason in block["missing"].items():
        console.print(f"  {name}: not measured: {reason}", highlight=False, markup=False)
    for part in ("ratios", "more_than_bare_p50_ms"):
        for name, by_load in block.get(part, {}).items():
            line = ", ".join(f"{load}: {'–' if got is None else f'{got:g}'}" for load, got in by_load.items())
            label = "more than bare, p50 ms" if part != "ratios" else "requests/s ratio"
            console.print(f"  {name} ({label}): {line}", highlight=False, markup=False)


_FIGURES = (("ms", "p50"), ("ms", "p99"), ("first_ms", "p50"), ("event_ms", "p50"))


def _pairs(console: Console, result: Mapping[str, Any], indent: str = "  ") -> None:
    for name, value in result.items():
        if name == "targets":
            continue
        if isinstance(value, Mapping) and any(isinstance(part, Mapping) for part in value.values()):
            console.print(f"{indent}{name}:", highlight=False, markup=False)
            _pairs(console, value, indent + "  ")
        else:
            text = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, Mapping) else value
            console.print(f"{indent}{name}: {text}", highlight=False, markup=False, soft_wrap=True)
