"""What is on record about a task: its attempts, their errors, and the logs of their jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from probing_datasets.foundation.files.regular_files import read_end
from probing_datasets.foundation.printable import printable
from sparse_probing.runs.planning.run_record import Run
from sparse_probing.runs.submissions import (
    END_OF_LOG,
    LOGS,
    SUBMISSIONS,
    Submission,
    job_files,
    read_submissions,
)
from sparse_probing.runs.tasks.attempt_records import attempts_of
from sparse_probing.runs.tasks.published_results import read_record

LAST_LINES = 40
JOB = re.compile(r"\d+(_\d+)?")


def log_of_task(run: Run, key: str) -> Iterator[str]:
    """Yield the lines about a task: its attempts, its result, and the ends of the logs of the jobs that ran it.

    When there is no result, also the logs of the jobs that were given the task and did not start it.
    """
    yield printable(f"task {key}: {run.tasks[key]}, features {', '.join(run.tasks[key].features)}")
    attempts, record = attempts_of(run.path, key), read_record(run.path, key, run.tasks[key])
    for attempt in attempts:
        place = f"{attempt.host}, job {attempt.job or 'none'}, process {attempt.pid}"
        yield printable(f"started {attempt.started} on {place}") + ("" if attempt.message else "; it left no error")
        yield from _printable_lines(attempt.traceback)
    if record is not None:
        yield printable(f"done in {record.seconds} s on {record.host}, job {record.job or 'none'}")

    logs: list[Path] = []
    jobs = [attempt.job for attempt in attempts] + ([record.job] if record else [])
    for job in filter(JOB.fullmatch, dict.fromkeys(filter(None, jobs))):
        logs += sorted((run.folder / SUBMISSIONS).glob(f"*/{LOGS}/{job}_0_log.out"))
    if record is None:
        for submission in read_submissions(run.folder):
            entries = [entry for entry, keys in enumerate(submission.keys_of(run)) if key in keys]
            logs_of_jobs = job_files(run.folder, submission, "log.out")
            logs += [logs_of_jobs[entry] for entry in entries if entry in logs_of_jobs]
    for log in dict.fromkeys(logs):
        yield from _end_of(log)


def log_of_submission(folder: Path, submission: Submission) -> Iterator[str]:
    """Yield the ends of the logs of all jobs of a submission."""
    yield f"{submission.id}, job {submission.job_id}"
    logs = job_files(folder, submission, "log.out")
    for entry in sorted(logs):
        yield from _end_of(logs[entry])


def _end_of(path: Path) -> Iterator[str]:
    try:
        end, is_whole = read_end(path, END_OF_LOG)
    except (OSError, ValueError) as error:
        yield f"{path} cannot be read: {error}"
        return
    lines = _printable_lines(end.decode(errors="replace"))
    of_all = f"of {len(lines)} lines" if is_whole else "lines"
    yield f"{path}, the last {min(LAST_LINES, len(lines))} {of_all}:"
    yield from (f"  {line}" for line in lines[-LAST_LINES:])


def _printable_lines(text: str) -> list[str]:
    return [printable(line.expandtabs()) for line in text.splitlines()]
