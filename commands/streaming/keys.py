"""`smartca keys`: who may send pictures to this machine's engine, and which engines this machine trusts."""

from __future__ import annotations

import click

from ..options import say

PAIRING_MINUTES = 5


@click.group()
def keys() -> None:
    """Let other machines in: what goes beyond this one is encrypted, and only known machines may come.

    \b
    On the engine's machine    smartca keys pair
    on the scanner's           smartca keys pair ENGINE CODE
    then                       smartca attach camera:0 --to tcp://ENGINE:5555
    """


@keys.command()
@click.option("--force", is_flag=True, help="Replace the pair there is.")
def new(force: bool) -> int:
    """Make this machine's pair of keys (it is also made when it is first needed)."""
    from ...stream.link.keys import KeyRing

    ring = KeyRing()
    if ring.has_own and not force:
        raise click.UsageError(
            "this machine has a pair of keys; with --force a new one takes its place, and every machine that knew the "
            "old one must be paired again"
        )
    click.echo(f"public key of this machine: {ring.renew().public.decode()}")
    return 0


@keys.command(name="list")
def list_() -> int:
    """Show this machine's public key, who may come in, and which engines are known."""
    from ...stream.link.keys import KeyRing, Kind, own_name

    ring = KeyRing()
    click.echo(f"this machine    {own_name()}  {ring.own().public.decode()}")
    titles: tuple[tuple[Kind, str], ...] = (("allowed", "may come in"), ("engines", "engine"))
    for kind, title in titles:
        for name, key in ring.names(kind).items():
            click.echo(f"{title:<15} {name}  {key.decode()}")
    click.echo(f"kept in         {ring.folder}")
    return 0


@keys.command()
@click.argument("name")
@click.argument("key")
def authorize(name: str, key: str) -> int:
    """Let the machine NAME, whose public KEY `smartca keys list` shows there, use an engine here."""
    from ...stream.link.keys import KeyRing, check_key

    KeyRing().store("allowed", name, check_key(key))
    click.echo(f"{name} may come in")
    return 0


@keys.command()
@click.argument("host")
@click.argument("key")
def trust(host: str, key: str) -> int:
    """Know the engine on HOST by its public KEY, as `smartca keys list` shows it there."""
    from ...stream.link.keys import KeyRing, check_key

    KeyRing().store("engines", host.lower(), check_key(key))
    click.echo(f"the engine on {host} is known")
    return 0


@keys.command()
@click.argument("name")
def revoke(name: str) -> int:
    """Let the machine NAME in no more, or forget the engine of that name; a running engine heeds it within a second."""
    from ...errors import InputError
    from ...stream.link.keys import KeyRing, Kind

    ring = KeyRing()
    kinds: tuple[Kind, ...] = ("allowed", "engines")
    removed = [kind for kind in kinds if ring.remove(kind, name)]
    if not removed:
        raise InputError(f"no machine is called {name} here; `smartca keys list` shows all")
    click.echo(f"{name} may no longer come in" if "allowed" in removed else f"the engine on {name} is forgotten")
    return 0


@keys.command()
@click.argument("engine", required=False)
@click.argument("code", nargs=-1)
@click.option("--port", type=click.IntRange(1, 65535), default=5557, show_default=True, help="Port of the pairing.")
def pair(engine: str | None, code: tuple[str, ...], port: int) -> int:
    """Exchange keys with another machine by a code of six digits.

    Without arguments, on the engine's machine: shows the code and waits. With ENGINE (its name or address) and CODE, on
    the machine that is to send or to look.
    """
    from ...stream.link import pairing
    from ...stream.link.keys import KeyRing, own_name

    ring = KeyRing()
    if engine is not None:
        if not code:
            raise click.UsageError("give the code, too, that `smartca keys pair` shows on the engine's machine")
        name = pairing.join(pairing.read_code("".join(code)), ring, engine, port)
        click.echo(f"paired with {name}: tcp://{engine}:PORT is encrypted, and lets this machine in")
        return 0
    shown = pairing.new_code()
    say(
        f"on the other machine, within {PAIRING_MINUTES} minutes: smartca keys pair {own_name()} {shown} (or with this "
        "machine's address in place of its name, as --to and --from will name it)"
    )
    click.echo(shown)
    name = pairing.host(shown, ring, f"tcp://*:{port}", PAIRING_MINUTES * 60, lambda: True)
    click.echo(f"{name} may come in")
    return 0
