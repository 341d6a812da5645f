#!/usr/bin/env bash
# Probes that are trained while the model runs, and no store; the entries of the array share the texts, and the last one
# fits the probes. With --then heuristic_sparsity_sweep: sparse probes too.
#
#   sbatch --array=0-3 experiments/batch_scripts/online.sh
#
# Needs MODEL and FEATURE_DATASET; reads PROBE_LOCATION, POOLING, MEMORY, BATCH_SIZE and DEVICE. Flags may follow.
#SBATCH --job-name=online
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=04:00:00
set -euo pipefail
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" # nodes often have no network: download the model beforehand
read -ra pooling <<< "${POOLING:-mean}"  # several: POOLING="mean last"

python get_activations.py \
    --experiment_type online_probes \
    --model "${MODEL:?set MODEL, for example pythia-70m}" \
    --feature_dataset "${FEATURE_DATASET:?set FEATURE_DATASET, the name of a feature data set}" \
    --probe_location "${PROBE_LOCATION:-mlp.hook_post}" \
    --pooling "${pooling[@]}" \
    --memory "${MEMORY:-16GB}" \
    --batch_size "${BATCH_SIZE:-32}" \
    --device "${DEVICE:-cuda}" \
    "$@"
