"""Which rows a harvest stores: all tokens, chosen positions, the token before a label."""

import numpy as np
import pytest

from probing_datasets.feature_dataset.probed_rows import ProbedRows, feature_rows
from probing_datasets.foundation.errors import DatasetError, StoreError
from sparse_probing.activations.harvest import harvest, prepare_harvest
from sparse_probing.activations.harvesting import prepare as planning
from sparse_probing.activations.harvesting.existing_stores import has_other_store
from sparse_probing.config import ProbingConfig

CONTEXT = 64


@pytest.fixture
def all_tokens(tiny_harvest, small_parts, monkeypatch):
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: min(n_rows, 6000))
    return tiny_harvest.with_flags(experiment_type="all_activations", output_precision="32")


def grid(reference, layer, positions):
    """(sequences, positions, 48), zeros where there is padding."""
    whole = np.zeros((len(reference[layer]), CONTEXT, 48), np.float32)
    for place, activations in zip(whole, reference[layer], strict=True):
        place[: len(activations)] = activations
    return whole[:, positions]


@pytest.mark.parametrize(
    ("positions", "kept"), [((), range(CONTEXT)), ((5, 1), [1, 5]), ((-1, 0, 63), [0, 63]), ((-3, -30), [34, 61])]
)
def test_reading_and_reshaping_gives_sequences_positions_neurons(all_tokens, reference, positions, kept):
    store = harvest(all_tokens.with_flags(positions=positions))
    kept = list(kept)
    for layer in (0, 1):
        expected = grid(reference, layer, kept)
        found = store.read(layer).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        padding = (expected == 0).all(-1)
        assert (found[padding] == 0).all()
    assert store.rows[1].reshape(-1, len(kept)).tolist() == [kept] * 270


def test_without_padding_there_is_a_row_for_every_token(all_tokens, reference):
    store = harvest(all_tokens.with_flags(flatten_and_ignore_padding=True))
    np.testing.assert_allclose(store.read(1), np.concatenate(reference[1]), rtol=1e-5, atol=1e-6)
    lengths = [len(activations) for activations in reference[1]]
    assert np.array_equal(store.rows[0], np.repeat(np.arange(270), lengths))
    assert np.array_equal(store.rows[1], np.concatenate([np.arange(length) for length in lengths]))


def test_all_sequences_aggregated(all_tokens, reference, tiny_dataset):
    store = harvest(all_tokens.with_flags(activation_aggregation="max"))
    prefix = tiny_dataset.description.n_prefix
    expected = [activations[prefix:].max(0) for activations in reference[0]]
    np.testing.assert_allclose(store.read(0), expected, rtol=1e-5, atol=1e-6)


def test_stores_of_labelled_and_of_all_tokens_have_different_folders(all_tokens, tiny_harvest):
    assert all_tokens.store_folder() != tiny_harvest.store_folder()
    assert all_tokens.store_folder().name == "mlp.hook_post.none.all"


def test_other_positions_are_refused(all_tokens):
    harvest(all_tokens.with_flags(positions=(1, 2)))
    for change, named in (({"positions": (1, 3)}, "positions"), ({"positions": ()}, "positions")):
        with pytest.raises(StoreError, match=f"fingerprint.{named}: .*--overwrite"):
            harvest(all_tokens.with_flags(**change))
    with pytest.raises(StoreError, match="fingerprint.flatten_and_ignore_padding: .*--overwrite"):
        harvest(all_tokens.with_flags(positions=(1, 2), flatten_and_ignore_padding=True))


def test_other_positions_are_overwritten_and_the_same_are_not(all_tokens, reference):
    harvest(all_tokens.with_flags(positions=(0, 1, -1)))
    others = all_tokens.with_flags(positions=(0, 1, 2), overwrite=True)
    store = harvest(others)
    np.testing.assert_allclose(store.read(1)[:3], reference[1][0][:3], rtol=1e-5, atol=1e-6)
    assert not has_other_store(prepare_harvest(others.with_flags(positions=(2, 1, 0, 0))), "mlp.hook_post")


@pytest.mark.parametrize("position", [CONTEXT, -CONTEXT - 1])
def test_a_position_outside_the_context(all_tokens, position):
    with pytest.raises(DatasetError, match=f"has positions -64 to 63; there is no position {position}"):
        harvest(all_tokens.with_flags(positions=(1, position)))


@pytest.fixture
def next_token(tiny_harvest, small_parts):
    return tiny_harvest.with_flags(probe_next_token_feature=True, output_precision="32")


def test_a_label_is_probed_at_the_position_before_it(next_token, reference, tiny_dataset):
    store = harvest(next_token)
    stage_two = ProbingConfig.from_flags(
        model=next_token.activations.model,
        feature_dataset=next_token.activations.feature_dataset,
        results_dir=next_token.activations.results_dir,
        probe_next_token_feature=True,
    )
    assert stage_two.store_folder() == store.path
    activations, rows = store.read(1), ProbedRows(*store.rows)
    for feature in ("German", "French"):
        chosen = feature_rows(tiny_dataset, feature, rows, "none", next_token=True)
        probes = tiny_dataset.feature_probes(feature)
        order = np.lexsort((probes.position, probes.sequence))
        assert (probes.position > 0).all()
        assert np.array_equal(chosen.label, probes.label[order])
        places = zip(probes.sequence[order], probes.position[order], strict=True)
        expected = np.array([reference[1][sequence][position - 1] for sequence, position in places])
        np.testing.assert_allclose(activations[chosen.row], expected, rtol=1e-5, atol=1e-6)
        same_position = np.array([reference[1][s][p] for s, p in zip(chosen.sequence, probes.position[order])])  # noqa: B905
        assert np.abs(activations[chosen.row] - same_position).max() > 0.01


def test_rows_of_the_token_itself_are_not_those_of_the_token_before(tiny_harvest, small_parts, tiny_dataset):
    rows = prepare_harvest(tiny_harvest).rows
    with pytest.raises(DatasetError, match="Rows of .* are missing from the store"):
        feature_rows(tiny_dataset, "German", rows, "none", next_token=True)


def test_parts_hold_whole_sequences_where_all_have_as_many_rows(all_tokens, tiny_harvest):
    assert prepare_harvest(all_tokens).plan.part_rows == 93 * CONTEXT
    assert prepare_harvest(all_tokens.with_flags(positions=(1, 2, 3))).plan.part_rows == 270 * 3
    assert prepare_harvest(all_tokens.with_flags(flatten_and_ignore_padding=True)).plan.part_rows == 6000
    assert prepare_harvest(tiny_harvest).plan.part_rows == 1350
