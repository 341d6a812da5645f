"""The states of the tasks of a run, as a person sees them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probing_datasets.foundation.console import Column, fit_table
from probing_datasets.foundation.printable import printable
from sparse_probing.runs.slurm.squeue import Queue
from sparse_probing.runs.status.run_status import STATES, RunStatus, State
from sparse_probing.runs.submissions import Submission

MOST_LINES = 20
STYLES: dict[State, str] = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "lost": "yellow",
    "died": "red",
    "corrupt": "red",
}


def show_status(status: RunStatus, console: Console) -> None:
    """Print how many tasks are in which state, for every layer and every unfinished feature; then what went wrong."""
    console.print(Text(printable(status.run.path)), soft_wrap=True)
    of_layers: dict[str, Counter[State]] = defaultdict(Counter)
    of_features: dict[str, Counter[State]] = defaultdict(Counter)
    for key, task in status.run.tasks.items():
        of_layers[str(task)][status.tasks[key].state] += 1
        for feature in task.features:
            of_features[feature][status.tasks[key].state] += 1
    of_layers["all"] = Counter(status.counts)
    console.print(_table("task", of_layers, status, console.width))
    unfinished = [name for name, counts in of_features.items() if counts["done"] < counts.total()]
    if unfinished:
        first = {name: of_features[name] for name in unfinished[:MOST_LINES]}
        console.print(_table("feature", first, status, console.width))

    keys = status.keys("failed", "lost", "died", "corrupt")
    for key in keys[:MOST_LINES]:
        task = status.tasks[key]
        reason = f": {task.message.splitlines()[0]}" if task.message else ""
        console.print(Text(printable(f"{task.state} {key} ({status.run.tasks[key]}){reason}")), soft_wrap=True)
    for message in dict.fromkeys(status.tasks[key].message for key in status.keys("unknown")):
        console.print(Text(printable(message)), soft_wrap=True)
    if len(keys) > MOST_LINES:
        console.print(f"and {len(keys) - MOST_LINES} more; --json prints all of them")
    # A feature often fails in every layer for the same reason.
    failures = Counter(failure for task in status.tasks.values() for failure in task.failed_features)
    for (feature, reason), n in sorted(failures.items())[:MOST_LINES]:
        text = f"probes are missing in {n} of {of_layers['all'].total()} tasks: feature {feature}: {reason}"
        console.print(Text(printable(text)), soft_wrap=True)
    if len(failures) > MOST_LINES:
        console.print(f"and {len(failures) - MOST_LINES} more; --json prints all of them")


def describe_submissions(submissions: Iterable[Submission], queue: Queue | None) -> list[str]:
    """Return how many jobs of every submission are in which state, for the submissions that still have live jobs."""
    if queue is None:
        return ["Slurm does not answer."]
    lines = []
    for submission in submissions:
        jobs = queue.get(submission.id, {}).values()
        if any(job.is_live for job in jobs):
            states = ", ".join(f"{n} {state}" for state, n in Counter(job.state for job in jobs).items())
            lines.append(f"{submission.id}, job {submission.job_id}: {states}")
    return lines


def _table(title: str, rows: dict[str, Counter[State]], status: RunStatus, width: int) -> Table:
    columns = [Column(title, list(rows), is_text=True)]
    for state in STATES:
        if status.counts[state]:
            cells = [counts[state] or "" for counts in rows.values()]
            columns.append(Column(state, cells, style=STYLES.get(state, "")))
    return fit_table(columns, width)[0]
