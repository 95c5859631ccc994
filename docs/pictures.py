"""Make the README's pictures with the program itself.

    uv run --extra train --group dev python docs/pictures.py [--chromium /usr/bin/chromium]

page.png: the live page of `smartca demo`, by headless Chromium. outlines.png: six held-out phantoms.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import click
import cv2
import numpy as np
from numpy.typing import NDArray
from smartca.engine import Sector, Segmenter, open_segmenter
from smartca.phantom import Phantom, kind_of, screen
from smartca.stream.displays.overlay import draw_overlay, outlines
from smartca.stream.frame import State

IMAGES = Path(__file__).parent / "img"
CYAN = (255, 255, 0)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,800"
)


def panel(segmenter: Segmenter, seed: int) -> NDArray[np.uint8]:
    """One frame of a phantom with its truth (cyan) and its outline (amber)."""
    shot = screen(Phantom(seed).frame(40.0))
    found = segmenter(shot.pixels, Sector(*shot.sector))
    state = State.of(found.mask, found.unsure)
    drawn = draw_overlay(shot.pixels, found.mask, state, f"seed {seed}, {kind_of(seed)}", found.unsure)
    return np.asarray(cv2.polylines(drawn, outlines(shot.mask), True, CYAN, 1, cv2.LINE_AA), np.uint8)


def make_outlines(path: Path) -> None:
    """Six phantoms, two rows of three."""
    with open_segmenter() as segmenter:
        panels = [panel(segmenter, seed) for seed in range(90001, 90007)]
    sheet = np.vstack([np.hstack(panels[:3]), np.hstack(panels[3:])])
    cv2.imwrite(str(path), cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


def make_page(path: Path, chromium: str) -> None:
    """A screenshot of the demo's page, once overlays flow."""
    port, debugging = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/"
    demo = subprocess.Popen([sys.executable, "-m", "smartca", "demo", "--no-browser", "--port", str(port)])
    try:
        with tempfile.TemporaryDirectory() as profile:
            asyncio.run(until_up(url))
            command = [chromium, *FLAGS.split(), f"--user-data-dir={profile}"]
            browser = subprocess.Popen(
                [*command, f"--remote-debugging-port={debugging}", url], stderr=subprocess.DEVNULL
            )
            try:
                path.write_bytes(asyncio.run(screenshot(debugging)))
            finally:
                browser.terminate()
                browser.wait()
    finally:
        demo.terminate()
        demo.wait()


def free_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_up(url: str) -> Any:
    """Wait for an HTTP server; what it says, if that is JSON."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return await answer.json() if "json" in url else None
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def screenshot(port: int) -> bytes:
    """PNG of the first page of the browser that is debugged at `port`, after a few seconds of overlays."""
    pages = await until_up(f"http://127.0.0.1:{port}/json")
    await asyncio.sleep(5.0)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as page,
    ):
        await page.send_json({"id": 1, "method": "Page.captureScreenshot"})
        async for message in page:
            answer = message.json()
            if answer.get("id") == 1:
                return base64.b64decode(answer["result"]["data"])
    raise RuntimeError("the browser closed before it sent a picture")


@click.command()
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
def main(chromium: str) -> None:
    """Make both."""
    make_outlines(IMAGES / "outlines.png")
    if Path(chromium).exists():
        make_page(IMAGES / "page.png", chromium)
    else:
        click.echo(f"{chromium} is not here: page.png stays as it was", err=True)


if __name__ == "__main__":
    main()
