"""`helix cache calibrate`: what an embedder's similarities mean, fitted on labelled pairs or on traffic."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from helix.cli.admin import DATA, DataOption, UrlOption, call

__all__ = ["calibrate"]

_SHOWN = ((0.95, 1.0), (0.85, 1.0), (0.75, 1.0), (0.95, 0.8), (0.85, 0.8), (0.95, 0.5), (0.85, 0.5), (0.75, 0.5))


def calibrate(
    out: Annotated[Path, typer.Option(help="Where the calibration is written, for semantic.calibration.")],
    pairs: Annotated[
        Path | None, typer.Option(help="JSON Lines with a, b (two questions) and same (true, false, 1 or 0).")
    ] = None,
    from_traffic: Annotated[
        bool, typer.Option("--from-traffic", help="Fit what the running gateway has compared, in the place of pairs.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Of --pairs: a sentence-transformers name or folder. None: the one that comes with Helix."),
    ] = None,
    url: UrlOption = None,
    data: DataOption = DATA,
) -> None:
    """Fit what similarity and overlap say about questions, and print the probabilities with their 95 % intervals."""
    from helix.gateway import calibrated, calibrated_by  # here: it imports all stages

    if (pairs is None) != from_traffic or (from_traffic and model is not None):
        raise typer.BadParameter("either --pairs (and --model), or --from-traffic")
    try:
        if pairs is not None:
            made = asyncio.run(calibrated(_read(pairs), model))
        else:
            told = call("GET", url, "/helix/cache/outcomes", data)
            made = calibrated_by(told["outcomes"], told["embedder"])
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--from-traffic" if from_traffic else "--pairs") from None
    out.write_text(json.dumps(made.to_json(), indent=1) + "\n")
    typer.echo(f"{made.embedder}: {made.pairs} pairs that no guard keeps apart")
    for similarity, overlap in _SHOWN:
        found = made.interval(similarity, overlap, 0.975)
        typer.echo(
            f"cosine {similarity:.2f}, overlap {overlap:.1f}: {found.middle:.3f} ({found.low:.3f} to {found.high:.3f})"
        )


def _read(path: Path) -> list[tuple[str, str, bool]]:
    """The pairs of a file. Raises ValueError that names the line, never what it says."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row: Any = json.loads(line)
            a, b, same = row["a"], row["b"], row["same"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"line {number} of {path.name} is no object with a, b and same") from None
        if not (isinstance(a, str) and isinstance(b, str) and same in (True, False, 0, 1)):
            raise ValueError(f"line {number} of {path.name}: a and b must be texts, same true or false")
        rows.append((a, b, bool(same)))
    return rows
