"""Computing parts: padding is zero, rows are selected or pooled, the buffers of a part."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from probing_datasets.feature_dataset.probed_rows import token_rows
from sparse_probing.activations.harvesting import prepare as planning
from sparse_probing.activations.harvesting.compute_parts import allocate_part, compute_parts, select_rows
from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.model_pass.batches import part_batches

HOOK = "mlp.hook_post"


def test_parts_of_nothing_but_padding_are_zero(tiny_harvest, small_parts, reference, monkeypatch):
    """Parts of two rows, the last position of two sequences each; sequences 14 and 15 end before it, 12 does not."""
    monkeypatch.setattr(planning, "choose_part_rows", lambda n_rows, row_bytes: 2)
    config = tiny_harvest.with_flags(experiment_type="all_activations", positions=(-1,))
    prepared = prepare_harvest(config.with_flags(output_precision="32"))
    assert [len(reference[0][sequence]) == 64 for sequence in (12, 14, 15)] == [True, False, False]
    progress = []

    def used_before():
        buffers = allocate_part(prepared, [HOOK])
        for buffer in buffers.values():
            buffer.fill(7)
        return buffers

    parts = dict(compute_parts(prepared, [HOOK], [6, 7, 8], used_before, progress.append))
    for layer in (0, 1):
        assert (parts[7][HOOK, layer] == 0).all()
        np.testing.assert_allclose(parts[6][HOOK, layer][0], reference[layer][12][63], rtol=1e-5, atol=1e-6)
    assert sum(progress) == sum(len(reference[0][sequence]) == 64 for sequence in range(12, 18))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("every", [1, 10])
def test_rows_are_those_of_advanced_indexing(tiny_dataset, dtype, every):
    """One row in ten is selected and then converted, every row the other way round."""
    rows = token_rows(tiny_dataset, np.arange(7))
    thinned = dataclasses.replace(rows, sequence=rows.sequence[::every], position=rows.position[::every])
    for batch in part_batches(tiny_dataset, thinned, 0, len(thinned), 3):
        activation = torch.randn(*batch.tokens.shape, 5, generator=torch.Generator().manual_seed(0))
        expected = activation[batch.sequence, batch.position].to(dtype)
        assert torch.equal(select_rows("none", dtype, batch, activation), expected)
        assert not torch.equal(select_rows("none", dtype, batch, activation.flip(1)), expected)


def test_the_memory_of_a_part_has_the_dtype_of_the_store(tiny_harvest, small_parts):
    for precision, dtype in {"8": np.float32, "16": np.float16, "32": np.float32, "bf16": np.uint16}.items():
        config = tiny_harvest.with_flags(output_precision=precision, layers=(1,))
        prepared = prepare_harvest(config.with_flags(further_locations=("hook_resid_post",)))
        allocate = functools.partial(allocate_part, prepared)
        assert {key: array.shape for key, array in allocate(list(prepared.plans)).items()} == {
            (HOOK, 1): (100, 48),
            ("hook_resid_post", 1): (100, 16),
        }
        assert {array.dtype for array in allocate([HOOK]).values()} == {np.dtype(dtype)}
