"""The command that trains probes while the model runs: show what will be done, do it, show the measures."""

from __future__ import annotations

from collections.abc import Callable

from sparse_probing.config import OnlineConfig
from sparse_probing.online.metrics import ranges_over_layers
from sparse_probing.online.online_run import METRICS, ROWS, OnlineRun
from sparse_probing.online.places import size_in_words
from sparse_probing.online.prepare import prepare_online
from sparse_probing.online.streaming.stream_plan import bytes_of_stream, plan_stream
from sparse_probing.online.train_online import run_online

SHOWN = ("place", "pooling", "label_set", "loss", "accuracy", "f1", "roc_auc", "shuffled_accuracy", "n_test", "status")
"""Columns of the printed frame; the others are in Python."""

MOST_SHOWN = 40
"""Probes that are printed one by one."""

Show = Callable[[object], object]


def train_command(config: OnlineConfig, show: Show) -> None:
    """Train the probes of a configuration; with ``--dry_run`` only say which, and what memory they need."""
    prepared = prepare_online(config, weights=not config.dry_run)
    show(prepared.summary())
    if config.dry_run:
        if config.learner != "rows":
            needed = bytes_of_stream(prepared, plan_stream(prepared))
            show(f"{size_in_words(needed)} of what the learners and the validation rows keep")
        show("Nothing was written.")
        return
    if not run_online(prepared):
        share = config.share
        show(f"process {share.rank} of {share.world_size} has read its texts; the last one trains the probes")
        return
    run = OnlineRun.open(prepared.folder, prepared.parts, prepared.model)
    if len(run.metrics) <= MOST_SHOWN:
        show(run.metrics[list(SHOWN)].to_string(index=False, float_format="{:.3f}".format))
    else:
        show(f"{len(run.metrics):,} probes, lowest to highest over layers on test rows, which choose no layer:")
        show(ranges_over_layers(run.metrics).to_string(index=False))
    if config.then:
        show(f"rows of {', '.join(config.then)}: {run.path / ROWS}, or sp.load_online({str(run.path)!r}).all_rows")
    for name, reason in run.failures.items():
        show(f"no probe: {name}: {reason}")
    show(f"measures of every probe: {run.path / METRICS}")
    show(f"complete: {run.path}")
