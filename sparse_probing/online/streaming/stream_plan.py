"""What a streaming learner reads: labels, one split of whole groups, the rows of each part, and the memory it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from probing_datasets.foundation.errors import SettingsError
from sparse_probing.config.online import PoolingName
from sparse_probing.online.learners.moments import Moments
from sparse_probing.online.places import Place, size_in_words
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.online.streaming.label_matrix import LabelMatrix, label_matrix, rows_of_part
from sparse_probing.probes.inputs.validation import Integers


@dataclass(frozen=True)
class StreamPlan:
    """Labels, split and rows of all label sets."""

    matrix: LabelMatrix
    train: dict[PoolingName, Integers]
    """Numbers of the training rows of each pooling."""
    validation: dict[PoolingName, Integers]
    test: dict[PoolingName, Integers]
    longest_validation: int
    """Tokens of the longest validation text."""

    def shape_of_validation(self, place: Place) -> tuple[int, ...]:
        """Return the shape of the validation rows of a place: of attention pooling texts of tokens."""
        n, width = len(self.validation[place.pooling]), place.location.width
        return (n, self.longest_validation, width) if place.pooling == "attention" else (n, width)


def plan_stream(prepared: PreparedOnline) -> StreamPlan:
    """Return what the learners of all places read.

    Raises
    ------
    SplitError
        When a part would miss a class of a label set.
    SettingsError
        When the sums and the validation rows of all places do not fit into ``--memory``.
    """
    matrix = label_matrix(prepared)
    numbers: list[dict[PoolingName, Integers]] = [
        {pooling: rows_of_part(rows, part) for pooling, rows in matrix.rows.items()}
        for part in (matrix.parts.train, matrix.parts.validation, matrix.parts.test)
    ]
    longest = int(prepared.dataset.lengths[matrix.parts.validation].max(initial=1))
    train, validation, test = numbers
    plan = StreamPlan(matrix, train, validation, test, longest)
    needed = bytes_of_stream(prepared, plan)
    if needed > prepared.config.memory_bytes:
        raise SettingsError(
            f"The learners of {len(prepared.places)} places need {size_in_words(needed)}, and --memory is "
            f"{prepared.config.memory}. Name fewer --layers or --further_locations, lower --validation_frac, or raise "
            "--memory; of sums (--learner moments) each place holds a matrix of width x width."
        )
    return plan


def bytes_of_stream(prepared: PreparedOnline, plan: StreamPlan) -> int:
    """Return the memory of the learners and the validation rows of all places."""
    needed = 0
    for place in prepared.places:
        width, labels = place.location.width, plan.matrix.rows[place.pooling].labels[plan.train[place.pooling]]
        needed += 4 * math.prod(plan.shape_of_validation(place))
        if prepared.config.learner == "moments":
            needed += Moments.memory(width, plan.matrix.label_sets, labels)
        else:
            needed += 64 * width * sum(each.outputs for each in plan.matrix.label_sets)
    # The last of several processes adds the sums of the others to those that it has.
    return needed * (2 if prepared.config.share.world_size > 1 else 1)
