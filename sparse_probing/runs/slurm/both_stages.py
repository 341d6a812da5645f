"""Both stages at once on Slurm: stage 1, and stage 2 to begin when it has ended well.

The key of a task holds the digest of the store, which is known when the store is complete. So the
jobs of stage 2 plan the run themselves when they begin, all alike, and each does its share of the tasks.
"""

from __future__ import annotations

from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.config.locations import harvest_submissions_folder
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.run import settings_folder
from sparse_probing.runs.slurm.arrays import Draft, draft_probing, hand_over
from sparse_probing.runs.slurm.harvest_for_probing import expected_tasks
from sparse_probing.runs.slurm.sbatch import Array, max_array_size
from sparse_probing.runs.slurm.submissions import LAUNCH_LOCK, Submission, live_submissions, new_submission


def submit_chain(config: ProbingConfig, lacking: list[HarvestConfig]) -> list[Submission]:
    """Submit stage 1, where ``--harvest`` asks for it, and stage 2.

    Nothing is submitted while an earlier submission of these settings is queued or running.

    Parameters
    ----------
    config : ProbingConfig
    lacking : list of HarvestConfig
        The stores that are not complete.

    Returns
    -------
    list of Submission
        What was submitted.
    """
    folder = settings_folder(config)
    with locked(folder / LAUNCH_LOCK):
        if live_submissions(folder):
            return []
        n_tasks = expected_tasks(config, lacking[0])
        stage_one = [_harvest_once(config, harvest) for harvest in lacking] if config.harvest_first.harvest else []
        after = tuple(submission.job_id for submission, _ in stage_one if submission.job_id)
        stage_two = hand_over(draft_shares(config, n_tasks, after), config)
    return [*(submission for submission, is_new in stage_one if is_new), stage_two]


def draft_harvest(config: ProbingConfig, harvest: HarvestConfig) -> Draft:
    """Return the array of stage 1, as it would be submitted."""
    n_jobs = min(config.harvest_first.harvest_jobs, max_array_size())
    submission = new_submission("harvest", "slurm", n_jobs)
    arguments = [[harvest.record_with_full_paths(), rank, n_jobs] for rank in range(n_jobs)]
    resources, after = config.harvest_first.resources(config.slurm), config.slurm.first_jobs
    array = Array("harvest_share", arguments, submission.job_name, resources, after)
    return Draft(submission, array, harvest_submissions_folder(harvest.activations))


def draft_shares(config: ProbingConfig, n_tasks: int, after: tuple[str, ...]) -> Draft:
    """Return the array of all tasks of a run that cannot be planned yet, as it would be submitted."""
    n_jobs = min(-(-n_tasks // config.execution.tasks_per_job), max_array_size())
    submission = new_submission("probe", "slurm", n_jobs)
    arguments = [[config.record_with_full_paths(), rank, n_jobs, submission.id] for rank in range(n_jobs)]
    return draft_probing(config, submission, "run_share", arguments, -(-n_tasks // n_jobs), after)


def _harvest_once(config: ProbingConfig, harvest: HarvestConfig) -> tuple[Submission, bool]:
    """Submit stage 1, unless it is queued for somebody else who needs the same store; return also whether it is new."""
    folder = harvest_submissions_folder(harvest.activations)
    with locked(folder / LAUNCH_LOCK):
        live = live_submissions(folder)
        return (live[-1], False) if live else (hand_over(draft_harvest(config, harvest), config), True)
