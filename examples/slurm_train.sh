#!/bin/bash
# The world model on several machines under Slurm: one task per machine, in which torchrun starts a process per GPU.
#   sbatch --nodes 2 --gpus-per-node 4 examples/slurm_train.sh data/train models/world_model_a --preset base
# The same line again goes on where a job's time was over. Store, models and environment must be on a shared file system.
#SBATCH --job-name=world-model
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo "usage: sbatch --nodes N --gpus-per-node G $0 STORE OUT [OPTIONS of world4rl train world-model]" >&2
    exit 2
fi
store=$1
out=$2
shift 2

# Slurm runs a copy of this file from its own folder: go back to where sbatch was called.
cd "${SLURM_SUBMIT_DIR:-.}"
# shellcheck source=/dev/null
source "${WORLD4RL_VENV:-.venv}/bin/activate"

nodes=${SLURM_JOB_NUM_NODES:-1}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

# Since Slurm 22.05 srun does not take the number of processors over from sbatch.
srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-8}" torchrun \
    --nnodes "$nodes" --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend c10d --rdzv-endpoint "$first:$port" --rdzv-id "$SLURM_JOB_ID" \
    -m world4rl train world-model --store "$store" --out "$out" "$@"
