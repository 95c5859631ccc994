"""`smartca sources`: what can be attached, what it takes, and which cameras are plugged in."""

from __future__ import annotations

from importlib.util import find_spec

import click

FORMS = (
    ("clip.mp4", "video, DICOM, .mha, .nrrd, an image, a folder of images", ""),
    ("phantom:seed=7", "the simulated shoulder", ""),
    ("camera:0", "a camera or capture card by number, or camera:NAME; camera:0?size=1920x1080&fps=60&format=MJPG", ""),
    ("rtsp://HOST/PATH", "network video; also rtsps, http, https (MJPEG, HLS), udp, srt", ""),
    ("igtl://HOST:18944", "OpenIGTLink, of PLUS or 3D Slicer; /DEVICE behind it for one of several", "slicer"),
    ("screen:0,0,1280,720", "a part of the screen, or screen:WINDOW TITLE", "screen"),
    ("clarius:", "not by itself: through PLUS (OpenIGTLink), or from the screen", ""),
)
NEEDS = {"slicer": ("pyigtl",), "screen": ("mss",)}


@click.command()
def sources() -> None:
    """List what can be attached, and the cameras that are plugged in with their modes."""
    from ... import plugins
    from ...stream.sources.live.devices import devices, modes

    for form, what, extra in FORMS:
        click.echo(f"{form:<20} {what}")
        if extra and not all(find_spec(name) for name in NEEDS[extra]):
            click.echo(f"{'':<20} not installed: pip install 'smartca[{extra}]'")
    for name in plugins.names("smartca.sources"):
        click.echo(f"{name + ':REST':<20} of an installed plugin")
    there = devices()
    click.echo("\nplugged in:" if there else "\nno camera is plugged in, or the system does not tell (Linux does)")
    for device in there:
        click.echo(f"{f'camera:{device.number}':<20} {device.name}")
        for mode in modes(device.number):
            click.echo(f"{'':<20} {mode}")
