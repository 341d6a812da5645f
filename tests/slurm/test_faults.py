"""What goes wrong on a cluster takes minutes there: time limits, nodes and controllers that die, full disks."""

import os

import pytest

pytestmark = pytest.mark.slow

ONE_LAYER = ("--layers", 0)
ONE_TASK = ("--layers", 1, "--feature_subset", "strong")


def test_a_job_that_runs_out_of_time_goes_on_with_the_task_it_was_at(slurm, probe, states, plant, mid_write, results):
    """The first task that is written stops there until its job runs out of time; a second begins anew."""
    plant()
    assert probe("--tasks_per_job", 2, *ONE_LAYER, "--time", 1)[0] == 0
    slurm.wait_for(mid_write.reached)
    first = mid_write.pid
    slurm.wait_for(lambda: not os.path.exists(f"/proc/{first}"), 150)
    slurm.wait_for(lambda: states(*ONE_LAYER) == {"done": 2}, 60)
    slurm.wait_for_end()
    assert set(results.jobs().values()) == set(slurm.queue())


def test_a_task_of_a_node_that_died_is_done_on_another_node_once(slurm, probe, states, plant, mid_write, results):
    """The process lives on when the daemon of its node dies, so that two are at one task; both end well."""
    plant()
    assert probe(*ONE_TASK)[0] == 0
    slurm.wait_for(mid_write.reached)
    (node,) = slurm.queue("%N").values()
    slurm.kill(f"slurmd.{node}")
    try:
        slurm.wait_for(lambda: states(*ONE_TASK) == {"done": 1}, 120)
        assert set(slurm.queue("%N").values()) != {node}
        (before,) = results.rows().values()
        mid_write.let_go()
        slurm.wait_for(lambda: not os.path.exists(f"/proc/{mid_write.pid}"))
    finally:
        slurm.start("slurmd", "-N", node)
    assert states(*ONE_TASK) == {"done": 1}
    assert list(results.rows().values()) == [before]
    slurm.wait_for(lambda: slurm.nodes() == ["idle"] * 3)


def test_without_an_answer_of_slurm_nothing_is_submitted(slurm, probe, states, plant, mid_write):
    plant()
    assert probe()[0] == 0
    slurm.wait_for(mid_write.reached)
    slurm.kill("slurmctld")
    try:
        status, _, err = probe()
        assert status == 1
        assert "Slurm does not answer" in err
        assert "unknown" in states()
    finally:
        slurm.start("slurmctld")
    slurm.wait_for(slurm.answers)
    n_jobs = len(slurm.queue())
    assert probe()[0] == 0
    assert len(slurm.queue()) == n_jobs
    mid_write.let_go()
    assert slurm.wait_for_end() == {"COMPLETED": 4}
    assert states() == {"done": 4}


def test_a_preempted_job_is_requeued_and_does_what_is_left(slurm, probe, states, plant, mid_write):
    plant()
    assert probe("--partition", "low", "--tasks_per_job", 2)[0] == 0
    slurm.wait_for(mid_write.reached)
    first = mid_write.pid
    slurm.sbatch("--nodes=3", "--exclusive", "--output=/dev/null", "--wrap", "sleep 2")
    slurm.wait_for(lambda: not os.path.exists(f"/proc/{first}"))
    slurm.wait_for(lambda: states() == {"done": 4}, 120)


def test_on_a_full_disk_no_result_is_published_and_the_next_launch_does_it(slurm, probe, states, plant):
    plant()
    assert probe("--setup", "ulimit -f 5")[0] == 0
    slurm.wait_for_end()
    assert not states().get("done")
    assert probe("--retry_failed")[0] == 0
    slurm.wait_for_end()
    assert states() == {"done": 4}
