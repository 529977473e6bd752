"""The tables of `semcache`, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show_pairs", "show_streams"]


def show_pairs(console: Console, found: Mapping[str, Any]) -> None:
    """Print which share of each kind each system serves, and what the guards cost and stop."""
    for name, kinds in found["served"].items():
        systems = [system for system in next(iter(kinds.values())) if system != "pairs"]
        table = Table(title=f"{name}: share served", title_justify="left")
        table.add_column("kind")
        for column in ("pairs", *systems):
            table.add_column(column, justify="right")
        for kind, shares in kinds.items():
            table.add_row(kind, str(shares["pairs"]), *(f"{shares[system]:.1%}" for system in systems))
        console.print(table)
    guards = found["guards"]
    table = Table(title="guards, on the pairs that plain cosine serves", title_justify="left")
    table.add_column("guard")
    for column in ("CPU µs", "stops of false hits", "stops alone", "stops of right hits"):
        table.add_column(column, justify="right")
    for name, ms in guards["ms"].items():
        shares = guards["stops"].get(name)
        stopped = (
            [f"{shares[part]:.2%}" for part in ("of_false_hits", "alone", "of_right_hits")] if shares else ["", "", ""]
        )
        table.add_row(name, f"{1000 * ms:.1f}", *stopped)
    console.print(table)


def show_streams(console: Console, found: Mapping[str, Any]) -> None:
    """Print what was served of each stream, rightly and wrongly, by Helix and by plain cosine."""
    for name, result in found.items():
        table = Table(title=f"{name}, streamed: shares of requests", title_justify="left")
        table.add_column("order")
        cosines = next(iter(result["orders"].values()))["cosine"]
        for column in ("requests", "hits", "wrong", "checks", "CPU ms", *(f"cosine {least}" for least in cosines)):
            table.add_column(column, justify="right")
        for order, one in result["orders"].items():
            ours = one["helix"]
            shares = [f"{ours[part]:.2%}" for part in ("hits", "wrong", "checks")]
            plain = [f"{part['hits']:.1%}, {part['wrong']:.2%}" for part in one["cosine"].values()]
            table.add_row(order, f"{one['requests']:,}", *shares, f"{ours['cpu_ms']:.2f}", *plain)
        console.print(table)
        console.print("  plain cosine: hits, and wrong ones", highlight=False)
