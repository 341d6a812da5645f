"""Both stages at once on Slurm: stage 1, and stage 2, which starts when stage 1 has ended well.

The key of a task contains the digest of the store, which is known only when the store is complete. The jobs of
stage 2 therefore create the run themselves when they start, all of them the same run, and each runs its share of
the tasks.
"""

from __future__ import annotations

from sparse_probing.config import HarvestConfig, ProbingConfig
from sparse_probing.config.result_folders import harvest_submissions_folder
from sparse_probing.runs.harvest_first import expected_tasks
from sparse_probing.runs.locks import locked
from sparse_probing.runs.planning.run_record import settings_folder
from sparse_probing.runs.slurm.job_arrays import harvest_array, share_array
from sparse_probing.runs.slurm.sbatch import submit_array
from sparse_probing.runs.slurm.squeue import live_submissions
from sparse_probing.runs.submissions import LAUNCH_LOCK, Submission


def submit_both_stages(config: ProbingConfig, harvests: list[HarvestConfig]) -> list[Submission]:
    """Submit stage 1, where ``--harvest`` requests it, and stage 2.

    Nothing is submitted while an earlier submission of the same settings is queued or running.

    Parameters
    ----------
    config : ProbingConfig
    harvests : list of HarvestConfig
        Those whose store is not complete.

    Returns
    -------
    list of Submission
        The new submissions.
    """
    folder = settings_folder(config)
    submissions: list[Submission] = []
    with locked(folder / LAUNCH_LOCK):
        if live_submissions(folder):
            return []
        n_tasks = expected_tasks(config, harvests[0])
        first_jobs: list[str | None] = []
        for harvest in harvests if config.harvest_first.harvest else ():
            harvest_folder = harvest_submissions_folder(harvest.activations)
            with locked(harvest_folder / LAUNCH_LOCK):
                # Somebody else may have submitted the harvest of the same store.
                if live := live_submissions(harvest_folder):
                    first_jobs.append(live[-1].job_id)
                else:
                    array = harvest_array(harvest, config.harvest_first, config.slurm)
                    submissions.append(submit_array(array))
                    first_jobs.append(submissions[-1].job_id)
        array = share_array(config, n_tasks, tuple(filter(None, first_jobs)))
        submissions.append(submit_array(array))
    return submissions
