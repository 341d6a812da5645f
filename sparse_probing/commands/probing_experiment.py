"""Stage 2: fit sparse probes to stored activations, one task per layer and group of features.

``python probing_experiment.py --experiment_type heuristic_sparsity_sweep --model demo --feature_dataset NAME``
fits the probes and prints the best neurons. The same command runs what is missing; finished tasks are skipped.
With ``--cluster slurm`` the tasks become an array of jobs.

Commands for a run that was launched, each with the same flags or with ``--run FOLDER`` (and ``--help``):

    status      the state of every task
    logs KEY    errors and logs of a task; ``logs harvest`` those of stage 1
    cancel      cancel the jobs
    verify      prove the lower bounds of optimal probes again
"""

from __future__ import annotations

import sys

import tyro
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import run_command
from probing_datasets.foundation.console import open_console, show
from sparse_probing.config import ProbingConfig

RUN_COMMAND_NAMES = ("status", "logs", "cancel", "verify")


def probe_command(arguments: list[str]) -> None:
    """Run the study of a command line and print its best neurons, or submit it."""
    config = tyro.cli(OmitArgPrefixes[ProbingConfig], args=arguments, description=__doc__)
    if config.dry_run:
        from sparse_probing.runs.dry_run import dry_run  # here, so that --help is fast

        show(dry_run(config))
        return
    from sparse_probing.reporting.report import report  # here, so that --help is fast
    from sparse_probing.runs.launch import launch, raise_failures

    status = launch(config, show)
    if status is None:
        return
    # Of an array of processes that share the tasks, the last one reports.
    if status.counts["done"] and (config.share.world_size == 1 or status.all_done):
        report(status.run, open_console())
    raise_failures(status, config.share.of(list(status.run.tasks)))


def launched_run_command(name: str, arguments: list[str]) -> None:
    """Run status, logs, cancel or verify."""
    from sparse_probing.commands.runs import RUN_COMMANDS  # here, so that --help is fast

    tyro.cli(RUN_COMMANDS[name], args=arguments, prog=f"probing_experiment.py {name}")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in RUN_COMMAND_NAMES:
        return run_command(lambda: launched_run_command(arguments[0], arguments[1:]))
    return run_command(lambda: probe_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
