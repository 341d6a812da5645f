"""Stage 2: fit sparse probes to stored activations, one task per layer and group of features.

``python probing_experiment.py --experiment_type heuristic_sparsity_sweep --model demo
--feature_dataset NAME`` fits, publishes and reports; run it again and finished tasks are skipped.
"""

from __future__ import annotations

import sys

import tyro
from rich.console import Console

from analysis.report import report
from experiments.cluster.launch import do_tasks, raise_problems
from experiments.cluster.publish import finished_tasks
from experiments.config import ProbingConfig
from probing_datasets.foundation.command_line import run_command


def probe_command(arguments: list[str]) -> None:
    """Run the study of a command line and print its best neurons."""
    config = tyro.cli(ProbingConfig, args=arguments, description=__doc__)
    run, problems = do_tasks(config)
    if finished_tasks(run.path, run.tasks):
        report(run, Console())
    raise_problems(problems)


def main() -> int:
    """Run the command line; return the exit status."""
    return run_command(lambda: probe_command(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
