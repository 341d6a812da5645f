"""How long finished tasks took, from which the duration of others is estimated."""

from __future__ import annotations

from probing_datasets.foundation.errors import SparseProbingError
from sparse_probing.config import StudyName
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, load_run
from sparse_probing.runs.tasks.published_results import check_results


def seconds_per_feature(run: Run) -> dict[StudyName, list[float]]:
    """Return the seconds per feature of finished tasks by study: of this run or, where it has none, of one beside it.

    The runs beside it probe the same activations.
    """
    records = sorted(run.folder.parent.glob(f"*/*/{RUN_RECORD}"), key=lambda record: record.parent != run.path)
    of_studies: dict[StudyName, list[float]] = {}
    for record in records:
        try:
            other = load_run(record.parent)
        except SparseProbingError:  # another run that is damaged does not stop this one
            continue
        seconds: dict[StudyName, list[float]] = {}
        for key, result in check_results(other.path, other.tasks).items():
            if result.intact:
                task = other.tasks[key]
                seconds.setdefault(task.study, []).append(result.seconds / len(task.features))
        of_studies = seconds | of_studies
    return of_studies
