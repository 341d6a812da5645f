"""`harvest` with data sets and models as names, as paths and as objects in memory; all of them give the same store."""

import dataclasses

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from probing_datasets.feature_dataset import load_feature_dataset
from probing_datasets.foundation.errors import DatasetError, ModelError, SettingsError, StoreError
from sparse_probing.activations.harvest import harvest
from sparse_probing.activations.stores import open_store
from sparse_probing.models import load_model
from sparse_probing.models.hook_points import build_bridge
from tests.builders.harvests import modification_times

DATASET = "natural_lang_id.tiny.64.-1"


@pytest.fixture
def by_name(tiny_harvest, models_loaded_once):
    """The store of the tiny model and data set, both given by name; its settings are those of `by_object`."""
    return harvest(tiny_harvest.with_flags(activation_aggregation="mean"))


@pytest.fixture
def by_object(tiny_dataset, tmp_path, monkeypatch):
    """A function that harvests the tiny data set, in memory, with a model, into another folder of results."""
    monkeypatch.setenv("FEATURE_DATASET_DIR", str(tmp_path / "sets"))

    def run(model, **arguments):
        return harvest(tiny_dataset, model, aggregation="mean", results_dir=tmp_path / "by object", **arguments)

    return run


@pytest.fixture
def hugging_face_model(tiny_model_dir):
    return AutoModelForCausalLM.from_pretrained(tiny_model_dir)


def test_names_and_a_short_name_of_the_aggregation(by_name, tiny_model_dir, tiny_dataset_root):
    again = harvest(DATASET, str(tiny_model_dir), aggregation="mean", feature_dataset_dir=tiny_dataset_root)
    assert again.path == by_name.path
    assert again.digest == by_name.digest
    path = tiny_dataset_root / DATASET
    assert harvest(path, model=str(tiny_model_dir), activation_aggregation="mean").path == by_name.path


def test_an_existing_store_is_resumed(by_name, tiny_model_dir, tiny_dataset_root):
    before = modification_times(by_name.path)
    by_name.discard_part(0)
    again = harvest(DATASET, str(tiny_model_dir), aggregation="mean", feature_dataset_dir=tiny_dataset_root)
    assert again.is_complete
    assert modification_times(by_name.path).keys() == before.keys()


def test_a_loaded_language_model_gives_the_store_of_its_name(by_name, by_object, tiny_model_dir):
    assert by_object(load_model(str(tiny_model_dir))).digest == by_name.digest


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_a_hugging_face_model_gives_the_store_of_its_path(
    by_name, by_object, hugging_face_model, tiny_model_dir, with_tokenizer
):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir) if with_tokenizer else None
    store = by_object(hugging_face_model, tokenizer=tokenizer)
    assert store.digest == by_name.digest
    assert store.path.relative_to(store.path.parents[3]) == by_name.path.relative_to(by_name.path.parents[3])


def test_a_bridge_gives_the_store_of_the_model_under_it(by_name, by_object, hugging_face_model):
    bridge = build_bridge(hugging_face_model)
    names = set(bridge.original_model.state_dict())
    assert by_object(bridge).digest == by_name.digest
    assert set(bridge.original_model.state_dict()) == names


def test_control_other_weights_are_refused_in_the_same_store(by_object, hugging_face_model):
    first = by_object(hugging_face_model)
    with torch.no_grad():
        hugging_face_model.get_submodule("gpt_neox.layers.1.mlp.dense_h_to_4h").bias[0] += 1
    with pytest.raises(StoreError, match="fingerprint.weight_hash: "):
        by_object(hugging_face_model)
    other = by_object(hugging_face_model, name="edited")
    assert other.path != first.path
    assert (other.layer(1) != first.layer(1)).any()


def test_a_model_in_training_is_run_without_dropout_and_stays_in_training(by_name, by_object, hugging_face_model):
    hugging_face_model.train()
    hugging_face_model.get_submodule("gpt_neox.layers.0").eval()
    modes = [module.training for module in hugging_face_model.modules()]
    assert by_object(hugging_face_model).digest == by_name.digest
    assert [module.training for module in hugging_face_model.modules()] == modes


def test_the_precision_of_a_loaded_model_is_recorded(by_object, hugging_face_model):
    store = by_object(hugging_face_model.to(torch.bfloat16))
    assert (store.plan.fingerprint["dtype"], store.plan.fingerprint["device"]) == ("bfloat16", "cpu")


def test_a_data_set_in_memory_is_saved_once(by_object, tiny_model_dir, tiny_dataset, tmp_path):
    by_object(str(tiny_model_dir))
    saved = tmp_path / "sets" / DATASET
    assert load_feature_dataset(DATASET, saved.parent).description.content_hash == tiny_dataset.description.content_hash
    before = modification_times(saved)
    by_object(str(tiny_model_dir))
    assert modification_times(saved) == before


def test_another_data_set_with_the_same_name_is_not_replaced(by_object, tiny_model_dir, tiny_dataset, tmp_path):
    by_object(str(tiny_model_dir))
    description = dataclasses.replace(tiny_dataset.description, content_hash="0" * 32)
    other = dataclasses.replace(tiny_dataset, description=description)
    with pytest.raises(DatasetError, match=r"same name and other content.*Rename one of them, delete .*, or pass"):
        harvest(other, str(tiny_model_dir))


def test_lists_and_text_are_accepted_as_settings(by_object, tiny_model_dir, tmp_path):
    store = by_object(str(tiny_model_dir), layers=[1], feature_dataset_dir=str(tmp_path / "text"))
    assert store.plan.layers == (1,)
    assert (tmp_path / "text" / DATASET).is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 1}, "There is no setting 'layer'.*layers"),
        ({"device": "cpu"}, "cannot be changed by device"),
        ({"dtype": "float16", "random_init": True}, "cannot be changed by dtype, random_init"),
        ({"activation_aggregation": "max"}, "aggregation is short for activation_aggregation"),
        ({"feature_dataset": "text"}, "first argument"),
        ({"experiment_type": "full_activation_histogram"}, "needs|makes tables"),
    ],
)
def test_settings_that_contradict_the_objects(by_object, hugging_face_model, arguments, message):
    with pytest.raises(SettingsError, match=message):
        by_object(hugging_face_model, **arguments)


def test_a_configuration_takes_no_further_arguments(tiny_harvest):
    for arguments in ({"model": "demo"}, {"aggregation": "mean"}, {"layers": (1,)}):
        with pytest.raises(SettingsError, match="holds all settings.*with_flags"):
            harvest(tiny_harvest, **arguments)


def test_a_name_and_a_tokenizer_are_for_loaded_models(by_object, tiny_model_dir):
    with pytest.raises(SettingsError, match="for a loaded model"):
        by_object(str(tiny_model_dir), name="other")


def test_a_model_without_a_name_or_a_tokenizer(by_object, hugging_face_model):
    nameless = AutoModelForCausalLM.from_config(hugging_face_model.config)
    nameless.name_or_path = ""
    with pytest.raises(ModelError, match="has no name_or_path. Pass a name"):
        by_object(nameless)
    with pytest.raises(ModelError, match="tokenizer of the model 'mine' is missing. Pass it with tokenizer="):
        by_object(nameless, name="mine")


def test_a_bridge_whose_weights_were_processed_is_refused(by_object, hugging_face_model):
    bridge = build_bridge(hugging_face_model)
    bridge.compatibility_mode = True
    with pytest.raises(ModelError, match="compatibility mode.*Boot it again"):
        by_object(bridge)


def test_the_store_is_opened_by_its_path(by_name):
    assert open_store(by_name.path).digest == by_name.digest
