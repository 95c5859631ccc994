"""What an engine is made of: the plan that decides it, its key, and the build sheet that tells of it ever after.

The build sheet is `ENGINE.json` beside the engine (x.engine -> x.engine.json): the engine itself stays what the library
wrote, so that the library's own tools still read it.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import msgspec

from ..errors import UNDECODABLE
from ..files import sha256, write_json
from . import operating_point as points
from .contract import EngineError
from .machine import LIBRARIES, Gpu, gpus, library_version
from .paths import sheet_path

BUILD_RECIPE = 2  # raise it when the way from ONNX to engine changes, so that no older engine passes for a new one
NORMALISATION = "grey / 255, letterboxed"
REMAKE = "`smartca build`"
Gate = dict[str, float | int | bool | str | None]  # scores, and whether it let the engine pass


class EnginePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides an engine's bytes and what they mean; two engines of one plan are the same engine.

    batch: least, best and most pictures at once. targets: GPU kinds such as sm86, or 'current', and then `gpu`,
    `compute_capability` and `driver` say which. calibration: digest of the pictures that INT8 ranges were taken from,
    None where the ONNX brings its own. workspace_mb: None leaves it to the library. operating_point: digest of the
    model's threshold and fit, which the engine takes over.
    """

    onnx_sha256: str
    backend: str
    backend_version: str
    precision: str
    batch: tuple[int, int, int] = (1, 1, 1)
    targets: tuple[str, ...] = ()
    gpu: str | None = None
    compute_capability: str | None = None
    driver: str | None = None
    builder_flags: tuple[str, ...] = ()
    workspace_mb: int | None = None
    calibration: str | None = None
    quantiser: str | None = None
    operating_point: str | None = None
    normalisation: str = NORMALISATION
    smartca_version: str = ""
    recipe: int = BUILD_RECIPE

    def key(self) -> str:
        """Hex digest of all fields and their names."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


# how a sentence names each field
WORDS = {
    "onnx_sha256": "the model's weights (sha256)",
    "backend": "the backend",
    "backend_version": "the library's version",
    "precision": "the precision",
    "batch": "the profile (least, best, most pictures)",
    "targets": "the GPUs it is for",
    "gpu": "the GPU",
    "compute_capability": "the GPU's compute capability",
    "driver": "the GPU's driver",
    "builder_flags": "the builder's flags",
    "workspace_mb": "the workspace",
    "calibration": "the calibration data",
    "quantiser": "the quantiser",
    "operating_point": "the model's operating point",
    "normalisation": "the input's normalisation",
    "smartca_version": "smartca's version",
    "recipe": "smartca's way of building",
}


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the engine takes: `shape` is (pictures, channels, rows, columns), -1 a free number of pictures."""

    name: str
    shape: tuple[int, int, int, int]
    dtype: str = "float32"


class BuildSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands beside an engine. `layers`: operator -> precision -> number, of the network that was compiled.

    model: path of the ONNX file when it was built, a bare name where that stands in the engine's own folder.
    calibrated_on, calibration_options: as they were typed. gate: scores of the gate that let a lower precision pass,
    None before it was asked. point: a copy of the engine's operating point, for when its file is left behind.
    """

    plan: EnginePlan
    engine_sha256: str
    model: str
    input: Input
    outputs: tuple[str, ...]
    layers: dict[str, dict[str, int]]
    calibrated_on: str | None = None
    calibration_options: tuple[str, ...] = ()
    build_seconds: float = 0.0
    gate: Gate | None = None
    point: points.OperatingPoint | None = None

    def command(self, engine: Path) -> str:
        """The command that builds this engine again, from the model at its path."""
        plan = self.plan
        words = [
            "smartca",
            "build",
            str(engine.parent / self.model),
            "--backend",
            plan.backend,
            "--precision",
            plan.precision,
        ]
        words += ["--target", ",".join(plan.targets)] if plan.targets else []
        words += ["--batch", str(plan.batch[2])] if plan.batch[2] > 1 else []
        words += ["--workspace", str(plan.workspace_mb)] if plan.workspace_mb else []
        words += ["--calibrate", self.calibrated_on] if self.calibrated_on else []
        return shlex.join([*words, *self.calibration_options, "-o", str(engine)])


def suffix(backend: str) -> str:
    """The ending of an engine's file: OpenVINO's stays an ONNX file."""
    return ".onnx" if backend == "openvino" else ".engine"


def save_sheet(engine: Path, sheet: BuildSheet) -> Path:
    """Write the build sheet of `engine`, all of it or nothing."""
    path = sheet_path(engine)
    write_json(path, sheet)
    return path


def load_sheet(engine: Path) -> BuildSheet:
    """The build sheet of `engine`. Raises EngineError where there is none or it is damaged."""
    path = sheet_path(engine)
    try:
        return msgspec.json.decode(path.read_bytes(), type=BuildSheet)
    except FileNotFoundError as error:
        raise EngineError(
            f"{engine.name} has no build sheet {path.name}, so nobody can tell what it was built from; "
            f"build it again with {REMAKE}"
        ) from error
    except UNDECODABLE as error:
        raise EngineError(f"{path} is damaged or of another version; build the engine again with {REMAKE}") from error


def record_gate(engine: Path, scores: Gate) -> None:
    """Store what the gate found beside `engine`. Raises EngineError without a readable build sheet."""
    save_sheet(engine, msgspec.structs.replace(load_sheet(engine), gate=scores))


def here(
    sheet: BuildSheet, found: list[Gpu], smartca_version: str, library_version: str, folder: Path | None = None
) -> EnginePlan:
    """The build sheet's plan as it would be made on this machine now; what cannot be known here is left as it is.

    folder: the engine's own, where a model without a path stands.
    """
    plan, model = sheet.plan, (folder or Path()) / sheet.model
    now = {"backend_version": library_version, "smartca_version": smartca_version, "recipe": BUILD_RECIPE}
    now["normalisation"] = NORMALISATION
    if model.is_file():
        now["onnx_sha256"] = sha256(model)
        if now["onnx_sha256"] == plan.onnx_sha256:
            now["operating_point"] = points.point_digest(model)
    if found and plan.compute_capability is not None:
        gpu = next((gpu for gpu in found if gpu.name == plan.gpu), found[0])
        now |= {"gpu": gpu.name, "compute_capability": gpu.target, "driver": gpu.driver}
    elif found and plan.targets and not {gpu.target for gpu in found}.intersection(plan.targets):
        now["targets"] = (found[0].target,)
    return msgspec.structs.replace(plan, **now)


def differences(then: EnginePlan, now: EnginePlan) -> list[str]:
    """Names of the fields in which two plans differ, in the order in which they are declared."""
    return [name for name in EnginePlan.__struct_fields__ if getattr(then, name) != getattr(now, name)]


def misfit(engine: Path) -> str | None:
    """None where `engine` is what its build sheet says and fits this machine, else one sentence.

    The sentence names the first field that differs, and the command that rebuilds.
    """
    from ..version import __version__

    try:
        sheet = load_sheet(engine)
        data = engine.read_bytes()
    except EngineError as error:
        return str(error)
    except OSError as error:
        return f"{engine} cannot be read ({error.strerror}); build it again with {REMAKE}"
    again = f"build it again with `{sheet.command(engine)}`"
    if sha256(engine, data) != sheet.engine_sha256:
        return f"{engine.name} is damaged or was exchanged: its bytes are not those its build sheet tells of; {again}"
    version = library_version(sheet.plan.backend)
    if version is None:
        cure = LIBRARIES[sheet.plan.backend][2]
        return f"{engine.name} needs {sheet.plan.backend} {sheet.plan.backend_version}, not here: {cure}"
    if sheet.plan.backend == "openvino":
        version = sheet.plan.backend_version
    now = here(sheet, gpus(), __version__, version, engine.parent)
    for name in differences(sheet.plan, now):
        then, is_now = (_spoken(getattr(plan, name)) for plan in (sheet.plan, now))
        return f"{engine.name} does not fit: {WORDS[name]} was {then}, now it is {is_now}; {again}"
    return None


def require_fit(engine: Path) -> BuildSheet:
    """The build sheet of an engine that may be run here. Raises EngineError with `misfit`'s sentence otherwise."""
    wrong = misfit(engine)
    if wrong is not None:
        raise EngineError(wrong)
    return load_sheet(engine)


def _spoken(value: object) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value) or "none"
    return "none" if value is None else str(value)
