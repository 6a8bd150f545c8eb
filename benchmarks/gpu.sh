#!/usr/bin/env bash
# Everything that is asked of a machine with a GPU, in one command that ends in time and leaves a report.
#
#     bash benchmarks/gpu.sh OUT WHEELS [SECONDS]
#
# OUT gets report.md, report.json and logs.txt. WHEELS is a folder of wheels: rlcont (`make wheel`) and whatever the
# machine lacks; nothing is downloaded and nothing is installed outside a temporary folder. SECONDS bound the whole
# (450). DEVICE=cpu goes through the same steps without a GPU.
export PYTHONUTF8=1
exec python3 "$(dirname "$0")/gpu_run.py" --device "${DEVICE:-cuda}" --out "$1" --wheels "$2" --seconds "${3:-450}"
