"""Where the tasks of a run stand, as a person sees it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sparse_probing.runs.planning.run import Task
from sparse_probing.runs.slurm.squeue import Queue
from sparse_probing.runs.slurm.submissions import Submission
from sparse_probing.runs.status.status import STATES, RunStatus, State

MOST_LINES = 20
STYLES: dict[State, str] = {"done": "green", "running": "cyan", "failed": "red", "lost": "yellow", "corrupt": "red"}


def show_status(status: RunStatus, console: Console) -> None:
    """Print how many tasks of every layer, and of every feature that is not done, are in which state."""
    console.print(Text(str(status.run.path)), soft_wrap=True)
    by_layer = _count(status, lambda task: [str(task)])
    by_feature = {name: counts for name, counts in _count(status, lambda task: task.features).items() if _open(counts)}
    tables = [_table("task", by_layer, status)]
    if by_feature:
        tables.append(_table("feature", dict(list(by_feature.items())[:MOST_LINES]), status))
    console.print(Group(*tables))
    _show_troubles(status, console)


def describe_submissions(submissions: Iterable[Submission], queue: Queue | None) -> list[str]:
    """Return how many jobs of every submission are in which state, for those that have jobs left."""
    if queue is None:
        return ["Slurm does not answer."]
    lines = []
    for submission in submissions:
        jobs = queue.get(submission.job_name, {}).values()
        if any(job.is_live for job in jobs):
            states = ", ".join(f"{n} {state}" for state, n in Counter(job.state for job in jobs).items())
            lines.append(f"{submission.job_name}, job {submission.job_id}: {states}")
    return lines


def _count(status: RunStatus, names: Callable[[Task], Iterable[str]]) -> dict[str, Counter[State]]:
    counts: dict[str, Counter[State]] = defaultdict(Counter)
    for key, found in status.tasks.items():
        for name in names(status.run.tasks[key]):
            counts[name][found.state] += 1
    return counts


def _open(counts: Counter[State]) -> bool:
    return counts["done"] < counts.total()


def _table(title: str, counts: dict[str, Counter[State]], status: RunStatus) -> Table:
    shown: list[State] = [state for state in STATES if status.counts[state]]
    table = Table(title, box=None, pad_edge=False)
    for state in shown:
        table.add_column(Text(state, STYLES.get(state, "")), justify="right")
    for name, of_name in counts.items():
        table.add_row(Text(name), *(str(of_name[state] or "") for state in shown))
    if title == "task":
        table.add_row("all", *(str(status.counts[state]) for state in shown))
    return table


def _show_troubles(status: RunStatus, console: Console) -> None:
    keys = status.keys("failed", "lost", "corrupt")
    for key in keys[:MOST_LINES]:
        found = status.tasks[key]
        reason = f": {found.message.splitlines()[0]}" if found.message else ""
        console.print(Text(f"{found.state} {key} ({status.run.tasks[key]}){reason}"), soft_wrap=True)
    if len(keys) > MOST_LINES:
        console.print(f"and {len(keys) - MOST_LINES} more; --json names them all")
