"""Training in two real processes, and the commands as people give them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from smartca.cli import main
from smartca.pictures.labelled import LabelledFolder
from smartca.train import loss_names
from smartca.train.fit import Fit, FitSettings
from smartca.train.parallel import Crew, current, joined, shared_loss
from smartca.train.settings import Lessons
from test_fit import Blobs

CPU = torch.device("cpu")
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures with masks: eight to train on, four to validate with."""
    root = tmp_path_factory.mktemp("data")
    lines = ["file,split"]
    for n in range(12):
        for name, image in zip(("images", "masks"), Blobs(12)[n], strict=True):
            (root / name).mkdir(exist_ok=True)
            cv2.imwrite(str(root / name / f"{n:02}.png"), image.astype(np.uint8) * (255 if name == "masks" else 1))
        lines.append(f"{n:02}.png,{'train' if n < 8 else 'val'}")
    (root / "split.csv").write_text("\n".join(lines))
    return root


def smartca(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and stderr of a command of ours, in this process."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0), capfd.readouterr().err


def test_a_crew_of_one_shares_nothing() -> None:
    with joined("cpu") as crew:
        assert crew == current("cpu") == Crew(0, 1, CPU) and crew.first
        assert list(crew.slice(3)) == [0, 1, 2] and crew.mean([1.5]) == [1.5] and crew.from_first("x") == "x"
        with crew.first_alone():
            pass


def test_batches_are_shared_evenly_or_not_at_all() -> None:
    assert [list(Crew(rank, 2, CPU).slice(6)) for rank in (0, 1)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="a batch of 5 cannot be shared by 2 processes; give --batch a multiple"):
        Crew(0, 2, CPU).slice(5)


@pytest.mark.parametrize("device", ["tpu9", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="give --device cpu"):
        current(device)


def test_alone_a_loss_is_itself() -> None:
    logits, target = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.7).float()
    value = shared_loss(loss_names.loss("iplf-batch"), logits, target, Crew(0, 1, CPU))
    assert torch.equal(value, loss_names.loss("iplf-batch")(logits, target))


GRADIENTS = """
import sys
import torch
from smartca.cli import main
from smartca.train import loss_names
from smartca.train.parallel import joined, shared_loss

torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
logits, target = torch.randn(4, 1, 8, 8, generator=draw), (torch.rand(4, 1, 8, 8, generator=draw) > 0.8).float()
target[:2] = 0  # all tear pixels are in one process
worst = 0.0
with joined("cpu") as crew:
    part = slice(2 * crew.rank, 2 * crew.rank + 2)
    for name in ("iplf", "iplf-batch", "iplf-region", "ce", "weighted-ce"):
        whole, mine = logits.clone().requires_grad_(), logits[part].clone().requires_grad_()
        alone, ours = loss_names.loss(name), loss_names.loss(name)
        for _ in range(2):  # the running size has moved at the second call
            whole.grad = mine.grad = None
            expected = alone(whole, target)
            expected.backward()
            value = shared_loss(ours, mine, target[part], crew)
            value.backward()
            # the process's gradient is divided by two when the gradients' mean is taken
            worst = max(worst, float((mine.grad / 2 - whole.grad[part]).abs().max()))
            worst = max(worst, abs(crew.mean([value.item()])[0] - expected.item()))
    worst = crew.size * crew.mean([worst])[0]
    if crew.first:
        print(worst, flush=True)
    main(sys.argv[1:])
"""


class Two(NamedTuple):
    """What two processes printed, and the folder that they trained into."""

    out: str
    err: str
    run: Path


@pytest.fixture(scope="module")
def two(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Gradients, and then a training, by the same two processes."""
    root = tmp_path_factory.mktemp("two")
    script = root / "gradients.py"
    script.write_text(GRADIENTS)
    options = ["train", "segment", "--data", folder, "--size", 64, "--batch", 4, "--epochs", 3, "--freeze-norm"]
    options += ["--threads", 1, "--no-half", "--device", "cpu", "--out", root / "run"]
    done = subprocess.run([*TWO, str(script), *map(str, options)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Two(done.stdout, done.stderr, root / "run")


@pytest.mark.timeout(300)  # 39 s on two busy cores
def test_a_shared_losss_gradients_are_the_whole_batchs(two: Two) -> None:
    assert float(two.out.splitlines()[0]) < 1e-6


@pytest.mark.timeout(300)  # for the fixture, where this test is run alone
def test_two_processes_learn_what_one_learns(two: Two, folder: Path, tmp_path: Path) -> None:
    """The loss curve is one process's to 1e-4, with normalisation frozen: batch statistics would be halves'."""
    assert two.err.count("the best checkpoint is") == 1  # one of them writes and speaks
    settings = FitSettings(size=64, batch=4, epochs=3, freeze_norm=True)
    parts = [LabelledFolder(folder, split) for split in ("train", "validate")]
    rows = Fit(settings, Lessons(parts[0], parts[1]), tmp_path / "one").run()
    with (two.run / "log.csv").open(newline="") as lines:
        theirs = list(csv.DictReader(lines))
    assert len(theirs) == len(rows) == 3
    for row, other in zip(rows, theirs, strict=True):
        assert float(other["loss"]) == pytest.approx(row["loss"], abs=1e-4)
    # the same command alone goes on from what the two have written
    again = Fit(settings, Lessons(parts[0], parts[1]), two.run)
    assert again.finished and len(list((two.run / "tensorboard" / "segment").iterdir())) == 1


def test_from_a_folder_to_a_checkpoint(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    common = ["--data", folder, "--size", 64, "--batch", 4, "--steps", 2, "--threads", 1, "--out", tmp_path]
    code, err = smartca(capfd, "train", "classify", *common)
    assert code == 0
    assert f"smartca train segment --classifier {tmp_path / 'classifier.pt'}" in err.replace("\n", "")
    code, _ = smartca(capfd, "train", "segment", *common, "--classifier", tmp_path / "classifier.pt")
    assert code == 0
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= {"classifier.pt", "best.pt", "last.pt", "log.csv", "curves.png", "classifier-curves.png"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--loss", "luck"], "'luck' is no loss; choose iplf"),
        (["--network", "luck"], "'luck' is no network; choose smartca-lite"),
        (["--size", 100], "--size is 100; give a multiple of 32"),
        (["--device", "cuda:99"], "no CUDA device 99"),
        (["--data", "nowhere"], "there is no file or folder nowhere; give a folder with images/"),
        (["--classifier", "absent.pt"], "absent.pt cannot be read"),
        (["--network", "unet-lite", "--classifier", __file__], "no place for a classifier"),
        (["--classifier", __file__], "is no checkpoint; run `smartca train classify`"),
        (["--seed", 2**63], "--seed is 9223372036854775808; give a whole number from 0 to"),
        (["--label", "tear"], "has masks, which have values and no labels"),
        (["--mask-value", 7], "is 7 the tear's mask value?"),
        (["--data", "phantom", "--label", "tear"], "leave --mask-value and --label out"),
        (["--learning-rate", "nan"], "nan is not a number to work with"),
        (["--seed", -1], "-1 is not in the range x>=0"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    options: list[object], says: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, err = smartca(capfd, "train", "segment", "--data", folder, "--out", out, "--threads", 1, *options)
    told = err.splitlines()
    said = told[[line.startswith("Error:") for line in told].index(True) :] if "Usage:" in err else told
    assert code == 2 and says in err and len(said) <= 2
    assert not out.exists()  # nothing is left behind by what is refused
