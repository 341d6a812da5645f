"""The benchmark of the cluster at a tiny size: ``status``; the half that needs Slurm is tested in tests/slurm."""

from __future__ import annotations

from pathlib import Path

from benchmarks.cluster_overhead import ClusterOverheadConfig, compare_status, make_finished_run
from sparse_probing.runs.status.run_status import run_status


def test_every_task_of_the_made_run_is_done(tmp_path: Path) -> None:
    status = run_status(make_finished_run(5, tmp_path))
    assert status.all_done
    assert len(status.tasks) == 5


def test_status_is_timed_in_three_ways(tmp_path: Path) -> None:
    rows = compare_status(ClusterOverheadConfig(n_tasks=3), tmp_path)
    assert len(rows) == 3
    assert all(float(str(row["s"])) >= 0 for row in rows)
    assert set(rows[0]) == {"status of 3 tasks", "s"}
