#!/bin/bash
# The guests of a folder as tests, a shard in each task of a job array; results on a file system that all nodes share:
#
#     sbatch --wait --array=0-7 docs/ci/slurm.sh guests /shared/results; dom1 report --merge /shared/results/*/junit.xml
#
# --wait ends when the last task has, with the worst of their statuses. An array from 0 on, without gaps.
#SBATCH --job-name=guests
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --output=slurm-%A_%a.log
set -eu

guests=$1
results=$2
exec dom1 test --jobs "${SLURM_CPUS_PER_TASK:-1}" --shard "$((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT" \
  --format junit --output "$results/$SLURM_ARRAY_TASK_ID" "$guests"
