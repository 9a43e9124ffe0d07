#!/usr/bin/env bash
# Train under Slurm, one task per GPU.
#
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS="..."] \
#       tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py ...]
#
# GPUS beyond GPUS_PER_NODE are spread over several machines; MASTER_PORT chooses the port (29500).
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "error: usage: $0 PARTITION JOB_NAME CONFIG [options of tools/train.py ...]" >&2
    exit 2
fi

GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
if [ "$GPUS" -lt "$GPUS_PER_NODE" ]; then
    GPUS_PER_NODE=$GPUS
fi

# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
exec srun --partition "$1" --job-name "$2" \
    --gres "gpu:$GPUS_PER_NODE" --ntasks "$GPUS" --ntasks-per-node "$GPUS_PER_NODE" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$3" --launcher slurm "${@:4}"
