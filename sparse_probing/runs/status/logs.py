"""What is known of how a task went: its attempts, their errors, and the logs of their jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparse_probing.runs.planning.run import Run
from sparse_probing.runs.slurm.submissions import LOGS, SUBMISSIONS, Submission, read_submissions, submission_folder
from sparse_probing.runs.tasks.attempts import Attempt, attempts_of
from sparse_probing.runs.tasks.results import read_record

LAST_LINES = 40


def log_of_task(run: Run, key: str) -> Iterator[str]:
    """Yield what is known of a task, in lines."""
    yield f"task {key}: {run.tasks[key]}, features {', '.join(run.tasks[key].features)}"
    record, attempts = read_record(run.path, key), attempts_of(run.path, key)
    for attempt in attempts:
        yield from _describe(attempt)
    if record is not None:
        yield f"done in {record['seconds']} s on {record['host']}, job {record['job'] or 'none'}"
    jobs = [attempt.job for attempt in attempts] + ([record["job"]] if record else _jobs_given(run, key))
    for job in dict.fromkeys(filter(None, jobs)):
        yield from _log_of_job(run.folder, job)


def log_of_submission(folder: Path, submission: Submission) -> Iterator[str]:
    """Yield the ends of the logs of all jobs of a submission."""
    yield f"{submission.job_name}, job {submission.job_id}"
    for path in sorted((submission_folder(folder, submission.id) / LOGS).glob("*.out")):
        yield from _end_of(path)


def _describe(attempt: Attempt) -> Iterator[str]:
    where = f"{attempt.host}, job {attempt.job or 'none'}, process {attempt.pid}"
    yield f"begun {attempt.started} on {where}" + ("" if attempt.message else "; it left no error")
    yield from attempt.traceback.splitlines()


def _jobs_given(run: Run, key: str) -> list[str]:
    """Return the jobs that were to do a task and have not begun it."""
    jobs = []
    for submission in read_submissions(run.folder):
        for index, keys in enumerate(submission.keys_of(run)):
            if key in keys and submission.job_id:
                jobs.append(f"{submission.job_id}_{index}" if submission.n_jobs > 1 else submission.job_id)
    return jobs


def _log_of_job(folder: Path, job: str) -> Iterator[str]:
    for path in sorted((folder / SUBMISSIONS).glob(f"*/{LOGS}/{job}_0_log.out")):
        yield from _end_of(path)


def _end_of(path: Path) -> Iterator[str]:
    lines = path.read_text(errors="replace").splitlines()
    yield f"{path}, the last {min(LAST_LINES, len(lines))} of {len(lines)} lines:"
    yield from (f"  {line}" for line in lines[-LAST_LINES:])
