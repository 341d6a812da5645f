"""Train probes on batches as they come, without keeping the rows: least squares from sums, or steps of AdamW.

Validation texts are read first, and only their rows are kept: each check is the loss of all of them, so of whole
groups, never of a share of one batch. Training texts follow in random order, in batches of similar length. A place
whose probes have all stopped is not read any more, so layers above the last place that still learns are not computed.
Test texts are read last and scored by the final probes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from probing_datasets.foundation.errors import ProbeError
from sparse_probing.activations.model_pass.batches import Batch
from sparse_probing.online import pass_over_texts
from sparse_probing.online.learners.adamw import AdamW
from sparse_probing.online.learners.attention import AttentionFit, AttentionSettings
from sparse_probing.online.learners.averaged_adamw import AdamWSettings
from sparse_probing.online.learners.label_sets import OnlineFit
from sparse_probing.online.learners.losses import SetLosses
from sparse_probing.online.learners.moments import Moments, MomentsSettings
from sparse_probing.online.learners.padded_attention import PaddedAttention
from sparse_probing.online.pass_over_texts import rows_of_batches, text_batches
from sparse_probing.online.places import Place
from sparse_probing.online.prepare import PreparedOnline
from sparse_probing.online.streaming.early_stopping import EarlyStopping, batches_of_checks
from sparse_probing.online.streaming.stream_plan import StreamPlan, plan_stream
from sparse_probing.online.streaming.stream_rows import Scored, balanced_threshold, stream_row
from sparse_probing.online.streaming.stream_state import Learning, StreamState

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1024
"""Validation rows that are scored together."""
LEAST_COST = 5e7
"""Products that take about as long as what a check of a place does besides products."""
COST_OF_LOSSES = 100
"""Products that take about as long as the losses of one score at all temperatures."""


@dataclass
class TrainedStream:
    """All places after the training texts of this process."""

    prepared: PreparedOnline
    plan: StreamPlan
    learning: dict[Place, Learning]
    state: StreamState
    n_batches: int
    """Training batches of all processes."""


def train_stream(prepared: PreparedOnline) -> TrainedStream:
    """Learn from the training texts of this process; the state is saved when all are read.

    Raises
    ------
    SettingsError
        When what the learners keep does not fit into ``--memory``.
    """
    # 1. Labels, one split of whole groups for all label sets, and a learner for each place.
    config, plan = prepared.config, plan_stream(prepared)
    places, device, rows_of = prepared.places, prepared.model.device, plan.matrix.rows
    learning = {place: _start(prepared, plan, place) for place in places}
    state = StreamState(prepared, learning)
    n_done = state.restore()

    # 2. The rows of the validation texts are kept; of several processes, which check nothing, only by the last.
    if n_done is None and config.share.world_size == 1:
        _read_validation(prepared, plan, learning)

    # 3. Training texts, in random order. After some batches the loss of all validation rows is taken, so rarely that
    #    this costs a small share of the pass; a place that has stopped is not read any more.
    all_batches = list(_training_batches(prepared, plan.matrix.parts.train))
    batches = list(config.share.of(all_batches))
    checks = set(batches_of_checks(len(batches), config.warmup_steps, _cost_of_checks(prepared, plan)))
    active = [place for place in places if not learning[place].stopped]
    stream = rows_of_batches(
        prepared, _from(batches, n_done or 0, lambda: active), lambda: active, torch.float32, to_host=False
    )
    with tqdm(total=len(batches), initial=n_done or 0, unit=" batches", desc="train", disable=None) as bar:
        n_batches, n_missing = n_done or 0, 0
        for piece, found in stream:
            for place, (own, rows) in found.items():
                labels = torch.from_numpy(rows_of[place.pooling].labels[own])
                learning[place].learner.update(rows, labels.to(device))
            # A batch that did not fit into memory arrives in pieces; only whole ones count, and are resumed after.
            n_missing = (n_missing or len(batches[n_batches].members)) - len(piece.members)
            if n_missing:
                continue
            n_batches += 1
            for place in found if n_batches in checks else ():
                if learning[place].stoppers:
                    _check(learning[place], plan, place)
            active[:] = [place for place in active if not learning[place].stopped]
            state.finished(n_batches)
            bar.update()
    if n_done != len(batches):
        state.save(len(batches))
    return TrainedStream(prepared, plan, learning, state, len(all_batches))


def score_stream(trained: TrainedStream) -> tuple[list[dict[str, Any]], dict[str, str]] | None:
    """Return the result rows of all places, and why label sets have no probe; None while other processes train."""
    prepared, plan, learning = trained.prepared, trained.plan, trained.learning
    share, device = prepared.config.share, prepared.model.device
    # 4. The sums of all processes are added in the order of their numbers, so that it does not matter which is last.
    if share.world_size > 1:
        n_batches = [len(replace(share, rank=rank).of(range(trained.n_batches))) for rank in range(share.world_size)]
        if not trained.state.restore_sum(n_batches):
            return None
        _read_validation(prepared, plan, learning)

    # 5. The final probes; the ridge or the learning rate, and the temperature, are chosen on validation rows.
    fits: dict[Place, Sequence[OnlineFit | AttentionFit]] = {}
    failures = dict(plan.matrix.failures)
    for place, each in learning.items():
        labels = torch.from_numpy(plan.matrix.rows[place.pooling].labels[plan.validation[place.pooling]])
        try:
            fits[place] = each.learner.finish(each.kept().to(device), labels.to(device))
        except ProbeError as error:
            failures[str(place)] = str(error)

    # 6. Test texts are scored by the final probes.
    return _result_rows(prepared, plan, learning, fits), failures


def _read_validation(prepared: PreparedOnline, plan: StreamPlan, learning: dict[Place, Learning]) -> None:
    """Keep the rows of the validation texts at all places."""
    position = {
        pooling: _positions(len(plan.matrix.rows[pooling].sequence), own) for pooling, own in plan.validation.items()
    }
    for place, each in learning.items():
        each.validation = torch.full(plan.shape_of_validation(place), torch.nan)
    batches = text_batches(prepared, plan.matrix.parts.validation)
    for _, batch in rows_of_batches(prepared, batches, lambda: list(learning), torch.float32):
        for place, (own, rows) in batch.items():
            kept, where = learning[place].kept(), torch.from_numpy(position[place.pooling][own])
            if place.pooling == "attention":
                kept[where, : rows.shape[1]] = rows
            else:
                kept[where] = rows


def _result_rows(
    prepared: PreparedOnline,
    plan: StreamPlan,
    learning: dict[Place, Learning],
    fits: dict[Place, Sequence[OnlineFit | AttentionFit]],
) -> list[dict[str, Any]]:
    """Read the test texts, and return the result row of every probe."""
    matrix, test = plan.matrix, plan.test
    position = {pooling: _positions(len(matrix.rows[pooling].sequence), own) for pooling, own in test.items()}
    scores = {place: [np.empty((len(test[place.pooling]), len(f.intercept))) for f in fits[place]] for place in fits}
    batches = text_batches(prepared, matrix.parts.test)
    for _, batch in rows_of_batches(prepared, batches, lambda: list(fits), torch.float32):
        for place in fits:
            own, rows = batch[place]
            for column, fit in zip(scores[place], fits[place], strict=True):
                column[position[place.pooling][own]] = fit.scores(rows.numpy())
    result = []
    for place in fits:
        rows, train, validation = matrix.rows[place.pooling], plan.train[place.pooling], plan.validation[place.pooling]
        parts_of_kept = learning[place].kept().split(ROWS_AT_ONCE)
        for number, (fit, of_test) in enumerate(zip(fits[place], scores[place], strict=True)):
            labels = rows.labels[:, number]
            of_validation = np.concatenate([fit.scores(part.numpy()) for part in parts_of_kept])
            if prepared.config.learner == "adamw" and matrix.label_sets[number].kind == "binary":
                # Steps that end early leave an intercept that is far from that of classes of equal weight.
                known = ~np.isnan(labels[validation])
                codes = (labels[validation][known] > 0).astype(np.int64)
                threshold = balanced_threshold(of_validation[known, 0], codes)
                fit = replace(fit, intercept=fit.intercept - threshold)
                of_validation, of_test = of_validation - threshold, of_test - threshold
            parts = [
                Scored(labels[own][has], values[has], rows.group[own][has])
                for own, values in ((validation, of_validation), (test[place.pooling], of_test))
                for has in [~np.isnan(labels[own])]
            ]
            if len(parts[1].labels):
                train_labels = labels[train][~np.isnan(labels[train])]
                result.append(stream_row(prepared, matrix, place, number, fit, train_labels, *parts))
    return result


def _start(prepared: PreparedOnline, plan: StreamPlan, place: Place) -> Learning:
    config, matrix = prepared.config, plan.matrix
    labels = matrix.rows[place.pooling].labels[plan.train[place.pooling]]
    width, device = place.location.width, prepared.model.device
    scaling = config.fit.scaling_of_neurons
    learner: Moments | AdamW | PaddedAttention
    if config.learner == "moments":
        learner = Moments(width, matrix.label_sets, MomentsSettings(scaling=scaling), device)
    elif place.pooling == "attention":
        settings = AttentionSettings.of_pass(matrix.label_sets, labels, config.epochs, scaling=scaling)
        learner = PaddedAttention(width, matrix.label_sets, settings, device)
    else:
        settings = AdamWSettings.of_pass(matrix.label_sets, labels, config.epochs, scaling=scaling)
        learner = AdamW(width, matrix.label_sets, settings, device)
    patience = config.effective_patience
    stoppers = [EarlyStopping(patience, 0, config.threshold) for _ in range(matrix.n_sets)] if patience else []
    return Learning(learner, stoppers)


def _training_batches(prepared: PreparedOnline, sequences: NDArray) -> Iterator[Batch]:
    """Yield the batches of all epochs: texts in random order in blocks, by length within a block, batches shuffled."""
    rng, size = np.random.default_rng((prepared.config.activations.seed, 0)), pass_over_texts.BLOCK_SEQUENCES
    for _ in range(prepared.config.epochs):
        order = rng.permutation(sequences)
        for start in range(0, len(order), size):
            batches = list(text_batches(prepared, np.sort(order[start : start + size])))
            yield from (batches[i] for i in rng.permutation(len(batches)))


def _from(batches: list[Batch], start: int, active: Any) -> Iterator[Batch]:
    """Yield batches from a number on, while a place still learns."""
    for batch in batches[start:]:
        if not active():
            return
        yield batch


def _cost_of_checks(prepared: PreparedOnline, plan: StreamPlan) -> float:
    """Return what a check of all places costs, over what it costs to run a batch of texts, both by their products."""
    n_outputs = sum(each.outputs for each in plan.matrix.label_sets)
    of_check = 0.0
    for place in prepared.places:
        width, n_rows = place.location.width, len(plan.validation[place.pooling])
        solving = width**3 / 3 if prepared.config.learner == "moments" else 0  # a Cholesky factor
        of_check += LEAST_COST + solving + 2 * n_rows * (width + COST_OF_LOSSES) * n_outputs
    lengths = prepared.dataset.lengths[plan.matrix.parts.train]
    weights = sum(each.numel() for each in prepared.model.model.base_model.parameters())
    return of_check / (2 * weights * prepared.config.forward_pass.batch_size * float(lengths.mean()))


def _check(each: Learning, plan: StreamPlan, place: Place) -> None:
    """Hand the loss of all validation rows to the stoppers of a place."""
    labels = plan.matrix.rows[place.pooling].labels[plan.validation[place.pooling]]
    scores = each.learner.scores(each.kept().to(each.learner.device)).float().cpu()
    losses = SetLosses(plan.matrix.label_sets, "cpu").tempered_losses(scores, torch.from_numpy(labels), balanced=True)
    for stopper, loss in zip(each.stoppers, losses.tolist(), strict=False):  # controls have none
        stopper.update(loss)


def _positions(n: int, numbers: NDArray) -> NDArray:
    """Return where each of n rows is among some of them."""
    position = np.full(n, -1, np.int64)
    position[numbers] = np.arange(len(numbers))
    return position
