#!/usr/bin/env bash
# Train with N processes per machine, one per GPU (or on CPU over gloo, where there is no GPU).
#
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py ...]
#
# Several machines: run it on each of them, with the same MASTER_ADDR and PORT:
#
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "error: usage: $0 CONFIG PROCESSES [options of tools/train.py ...]" >&2
    exit 2
fi

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$2" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
