"""How long finished tasks took, from which the duration of others is estimated."""

from __future__ import annotations

import logging

from sparse_probing.config import StudyName
from sparse_probing.runs.planning.run_record import RUN_RECORD, Run, load_run
from sparse_probing.runs.tasks.published_results import check_results

logger = logging.getLogger(__name__)


def seconds_per_feature(run: Run) -> dict[StudyName, list[float]]:
    """Return the seconds per feature of finished tasks by study: of this run or, where it has none, of one beside it.

    The runs beside it probe the same activations.
    """
    records = sorted(run.folder.parent.glob(f"*/*/{RUN_RECORD}"), key=lambda record: record.parent != run.path)
    of_studies: dict[StudyName, list[float]] = {}
    for record in records:
        try:
            other = load_run(record.parent)
            results = check_results(other.path, other.tasks)
        except Exception as error:  # whatever is wrong with another run, it does not stop this one
            logger.info("%s is not used for estimates: %s", record.parent, error)
            continue
        seconds: dict[StudyName, list[float]] = {}
        for key, result in results.items():
            if result.intact:
                task = other.tasks[key]
                seconds.setdefault(task.study, []).append(result.seconds / len(task.features))
        of_studies = seconds | of_studies
    return of_studies
