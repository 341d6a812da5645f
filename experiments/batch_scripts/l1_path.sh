#!/usr/bin/env bash
# L1-regularised probes from one neuron to many, each stopped on its duality gap.
#
#   sbatch --array=0-7 experiments/batch_scripts/l1_path.sh
#
# Needs MODEL and FEATURE_DATASET; knows PROBE_LOCATION, AGGREGATION and EXPERIMENT_NAME. Flags may follow.
#SBATCH --job-name=l1_path
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=12:00:00
set -euo pipefail
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" # nodes rarely reach the hub: download the model beforehand

python probing_experiment.py \
    --experiment_type l1_path \
    --model "${MODEL:?set MODEL, for example pythia-70m}" \
    --feature_dataset "${FEATURE_DATASET:?set FEATURE_DATASET, the name of a feature data set}" \
    --probe_location "${PROBE_LOCATION:-mlp.hook_post}" \
    --activation_aggregation "${AGGREGATION:-none}" \
    --experiment_name "${EXPERIMENT_NAME:-default}" \
    "$@"
