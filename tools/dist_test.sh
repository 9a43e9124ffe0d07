#!/usr/bin/env bash
# Evaluate with N processes per machine, one per GPU (or on CPU over gloo, where there is no GPU).
#
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py ...]
#
# Several machines: as in dist_train.sh, with NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "error: usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py ...]" >&2
    exit 2
fi

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$3" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$1" "$2" --launcher pytorch "${@:4}"
