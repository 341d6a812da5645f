"""Command lines with the flags of the paper's scripts, and their values, parse."""

import shlex

import pytest
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import parse
from sparse_probing.config import HarvestConfig, ProbingConfig

OF_SEQUENCES = ("programming_lang_id.pyth.512.-1", "distribution_id.pyth.512.-1", "natural_lang_id.pyth.512.-1")
OF_TOKENS = ("compound_words.pyth.24.-1", "text_features.pyth.256.10000", "ewt.pyth.512.-1", "latex.pyth.1024.-1")
OF_NAMES = ("wikidata_sorted_is_alive.pyth.128.6000", "wikidata_sorted_political_party.pyth.128.3000")
FINAL = "--normalize_activations --seed 42 --save_features_together"

STUDIES = (
    "--experiment_type optimal_sparse_probing",
    "--experiment_type compare_feature_selection --max_k 64",
    "--experiment_type rotation_baseline_dxd telescopic_sparsity_sweep",
    "--experiment_type enumerate_monosemantic fast_heuristic_sparsity_sweep",
    "--experiment_type iterative_pruning_rotation_baseline_dxd rotation_baseline_dxd telescopic_sparsity_sweep",
)
OF_STAGE_TWO = [
    *(f"{s} --feature_dataset {d} --activation_aggregation mean {FINAL}" for s in STUDIES for d in OF_SEQUENCES),
    *(f"{s} --feature_dataset {d} {FINAL}" for s in STUDIES for d in OF_TOKENS),
    *(f"{s} --feature_dataset {d} --activation_aggregation max {FINAL}" for s in STUDIES for d in OF_NAMES),
    f"--experiment_type optimal_sparse_probing --feature_dataset ewt.pyth.512.-1 --feature_subset not-dep {FINAL}",
    "--experiment_type tune_telescoping_sparsity_sweep --feature_dataset ewt.pyth.512.-1 --feature_subset morph",
    "--experiment_type osp_tuning --osp_upto_k 8 --gurobi_timeout 60 --feature_dataset compound_words.pyth.24.-1 "
    "--feature_subset social-security,trial-court,mental-health",
    "--experiment_type fast_heuristic_sparsity_sweep enumerate_monosemantic --probe_next_token_feature",
    "--experiment_type enumerate_monosemantic optimal_sparse_probing --batch_size 256",
    "--experiment_type osp_iterative_pruning --batch_size 256 --gurobi_timeout 150",
    "--experiment_type heuristic_sparse_regression_sweep --feature_dataset position.pyth.1024.10000",
    "--experiment_type dense_regression_probe --probe_location hook_resid_post --save_features_together",
    "--experiment_name wikidata/occupation --experiment_type telescopic_sparsity_sweep enumerate_monosemantic",
]
OF_STAGE_ONE = [
    *(
        f"--experiment_type activation_subset --feature_dataset {dataset} --neuron_subset_file top.csv {flags}"
        for dataset in (*OF_SEQUENCES, *OF_TOKENS)
        for flags in ("", "--auto_restrict_neuron_subset_file", "--batch_size 8 --skip_computing_token_summary_df")
    ),
    "--experiment_type activation_subset --neuron_subset_file wikidata.csv --auto_restrict_neuron_subset_file "
    "--output_precision 32",
    "--experiment_type activation_subset --batch_size 16 --neuron_subset 1,0",
    "--experiment_name wikidata/occupation --activation_aggregation max --output_precision 8",
    "--experiment_type all_activations --batch_size 64 --layers 1 --positions 31",
    "--experiment_type all_activations --batch_size 64 --flatten_and_ignore_padding",
    "--experiment_type full_activation_histogram --n_bin 1000 --hist_max 100 --hist_min -100",
]


@pytest.mark.parametrize(("kind", "lines"), [(ProbingConfig, OF_STAGE_TWO), (HarvestConfig, OF_STAGE_ONE)])
def test_every_line_parses(kind, lines):
    for line in lines:
        arguments = ["--experiment_name", "full_sparsity_sweep_final", "--model", "pythia-70m", *shlex.split(line)]
        if "--experiment_name" in line:
            arguments = arguments[2:]
        config = parse(OmitArgPrefixes[kind], arguments)
        flags = config.flags()
        for name in (word.removeprefix("--") for word in shlex.split(line) if word.startswith("--")):
            # What a line says is what the settings hold; the limit of a search has the paper's name as an alias.
            assert name == "gurobi_timeout" or name in flags, line
        assert config.activations.model == "pythia-70m"
