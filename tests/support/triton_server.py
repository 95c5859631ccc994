"""A real Triton server on this machine's CPU: nvidia-pytriton's, started by hand on a repository of ours.

    uv venv --python 3.11 ENV && VIRTUAL_ENV=ENV uv pip install nvidia-pytriton==0.7.0 openvino==VERSION
    SMARTCA_PYTRITON=ENV pytest tests/engine/triton/test_triton_server.py

VERSION is that of this environment, or the masks could differ; ENV is of its own because pytriton wants numpy 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from support.ports import free_port
from support.waiting import PATIENCE_S, wait_until

VARIABLE = "SMARTCA_PYTRITON"
HOW = f"{VARIABLE} does not name an environment with nvidia-pytriton; support/triton_server.py says how to make one"
ASK = """
import importlib.util, json, pathlib, sys
site = pathlib.Path(importlib.util.find_spec("pytriton").origin).parents[1]
print(json.dumps([str(site), sys.base_prefix, "%d.%d" % sys.version_info[:2]]))
"""


def environment() -> Path | None:
    """The environment named by SMARTCA_PYTRITON, if there is one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and (Path(named) / "bin" / "python").exists() else None


def for_python_backend(folder: Path) -> None:
    """Let the one backend that is there run the network; every other line of config.pbtxt stays."""
    config = folder / "config.pbtxt"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("default_model_filename")]
    config.write_text("\n".join(lines).replace('backend: "onnxruntime"', 'backend: "python"') + "\n")
    (version,) = (path for path in folder.iterdir() if path.is_dir())
    shutil.copyfile(Path(__file__).with_name("triton_model.py"), version / "model.py")


class RealServer:
    """tritonserver on `repository`; `start` returns when it answers, `kill` is kill -9 of all its processes."""

    def __init__(self, env: Path, repository: Path, scratch: Path, *options: str) -> None:
        told = subprocess.run([env / "bin" / "python", "-c", ASK], check=True, capture_output=True, text=True)
        site, base, version = json.loads(told.stdout)
        server = Path(site) / "pytriton" / "tritonserver"
        backends = scratch / "backends"
        shutil.copytree(server / "backends" / "python", backends / "python")
        stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
        self.port = free_port()
        self._regions = f"smartca_test_{os.getpid()}_{self.port}_"
        self._log = scratch / "server.log"
        self._command = [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={self._regions}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.port}",
            "--allow-http=false",
            "--allow-metrics=false",
            *options,
        ]
        libraries = f"{base}/lib:{site}/nvidia_pytriton.libs"
        path = f"{env / 'bin'}:{os.environ['PATH']}"
        self._environ = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": libraries, "OMP_NUM_THREADS": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where TritonRunner finds it."""
        return f"triton://127.0.0.1:{self.port}/smartca"

    def start(self) -> None:
        """Start it and wait until it takes requests. Raises RuntimeError with its last words if it ends instead."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._ready, every_s=0.05)

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(self.words())
        return b"Started GRPCInferenceService" in self._log.read_bytes()

    def words(self) -> str:
        """What it logged."""
        return self._log.read_text(errors="replace")

    def cpu_s(self) -> float:
        """Processor time that its processes have used so far."""
        assert self._process is not None
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # one that ends meanwhile
                fields = stat.read_text().rsplit(") ", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == self._process.pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def freeze(self) -> None:
        """Let it hang: connections stay, nothing is answered.

        Its backend's own process goes on: stopped as well, one freeze in ten makes the backend abort the server.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_S)
            self._process = None
            for region in Path("/dev/shm").glob(f"{self._regions}*"):  # between server and backend: killed, they stay
                region.unlink()
