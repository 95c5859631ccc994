"""Make the README's pictures with the program itself.

    uv run --extra train --group dev python docs/pictures.py [--chromium /usr/bin/chromium] [--data ../shared/data]

page.png: the live page of `smartca demo`, by headless Chromium. outlines.png: six held-out phantoms. stand_ins.png:
composites of the generator that no training used, without and with their truth, in openly licensed pictures alone:
usgra (CC BY 4.0), gastrocnemius by Telemed (CC BY 4.0), vastus lateralis (CC0).
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
from cv2.typing import MatLike
from numpy.typing import NDArray
from smartca.engine import Sector, Segmenter, open_segmenter
from smartca.evaluation.samples import samples
from smartca.evaluation.stand_ins import stand_in
from smartca.phantom import Phantom, kind_of, screen
from smartca.pictures.pixels import to_grey
from smartca.stream.displays.overlay import draw_overlay, outlines
from smartca.stream.frame import State

IMAGES = Path(__file__).parent / "img"
CYAN = (255, 255, 0)
SHOWN = (  # file, seed
    ("seg_msk_usgra/images/0065.png", 5),
    ("seg_msk_usgra/images/0044.png", 3),
    ("seg_msk_usgra/images/0062.png", 1),
    ("clips/telemed_gastroc_passive_ROM_01_push_01.mp4", 4),
    ("stills_msk/tim_d1_S1_S1_L20_step_125.png", 4),
    ("stills_msk/tim_d1_S2_S2_R20_step_225.png", 1),
)
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


def make_stand_ins(path: Path, data: Path) -> None:
    """Six composites, and beneath each the same with its truth in cyan."""
    columns: list[NDArray[np.uint8]] = []
    for file, seed in SHOWN:
        sample = next(samples(str(data / file), "test", None).each)
        made = stand_in(np.ascontiguousarray(sample.sector.cut(to_grey(sample.pixels)), np.uint8), seed)
        if made is None:
            raise click.ClickException(f"{file} has no place for a tear with seed {seed}; choose another")
        bare = cv2.cvtColor(made.pixels, cv2.COLOR_GRAY2BGR)
        marked = cv2.polylines(bare.copy(), outlines(made.mask), True, CYAN, 1, cv2.LINE_AA)
        columns.append(np.vstack([fitted(bare), fitted(marked)]))
    sheet = np.vstack([np.hstack(columns[:3]), np.hstack(columns[3:])])
    cv2.imwrite(str(path), cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


def fitted(picture: MatLike) -> NDArray[np.uint8]:
    """Onto a black tile of 400 x 240."""
    tile = np.zeros((240, 400, 3), np.uint8)
    scale = min(396 / picture.shape[1], 236 / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile


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
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True)
def main(chromium: str, data: Path) -> None:
    """Make all three."""
    if data.is_dir():
        make_stand_ins(IMAGES / "stand_ins.png", data)
    else:
        click.echo(f"{data} is not here: stand_ins.png stays as it was", err=True)
    make_outlines(IMAGES / "outlines.png")
    if Path(chromium).exists():
        make_page(IMAGES / "page.png", chromium)
    else:
        click.echo(f"{chromium} is not here: page.png stays as it was", err=True)


if __name__ == "__main__":
    main()
