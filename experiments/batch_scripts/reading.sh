#!/usr/bin/env bash
# Reading probes: one-vs-rest probes of every layer, chosen on validation groups, with summary, figures and saved probes.
#
#   sbatch --array=0-7 experiments/batch_scripts/reading.sh
#
# Needs MODEL and FEATURE_DATASET; knows PROBE_LOCATION, AGGREGATION and EXPERIMENT_NAME. Flags may follow.
#SBATCH --job-name=reading
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=12:00:00
set -euo pipefail
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" # nodes rarely reach the hub: download the model beforehand

python probing_experiment.py \
    --experiment_type reading_probes \
    --model "${MODEL:?set MODEL, for example pythia-70m}" \
    --feature_dataset "${FEATURE_DATASET:?set FEATURE_DATASET, the name of a feature data set}" \
    --probe_location "${PROBE_LOCATION:-hook_resid_post}" \
    --activation_aggregation "${AGGREGATION:-none}" \
    --experiment_name "${EXPERIMENT_NAME:-default}" \
    "$@"
