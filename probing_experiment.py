"""Stage 2: fit sparse probes to stored activations, one task per layer and group of features.

``python probing_experiment.py --experiment_type heuristic_sparsity_sweep --model demo
--feature_dataset NAME`` fits, publishes and reports; run it again and finished tasks are skipped.

With ``--cluster slurm`` the tasks become an array of jobs. ``status``, ``logs KEY`` and ``cancel``, before the
same flags or before ``--run FOLDER``, look after a run that was launched; ``verify`` proves the lower bounds of
its optimal probes again.
"""

from __future__ import annotations

import sys
from functools import partial

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import run_command
from sparse_probing.config import ProbingConfig

RUN_COMMAND_NAMES = ("status", "logs", "cancel", "verify")

console = Console()


def probe_command(arguments: list[str]) -> None:
    """Run the study of a command line and print its best neurons, or submit it."""
    config = tyro.cli(OmitArgPrefixes[ProbingConfig], args=arguments, description=__doc__)
    if config.dry_run:
        from sparse_probing.runs.dry_run import dry_run  # here, so that --help stays fast

        console.out(dry_run(config), highlight=False)
        return
    from sparse_probing.reporting.report import report  # here, so that --help stays fast
    from sparse_probing.runs.launch import launch, raise_problems

    launched = launch(config, partial(console.out, highlight=False))
    if launched.run is not None and launched.can_report:
        report(launched.run, console)
    raise_problems(launched.problems)


def run_command_of(name: str, arguments: list[str]) -> None:
    """Look after a run: status, logs, cancel, verify."""
    from sparse_probing.runs.commands import RUN_COMMANDS  # here, so that --help stays fast

    tyro.cli(RUN_COMMANDS[name], args=arguments, prog=f"probing_experiment.py {name}")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in RUN_COMMAND_NAMES:
        return run_command(lambda: run_command_of(arguments[0], arguments[1:]))
    return run_command(lambda: probe_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
