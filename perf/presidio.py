"""Presidio's analyzer and anonymizer over HTTP, in the form of its own REST services, and a peer that calls them.

`python -m perf.presidio --port N -- COMMAND` serves POST /analyze and POST /anonymize, and runs the command beside it,
so that both are one process tree. The analyzer is stock Presidio with a tokenizer and no language model: several times
faster than with the spaCy model that Presidio's image brings, and so in the peer's favour; as is one process for both
services, on aiohttp and without the images' Flask.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import Any

from aiohttp import web
from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import RecognizerResult

from perf.pii.finders import Stock


def application() -> web.Application:
    """Both services: https://microsoft.github.io/presidio/api-docs/api-docs.html."""
    analyzer, anonymizer = Stock().engine, AnonymizerEngine()

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="Presidio service is up")

    async def analyze(request: web.Request) -> web.Response:
        asked = await request.json()
        found = analyzer.analyze(
            asked["text"],
            asked.get("language", "en"),
            entities=asked.get("entities"),
            score_threshold=asked.get("score_threshold"),
        )
        return web.json_response([result.to_dict() | {"analysis_explanation": None} for result in found])

    async def anonymize(request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        found = [RecognizerResult.from_json(item) for item in asked["analyzer_results"]]
        done = anonymizer.anonymize(asked["text"], found)
        return web.Response(text=done.to_json(), content_type="application/json")

    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.add_routes(
        [web.get("/health", health), web.post("/analyze", analyze), web.post("/anonymize", anonymize)],
    )
    return app


async def serve(port: int, command: list[str]) -> int:
    """Serve on the loopback while the command runs; return its exit code. SIGTERM and SIGINT end both."""
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    process = await asyncio.create_subprocess_exec(*command)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.terminate)
    code = await process.wait()
    await runner.cleanup()
    return code


def main() -> int:
    """Run from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("command", nargs="+")
    options = arguments.parse_args()
    return asyncio.run(serve(options.port, options.command))


if __name__ == "__main__":
    raise SystemExit(main())
