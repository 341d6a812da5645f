"""Stage 2: fit sparse probes to stored activations, one task per layer and group of features.

``python probing_experiment.py --experiment_type heuristic_sparsity_sweep --model demo --feature_dataset NAME``
fits the probes and prints the best neurons. The same command runs what is missing; finished tasks are skipped.
With ``--cluster slurm`` the tasks become an array of jobs.
"""

from __future__ import annotations

import logging
import sys

from tyro.conf import OmitArgPrefixes

from probing_datasets.foundation.command_line import parse, run_command, with_commands
from probing_datasets.foundation.console import open_console, show
from sparse_probing.commands.early_checks import check_stage_two
from sparse_probing.config import ProbingConfig

logger = logging.getLogger(__name__)

RUN_COMMANDS = {
    "status": "the state of every task",
    "logs KEY": "errors and logs of a task; `logs harvest` those of stage 1",
    "cancel": "cancel the jobs",
    "verify": "prove the lower bounds of optimal probes again",
    "report": "print the tables of a run again",
    "save RUN": "save one probe of a run, to apply it and to share it",
    "runs": "list all runs, with their state and their CSV",
}
"""Commands for runs that were launched: `sparse_probing.commands.runs`, which `--help` need not import."""


def probe_command(arguments: list[str]) -> None:
    """Run the study of a command line and print its best neurons, or submit it."""
    about = "Commands for runs, each with the flags of the run or with --run FOLDER; COMMAND --help shows more:"
    config = parse(OmitArgPrefixes[ProbingConfig], arguments, description=with_commands(__doc__, about, RUN_COMMANDS))
    if config.batch_size is not None:
        logger.warning("--batch_size has no effect in stage 2, which runs no model.")
    check_stage_two(config)
    if config.dry_run:
        from sparse_probing.runs.dry_run import dry_run  # here, so that --help is fast

        show(dry_run(config))
        return
    from sparse_probing.reporting.report import report  # here, so that --help is fast
    from sparse_probing.runs.launch import describe_share, launch, raise_failures
    from sparse_probing.runs.load_results import load_results

    status = launch(config, show)
    if status is None:
        return
    # Of an array of processes that share the tasks, the last one reports the results.
    if config.share.world_size > 1:
        show(describe_share(status, config.share))
    if status.all_done:
        report(status.run, open_console())
    elif status.counts["done"] and config.share.world_size == 1:  # the finished part is printed, and no file written
        report(load_results(status.run, finished_only=True), open_console())
    raise_failures(status, config.share.of(list(status.run.tasks)))


def launched_run_command(name: str, arguments: list[str]) -> None:
    """Run a command for runs that were launched."""
    from sparse_probing.commands import runs  # here, so that --help is fast

    parse(runs.RUN_COMMANDS[name], arguments, prog=f"probing_experiment.py {name}")


def main() -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in {name.partition(" ")[0] for name in RUN_COMMANDS}:
        return run_command(lambda: launched_run_command(arguments[0], arguments[1:]))
    return run_command(lambda: probe_command(arguments))


if __name__ == "__main__":
    sys.exit(main())
