"""The console: pages for people, behind the master key. It knows the gateway by its administration API alone.

    console = helix.console.build(api_url="http://127.0.0.1:8000", api_key=master_key)
    Mount("/console", app=console)

Gradio is imported when a console is built (seconds, and some 190 MB of memory), not before.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helix.console.gate import Gate
    from helix.kernel.types import ASGIApp

__all__ = ["build"]


def build(*, api_url: str, api_key: str, session_seconds: float = 12 * 3600.0) -> Gate:
    """The console as an ASGI app to be mounted at any path; whoever shows `api_key` at its login page is let in.

    `api_url` is the gateway's own base URL, without a path of the API. Blocks for seconds while Gradio loads. The app
    closes its connections at lifespan's end, or by `close()` where it is mounted and sees none. Raises ValueError.
    """
    if not api_url.startswith(("http://", "https://")):
        raise ValueError("api_url must begin with http:// or https://")
    if not api_key:
        raise ValueError("api_key must not be empty")
    if session_seconds <= 0:
        raise ValueError("session_seconds must be positive")
    # Read by Gradio when it is imported: unless it is the string "False", the server asks api.gradio.app for a version.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from helix.console.feed import Feed
    from helix.console.gate import Gate
    from helix.console.page import overview_page
    from helix.console.session import Sessions

    feed = Feed(api_url.rstrip("/"), api_key)

    async def page() -> ASGIApp:
        return overview_page(feed)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Without a running loop, Gradio makes several and closes none.
        app = asyncio.run(page())
    else:
        app = overview_page(feed)
    return Gate(app, sessions=Sessions(api_key, seconds=session_seconds), closing=(feed,))
