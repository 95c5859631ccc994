"""smartca adapt: a clinic's few labelled frames make the network its own."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE, FOLDER, fillable, finite, label_option, mask_value_option, needs_torch, say, threads_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=FOLDER, metavar="DIR", help="Where model and page go; the same command goes on.")
@click.option("--use", type=FOLDER, metavar="DIR", help="From now on, run the network in DIR where none is named.")
@click.option("--back", is_flag=True, help="From now on, run the shipped network again.")
@click.option(
    "--minutes",
    type=click.FloatRange(1, 600),
    callback=finite,
    default=5.0,
    show_default=True,
    help="How long it may take in all.",
)
@click.option("--start-from", "start", type=FILE, metavar="CHECKPOINT", help="[default: the shipped weights]")
@click.option("--negatives", type=FOLDER, help="Real pictures without a tear, rehearsed as such.")
@mask_value_option
@label_option
@click.option("--steps", type=click.IntRange(0), default=0, help="Batches to learn, instead of what --minutes allow.")
@click.option("--size", type=click.IntRange(0), default=0, help="Side of the square, pixels.  [default: CHECKPOINT's]")
@click.option("--batch", type=click.IntRange(2), default=12, show_default=True, help="Pictures at once.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 1, min_open=True),
    callback=finite,
    default=1e-3,
    show_default=True,
    help="Peak learning rate.",
)
@click.option("--freeze-norm", is_flag=True, help="Leave the normalisation layers' statistics as they are.")
@click.option("--seeds", type=click.IntRange(1), default=60, show_default=True, help="Phantoms to rehearse.")
@click.option(
    "--validation-seeds", type=click.IntRange(1), default=30, show_default=True, help="Phantoms that must stay known."
)
@click.option("--cache", type=FOLDER, help="Where rendered phantom frames are kept.")
@threads_option
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of everything random.")
@click.option("--int8/--no-int8", default=True, help="Make an INT8 network too, if its gate allows.  [default: yes]")
def adapt(folder: Path | None, out: Path | None, use: Path | None, back: bool, **options: object) -> None:
    """Make the network your own: it learns the 5 to 200 labelled frames in FOLDER.

    FOLDER is one of the forms of `smartca train --data`; frames without a tear are welcome. patients.csv
    (file,patient) says whose each frame is. Some are held out, and DIR/adapted.html shows them before and after.
    Phantoms are rehearsed beside your frames, so that what was known stays known. Nothing shipped is written over.
    The exit code is 1 where nothing was gained.

    \b
      smartca adapt my-frames --out mine
      smartca run clip.mp4 --model mine/adapted.onnx
      smartca adapt --use mine          always run it
      smartca adapt --back              and back again
    """
    if sum((folder is not None, use is not None, back)) != 1:
        raise click.UsageError("give a FOLDER of labelled frames with --out DIR, or --use DIR, or --back")
    if use is not None:
        _use(use)
    elif back:
        _go_back()
    elif folder is None or out is None:
        raise click.UsageError("give --out DIR, where the adapted network goes")
    else:
        _adapt(folder, out, options)


def _use(folder: Path) -> None:
    from ..adapting.record import model_to_use
    from ..engine.usual import use

    model, record = model_to_use(folder)
    digest = use(model)
    if not record.worth:
        say(f"warning: {record.words}")
    say(f"from now on {model} ({digest[:12]}) runs where no model is named; `smartca adapt --back` goes back")


def _go_back() -> None:
    from ..engine.usual import go_back

    say("from now on the shipped weights run again" if go_back() else "the shipped weights run already")


def _adapt(folder: Path, out: Path, options: dict[str, object]) -> None:
    fillable(out, "--out")
    with needs_torch():
        from ..adapting.adapt import adapt as make
        from ..adapting.finishing import commands
        from ..adapting.wanted import Wanted
        from ..train.fit import TrainingStopped
    from .progress import Phases

    try:
        with Phases() as phases:
            found = make(Wanted(folder, out, **options), say, phases)  # type: ignore[arg-type]
    except TrainingStopped as stopped:
        say(str(stopped))
        raise click.exceptions.Exit(130) from stopped
    say(f"{'it is finished already; ' if found.already else ''}{found.words}; the page is {found.page}")
    click.echo(found.model)
    if not found.worth:
        raise click.exceptions.Exit(1)
    for what, command in commands(out):
        say(f"{what}: {command}")
