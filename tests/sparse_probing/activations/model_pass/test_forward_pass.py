"""The forward pass over batches: what is kept, batches that do not fit into memory, and the number of threads."""

import logging

import numpy as np
import pytest
import torch

from probing_datasets.foundation.errors import ModelMemoryError
from sparse_probing.activations.model_pass.batches import sequence_batches
from sparse_probing.activations.model_pass.forward_pass import HostCopies, forward, torch_threads
from sparse_probing.models import load_model

HOOKS = ["mlp.hook_post", "hook_resid_post"]
SEQUENCES = np.arange(12)


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load_model(str(tiny_model_dir))


def at_rows(batch, activation):
    return activation[batch.sequence, batch.position]


def gather(dataset, model, batch_size, select=at_rows):
    """By hook point and layer, the rows of all tokens of the sequences, in the order of the data set."""
    n_rows = int(dataset.lengths[SEQUENCES].sum())
    gathered, filled = {}, np.zeros(n_rows, int)
    for batch, kept in forward(model, sequence_batches(dataset, SEQUENCES, batch_size), HOOKS, [0, 1], select):
        filled[batch.row] += 1
        for key, values in kept.items():
            gathered.setdefault(key, torch.full((n_rows, values.shape[-1]), torch.nan))[batch.row] = values
    assert (filled == 1).all()
    return gathered


def in_memory_for(n_sequences):
    """Select as the device of a machine that has memory for so many sequences."""

    def select(batch, activation):
        if len(activation) > n_sequences:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return at_rows(batch, activation)

    return select


def test_kept_activations_equal_those_of_plain_hooks(tiny_dataset, model, tiny_model_dir):
    from transformers import AutoModelForCausalLM

    plain, expected = AutoModelForCausalLM.from_pretrained(tiny_model_dir).eval(), []
    act = plain.get_submodule("gpt_neox.layers.1.mlp.act")
    act.register_forward_hook(lambda _module, _inputs, output: expected.append(output[0]))
    with torch.inference_mode():
        for tokens in tiny_dataset.sequences["tokens"][: len(SEQUENCES)]:
            plain(torch.tensor([tokens]))
    found = gather(tiny_dataset, model, 5)
    assert set(found) == {(hook, layer) for hook in HOOKS for layer in (0, 1)}
    torch.testing.assert_close(found["mlp.hook_post", 1], torch.cat(expected), rtol=1e-5, atol=1e-6)
    assert (found["mlp.hook_post", 0] - torch.cat(expected)).abs().max() > 0.01


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_a_batch_that_does_not_fit_is_halved_and_later_ones_stay_small(tiny_dataset, model, capacity, caplog):
    sizes = []

    def select(batch, activation):
        kept = in_memory_for(capacity)(batch, activation)
        sizes.append(len(activation))
        return kept

    with caplog.at_level(logging.WARNING):
        halved = gather(tiny_dataset, model, 8, select)
    whole = gather(tiny_dataset, model, 8)
    for key, values in whole.items():
        torch.testing.assert_close(halved[key], values, rtol=1e-5, atol=1e-6)
    assert max(sizes) <= capacity
    assert len([r for r in caplog.records if "do not fit into memory" in r.message]) == {1: 3, 2: 2, 5: 1}[capacity]


def test_a_single_sequence_that_does_not_fit_is_an_error(tiny_dataset, model):
    with pytest.raises(ModelMemoryError):
        gather(tiny_dataset, model, 8, in_memory_for(0))


def test_rows_know_their_sequence_in_the_data_set(tiny_dataset):
    for batch in sequence_batches(tiny_dataset, SEQUENCES[5:], 3):
        for piece in [batch, *batch.split(2), *batch.split(1)]:
            tokens = [tiny_dataset.sequences["tokens"][member] for member in piece.members]
            assert [len(ids) for ids in tokens] == piece.mask.sum(1).tolist()
            assert piece.tokens.shape[1] == max(map(len, tokens))
            assert len(piece.row) == sum(map(len, tokens))
            for at, position in zip(piece.sequence.tolist(), piece.position.tolist(), strict=True):
                assert piece.tokens[at, position] == tokens[at][position]


def test_copies_of_host_tensors_have_nothing_to_wait_for():
    copies, values = HostCopies(), torch.arange(3)
    assert torch.equal(copies.start(values), values)
    assert copies.mark() == []


def test_the_number_of_threads_is_restored():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
