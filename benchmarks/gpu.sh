#!/usr/bin/env bash
# One command for a machine with an NVIDIA GPU: makes an environment, builds and runs every engine there is, writes one JSON.
#
#   bash benchmarks/gpu.sh [--find-links WHEELS] [--here] [--model ONNX] [--checkpoint PT] [--report JSON] [--quick]
#
#   --find-links WHEELS   a folder of wheels, for a machine without a network
#   --model, --checkpoint the network, and weights for the parts in torch; the shipped model and random ones if unset
#   --report JSON         where the findings go; gpu.json if unset
#   --quick               few rounds: does it run at all?
#   --here                install nothing, and need no NVIDIA GPU: use the Python called `python3` here, or $PYTHON
#   -h, --help            print this and stop
#   $PYTHON               the Python to begin with; its own packages (such as a torch that is there) are used
#   $PYTHON_OLDER         a Python 3.10 for TensorRT 8.6, where newer flavours refuse the GPU; not used if unset
#   $SMARTCA_GPU_ENV      where the environments go; a folder of its own in the temporary folder if unset
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
home=${SMARTCA_GPU_ENV:-${TMPDIR:-/tmp}/smartca-gpu-env}
links=() here=no rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --find-links)
      [ $# -ge 2 ] && [ -d "$2" ] || { echo "gpu.sh: --find-links needs a folder of wheels" >&2; exit 2; }
      links=(--no-index --find-links "$(cd "$2" && pwd)"); shift 2 ;;
    --here) here=yes; shift ;;
    -h | --help)
      sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$root/benchmarks/gpu.sh"
      exit 0 ;;
    *) rest+=("$1"); shift ;;
  esac
done
command -v "$python" > /dev/null || { echo "gpu.sh: there is no $python; set PYTHON to a Python 3.10 or newer" >&2; exit 2; }
if [ $here = no ] && ! command -v nvidia-smi > /dev/null; then
  echo "gpu.sh: there is no nvidia-smi, so no NVIDIA GPU with a driver here; nothing was installed or run." >&2
  echo "gpu.sh: --here runs what needs no GPU, in the Python that is here" >&2
  exit 1
fi
mkdir -p "$home" || exit 2
notes=$home/notes
: > "$notes"

# what is optional may fail: the JSON then says why
optional() { # PYTHON PACKAGE...
  local said
  said=$("$1" -m pip install -q --disable-pip-version-check ${links[@]+"${links[@]}"} "${@:2}" 2>&1) && return
  echo "${*:2}: $(printf '%s' "$said" | grep -i 'error' | tail -1 | cut -c1-300)" | tee -a "$notes" >&2
}
environment() { # FOLDER PYTHON: one with smartca in it, which the other packages come into
  [ -x "$1/bin/python" ] || "$2" -m venv --system-site-packages "$1" || return 1
  optional "$1/bin/python" 'setuptools>=77'
  optional "$1/bin/python" --no-build-isolation -e "$root[build]"
  # without a network its dependencies may be there already
  (cd / && "$1/bin/python" -c 'import smartca.engine, smartca.cli') 2>> "$notes" ||
    { echo "gpu.sh: smartca cannot be installed into $1, see $notes; --find-links takes a folder of wheels" >&2; return 1; }
}

if [ $here = no ]; then
  environment "$home/env" "$python" || exit 2
  python=$home/env/bin/python
  for package in tensorrt tensorrt-rtx pycuda cuda-bindings onnxruntime; do optional "$python" "$package"; done
  "$python" -c 'import torch' 2> /dev/null || optional "$python" torch
  optional "$python" -e "$root[train]" --no-build-isolation
fi
if [ -n "${PYTHON_OLDER:-}" ]; then
  if environment "$home/older" "$PYTHON_OLDER"; then
    optional "$home/older/bin/python" tensorrt==8.6.0 nvidia-cudnn-cu12==8.9.7.29 nvidia-cublas-cu12
    for package in pycuda cuda-bindings onnxruntime; do optional "$home/older/bin/python" "$package"; done
    rest+=(--torch "$python")
    python=$home/older/bin/python
  fi
fi
cd "$root" || exit 2
exec "$python" benchmarks/gpu.py --notes "$notes" ${rest[@]+"${rest[@]}"}
