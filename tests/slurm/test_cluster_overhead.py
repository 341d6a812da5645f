"""The part of the cluster benchmark that needs Slurm."""

import pytest

from benchmarks.cluster_overhead import ClusterOverheadConfig, compare_entries


@pytest.mark.slow
def test_the_parts_of_an_entry_are_timed(slurm, tmp_path):
    rows = compare_entries(ClusterOverheadConfig(n_features=2), tmp_path)
    work, beyond, start, gap = (float(row["s"]) for row in rows)
    assert work > 0
    assert 0 < start < 60
    assert 0 < beyond < 60
    assert -1 <= gap < 60
    assert slurm.wait_for_end() == {"COMPLETED": 2}
