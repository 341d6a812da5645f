"""The arrays of a run: recorded before they are handed to Slurm, so that whoever comes later finds them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probing_datasets.foundation.errors import SparseProbingError
from sparse_probing.config import ProbingConfig
from sparse_probing.runs.planning.run import Run, settings_folder
from sparse_probing.runs.slurm.sbatch import Array, max_array_size, require_sbatch, submit
from sparse_probing.runs.slurm.submissions import (
    Submission,
    ask_about,
    new_submission,
    record_submission,
    submission_folder,
)


@dataclass(frozen=True)
class Draft:
    """A submission and its array, as they would be."""

    submission: Submission
    array: Array
    folder: Path
    """That of the settings, or of the store."""

    @property
    def place(self) -> Path:
        """Folder of the submission."""
        return submission_folder(self.folder, self.submission.id)


def draft_tasks(run: Run, keys: list[str], config: ProbingConfig) -> Draft:
    """Return the array of some tasks of a run that is planned, as it would be submitted.

    There are more tasks to an entry than asked for where the cluster does not take so many entries.
    """
    size = max(config.execution.tasks_per_job, -(-len(keys) // max_array_size()))
    entries = [keys[i : i + size] for i in range(0, len(keys), size)]
    submission = new_submission("probe", "slurm", len(entries), entries)
    arguments = [[str(run.path.absolute()), entry, submission.id] for entry in entries]
    return draft_probing(config, submission, "run_entry", arguments, size)


def draft_probing(
    config: ProbingConfig,
    submission: Submission,
    function: str,
    arguments: list[list[Any]],
    tasks_per_entry: int,
    after: tuple[str, ...] = (),
) -> Draft:
    """Return an array of stage 2; it waits for ``after`` and for what ``--after`` names."""
    after = (*after, *config.slurm.first_jobs)
    array = Array(function, arguments, submission.job_name, config.slurm.resources, after, tasks_per_entry)
    return Draft(submission, array, settings_folder(config))


def hand_over(draft: Draft, config: ProbingConfig) -> Submission:
    """Record a submission and submit its array.

    Raises
    ------
    SettingsError
        When there is no Slurm here, or it refuses. A record is left only where Slurm has the array all the same,
        or does not say.
    """
    require_sbatch()
    record_submission(draft.folder, draft.submission)
    try:
        job_id = submit(draft.array, config.slurm, draft.place)
    except SparseProbingError:
        if ask_about([draft.submission]) == {}:
            shutil.rmtree(draft.place)
        raise
    submitted = replace(draft.submission, phase="submitted", job_id=job_id)
    record_submission(draft.folder, submitted)
    return submitted
