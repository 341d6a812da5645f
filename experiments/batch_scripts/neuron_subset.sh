#!/usr/bin/env bash
# Stage 1: chosen neurons at every token. NEURONS is a CSV with the columns layer and neuron.
#
#   sbatch --array=0-3 experiments/batch_scripts/neuron_subset.sh
#
# Needs MODEL and FEATURE_DATASET; reads PROBE_LOCATION, AGGREGATION, BATCH_SIZE and DEVICE. Flags may follow:
# --experiment_type activation_subset stores them before the activation function, as the paper's code does.
#SBATCH --job-name=neuron_subset
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=02:00:00
set -euo pipefail
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" # nodes often have no network: download the model beforehand

python get_activations.py \
    --experiment_type neuron_subset \
    --model "${MODEL:?set MODEL, for example pythia-70m}" \
    --feature_dataset "${FEATURE_DATASET:?set FEATURE_DATASET, the name of a feature data set}" \
    --probe_location "${PROBE_LOCATION:-mlp.hook_post}" \
    --activation_aggregation "${AGGREGATION:-none}" \
    --batch_size "${BATCH_SIZE:-32}" \
    --device "${DEVICE:-cuda}" \
    --neuron_subset_file "${NEURONS:?set NEURONS, a CSV with the columns layer and neuron}" \
    "$@"
