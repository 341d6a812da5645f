"""What online probes refuse, and unusual data that they take."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from probing_datasets.feature_dataset import FeatureKind, Probes, build_feature_dataset, load_feature_dataset
from probing_datasets.foundation.errors import ActivationError, DatasetError, ModelError, SettingsError, TaskError
from sparse_probing.config import OnlineConfig
from sparse_probing.models import LanguageModel
from sparse_probing.online.online_run import OnlineRun
from sparse_probing.online.prepare import prepare_online
from sparse_probing.online.train_online import run_online
from tests.builders.harvests import load_model_once
from tests.builders.online import MIXED, mixed_dataset, online_settings, probes_of

PLACE = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def base(tiny_dataset_root):
    return load_feature_dataset("natural_lang_id.tiny.64.-1", tiny_dataset_root)


@pytest.fixture
def prepare(tiny_model_dir, tmp_path, base):
    """Prepare a run on a data set in memory, by default the mixed one."""

    def prepared(dataset=None, **flags):
        config = online_settings(tiny_model_dir, tmp_path, tmp_path, **flags)
        dataset = mixed_dataset(base) if dataset is None else dataset
        return prepare_online(config, model=load_model_once(str(tiny_model_dir)), dataset=dataset)

    return prepared


def trained(prepared) -> OnlineRun:
    assert run_online(prepared)
    return OnlineRun.open(prepared.folder, prepared.parts, prepared.model)


def labelled(base, labels, kind: FeatureKind = "binary", n=90, classes=()):
    """Return the first texts of a data set with one label set, a label for each text that has one."""
    tokens, groups = base.tokens(np.arange(n)), base.sequences["group"][:n]
    description = replace(base.description, name=MIXED, collection="mixed")
    named = {"made": classes} if classes else None
    return build_feature_dataset(description, tokens, list(groups), {"made": (kind, probes_of(labels, tokens))}, named)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"pooling": ()}, "Name at least one --pooling"),
        ({"pooling": ("mean", "mean")}, "Name each of --pooling once"),
        ({"pooling": ("median",)}, "--pooling cannot be 'median'"),
        ({"memory": "lots"}, "'lots' is not a size"),
        ({"memory": "0MB"}, "'0MB' is not a size"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"epochs": 2}, "--epochs is for adamw"),
        ({"validation_frac": 1.0}, "--validation_frac must be between 0 and 1"),
        ({"patience": -1}, "--patience and --warmup_steps must be at least 0"),
        ({"patience": 3}, "so nothing is stopped early"),
        (
            {"threshold": 0.1, "warmup_steps": 3},
            "rows does not use --threshold, --warmup_steps: only moments and adamw",
        ),
        ({"activation_aggregation": "mean"}, "take --pooling"),
        ({"activations_dir": "s3://bucket"}, "no activations are stored"),
        ({"probe_next_token_feature": True}, "--pooling none"),
        ({"controls": ("random_init",)}, "Run the same command with --random_init"),
        ({"experiment_name": "../outside"}, "must be letters"),
        ({"learner": "sgd"}, "--learner cannot be 'sgd'"),
    ],
)
def test_settings_that_contradict_one_another(flags, message):
    with pytest.raises(SettingsError, match=message):
        OnlineConfig.from_flags(**flags)


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ({"probe_location": "mlp.hook_nothing"}, ModelError, "have no hook point 'mlp.hook_nothing'"),
        ({"further_locations": ("gpt_neox.layers.9.mlp",)}, ModelError, "no hook point 'gpt_neox.layers.9.mlp'"),
        ({"layers": (2,)}, ModelError, "there is no layer 2"),
        ({"probe_location": PLACE, "layers": (0,)}, SettingsError, "every location names its layer"),
        ({"feature_subset": ("germane",)}, DatasetError, "has no feature germane"),
        ({"memory": "10KB"}, SettingsError, "places need [0-9.]+ KB, and --memory is 10KB. Name fewer --layers"),
        ({"then": ("lasso_path",), "feature_subset": ("German",)}, DatasetError, "lasso_path takes regression"),
        ({"then": ("iterative_pruning",), "iterative_pruning_fixed_k": 99}, SettingsError, "more than the 48 neurons"),
    ],
)
def test_what_does_not_exist_or_does_not_fit_is_refused_before_the_model_runs(prepare, flags, error, message):
    with pytest.raises(error, match=message):
        prepare(**flags)


@pytest.mark.parametrize(
    ("value", "message"), [(torch.nan, "NaN or infinite"), (1e6, r"an activation of 1e\+06, and float16")]
)
def test_an_activation_that_no_row_can_hold_is_named(prepare, monkeypatch, value, message):
    prepared = prepare(layers=(1,))
    run = type(prepared.model).run

    def broken(self, tokens, mask, hooks):
        def change(hook, activation):
            activation = activation.clone()
            activation[:, 1:, 5] = torch.where(
                (tokens == prepared.dataset.tokens(np.array([7]))[0][3]).any(1)[:, None], value, activation[:, 1:, 5]
            )
            hook(activation)

        run(self, tokens, mask, {name: lambda a, hook=hook: change(hook, a) for name, hook in hooks.items()})

    monkeypatch.setattr(type(prepared.model), "run", broken)
    with pytest.raises(ActivationError, match=rf"blocks.1.mlp.hook_post of .*: text \d+ of {MIXED} has .*{message}"):
        run_online(prepared)
    assert not (prepared.folder / "description.json").exists()


@pytest.mark.parametrize("learner", ["moments", "adamw"])
def test_the_other_learners_take_activations_that_float16_cannot_hold(prepare, monkeypatch, learner):
    flags = {"layers": (1,), "learner": learner, "regularization": None, "feature_subset": ("German",)}
    small = trained(prepare(**flags, seed=1)).metrics
    run = LanguageModel.run

    def large(self, tokens, mask, hooks):
        run(self, tokens, mask, {name: lambda a, hook=hook: hook(a * 1e7) for name, hook in hooks.items()})

    monkeypatch.setattr(LanguageModel, "run", large)
    metrics = trained(prepare(**flags, seed=1, experiment_name="large")).metrics
    assert metrics["roc_auc"].item() == pytest.approx(small["roc_auc"].item(), abs=0.02)


def test_batches_of_one_text_give_the_rows_of_large_ones(prepare):
    one, many = (trained(prepare(layers=(1,), feature_subset=("German",), batch_size=size)) for size in (1, 64))
    np.testing.assert_allclose(one[PLACE].coef, many[PLACE].coef, rtol=0.05, atol=0.05)
    assert one.metrics["accuracy"].item() == many.metrics["accuracy"].item()


def test_a_class_that_first_appears_late_and_a_class_of_one_group(prepare, base):
    groups = base.group_codes[:90]
    late = {i: float(i % 2) for i in range(90)} | {i: 2.0 for i in range(80, 90)}
    run = trained(prepare(labelled(base, late, "multiclass"), layers=(1,)))
    assert run[PLACE].classes == ("0", "1", "2")
    alone = {i: 1.0 if groups[i] == groups[0] else -1.0 for i in range(90)}
    with pytest.raises(TaskError, match="made"):
        run_online(prepare(labelled(base, alone), layers=(1,)))


@pytest.mark.parametrize("learner", ["rows", "moments"])
def test_three_hundred_classes(prepare, base, learner):
    n = 90
    tokens, groups = base.tokens(np.arange(n)), list(base.sequences["group"][:n])
    places = [(i, position) for i in range(n) for position in range(1, len(tokens[i]), 2)]
    sequence, position = map(np.array, zip(*places, strict=True))
    label = np.arange(len(places)) % 300.0
    assert len(places) > 1500
    description = replace(base.description, name=MIXED, collection="mixed")
    made: dict[str, tuple[FeatureKind, Probes]] = {"made": ("multiclass", Probes(sequence, position, label))}
    dataset = build_feature_dataset(description, tokens, groups, made, {"made": tuple(f"c{c}" for c in range(300))})
    regularization = 0.01 if learner == "rows" else None
    flags = {"layers": (1,), "pooling": ("none",), "learner": learner, "regularization": regularization}
    run = trained(prepare(dataset, **flags))
    assert len(run[PLACE].classes) == 300
    assert run.metrics["accuracy"].item() < 0.05  # the labels are noise
    assert run.metrics["loss"].item() > np.log(100)


def test_zero_is_a_label_and_texts_without_a_label_have_no_row(prepare, base):
    labels = {i: float(i % 3 == 0) for i in range(0, 90, 2)}  # 0 and 1, on every second text
    run = trained(prepare(labelled(base, labels, "multiclass"), layers=(1,)))
    row = run.rows[(run.rows["probe"] == "multinomial")].iloc[0]
    assert row["n_train"] + row["n_test"] == 45
    assert row["classes"].tolist() == [0, 1]
