"""Online probes: the result rows of stage 2 on a store of the same rows, their metrics, and the probes themselves."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from probing_datasets.foundation.errors import ProbeError
from sparse_probing import harvest, load_online, probe, train_online
from sparse_probing.online.online_run import OnlineRun
from tests.builders.online import mixed_dataset, online_settings

STUDIES = {"binary": "dense_probe", "multiclass": "multinomial_sweep", "regression": "dense_regression_probe"}
PLACE = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def root(tiny_dataset_root, tmp_path_factory):
    from probing_datasets.feature_dataset import load_feature_dataset

    folder = tmp_path_factory.mktemp("mixed")
    dataset = mixed_dataset(load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root))
    dataset.save(folder / dataset.name)
    return folder


@pytest.fixture(scope="module")
def config(tiny_model_dir, root, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return online_settings(
        tiny_model_dir,
        root,
        results,
        pooling=("mean", "last"),
        further_locations=("hook_resid_post",),
        controls=("shuffled_labels",),
    )


@pytest.fixture(scope="module")
def run(config) -> OnlineRun:
    return train_online(config)


@pytest.mark.parametrize("aggregation", ["mean", "last"])
@pytest.mark.parametrize("study", STUDIES.values())
def test_rows_are_those_of_stage_2_on_a_store_to_the_last_bit(run, config, aggregation, study):
    flags = {name: config.flags()[name] for name in ("feature_dataset_dir", "results_dir")}
    store = harvest(config.activations.feature_dataset, config.activations.model, aggregation=aggregation, **flags)
    widths = {"ks": (48,)} if study == "multinomial_sweep" else {}
    result = probe(
        store,
        config.activations.feature_dataset,
        study,
        regularization=1.0,
        results_dir=config.activations.results_dir,
        feature_dataset_dir=config.activations.feature_dataset_dir,
        feature_subset={"dense_probe": ("German",)}.get(study, ()),
        **widths,
    )
    online = run.rows[(run.rows["study"] == study) & (run.rows["aggregation"] == aggregation)]
    online = online[online["hook_point"] == "mlp.hook_post"]
    keys = ["feature", "layer", "control", "probe"]
    columns = [name for name in result.rows.columns if name not in ("experiment_name",)]
    one, two = (frame.sort_values(keys)[columns].reset_index(drop=True) for frame in (online, result.rows))
    pd.testing.assert_frame_equal(one, two, check_exact=True, check_dtype=False)
