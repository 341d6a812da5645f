"""Finished and unfinished results of both stages, damaged or forged in every way, then checked, read and made again.

Every result is made in a process that is killed with SIGKILL when it has put a number of files into place, or
not killed. One file is then damaged, and the commands that check, read and make the result are run. The numbers
must be those of an undisturbed run, or a command must refuse in one sentence; after the damage is undone, the
same command must complete the result without loss. Nothing may be written outside of the working folder, and
every command must answer. The exit status is 1 when a claim fails.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import tyro

from benchmarks import _fault_subjects as fault_subjects
from benchmarks._command_processes import Outcome, import_once, run_process
from benchmarks._fault_subjects import Line, Subject
from benchmarks._faults import DAMAGE, ESCAPED, copy_tree, files_below, forge, listing
from benchmarks._report import print_table

Verdict = Literal[
    "same numbers", "refused", "other numbers", "wrong", "missed", "lost", "traceback", "no answer", "outside"
]
HARMLESS = ("same numbers", "refused", "other numbers")
"""All other verdicts are failures. Other numbers are a failure after damage (wrong), and none after a person sealed a
file again with another content. Further failures: a check that found nothing although the result cannot be read
(missed); another result after the damage was undone (lost); an error that is not a sentence; no end; a file outside
of the working folder."""


@dataclass(frozen=True)
class CampaignConfig:
    """Length of the campaign."""

    faults: int = 400
    """Total number, kills included; the subjects have equal shares, and do not depend on each other."""
    seed: int = 0
    """Seed of the moments, the files and the changes."""
    subject: str = ""
    """Only subjects whose name contains this."""


@dataclass
class Tally:
    """What happened to one subject."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    kills: int = 0
    unfinished: int = 0
    finished: int = 0
    forged: int = 0
    failures: list[str] = field(default_factory=list)
    """One line for each."""


class Workplace:
    """The folder ``work`` in which commands run; everything beside it must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.root, self.work, self.states = root / "tried", root / "tried" / "work", root / "states"
        self.work.mkdir(parents=True)
        self.states.mkdir()
        (self.root / "bystander.txt").write_text("not ours")
        fault_subjects.make_inputs(self.work)
        self.environment = {
            "RESULTS_DIR": "results",
            "FEATURE_DATASET_DIR": "feature_datasets",
            "INTERPRETABLE_NEURONS_DIR": "interpretable_neurons",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }
        self.keep("inputs")

    def keep(self, name: str) -> None:
        """Keep the state of the working folder."""
        copy_tree(self.work, self.states / name)

    def restore(self, name: str) -> None:
        """Return to a kept state."""
        copy_tree(self.states / name, self.work)

    def run(self, line: Line, kill_after: int | None = None) -> Outcome:
        """Run a command."""
        return self._run(partial(fault_subjects.call, line), kill_after)

    def read(self, subject: Subject) -> Outcome:
        """Read the numbers of a subject; the last line printed is their digest."""
        return self._run(partial(fault_subjects.read, subject), None)

    def _run(self, call: Callable[[], int], kill_after: int | None) -> Outcome:
        return run_process(call, self.work, self.environment, kill_after)

    def outside(self) -> dict[str, tuple[int, int]]:
        """Return what is beside the working folder, and in the folder above."""
        beside = {
            k: v for k, v in listing(self.root).items() if not k.startswith((str(self.work), str(self.root / "output")))
        }
        above = {str(path): (0, 0) for path in (*self.root.parent.iterdir(), ESCAPED) if path.exists()}
        return beside | above


def try_subject(place: Workplace, subject: Subject, n_faults: int, generator: random.Random) -> Tally:
    """Kill and damage one subject a number of times."""
    tally = Tally()
    place.restore("inputs")
    for line in subject.before:
        _must_succeed(place.run(line), line)
    place.keep("before")
    moments = _count_moments(place, subject)
    place.keep("finished")
    expected = place.read(subject)
    _must_succeed(expected, ("read",))
    kills = [round(1 + i * (moments - 1) / 7) for i in range(8)] if moments > 1 else [1]
    plan = list(_plan(n_faults, sorted(set(kills))))
    for moment, kind in plan:
        name = f"killed at {moment}" if moment else "finished"
        if moment and not (place.states / name).exists():
            place.restore("before")
            place.run(subject.make, moment)
            place.keep(name)
        place.restore(name)
        verdict, detail = _try_fault(place, subject, kind, moment, expected.printed.split()[-1], generator)
        tally.verdicts[verdict] += 1
        tally.kills += kind == "kill"
        tally.forged += kind == "forged"
        tally.unfinished += kind in DAMAGE and moment > 0
        tally.finished += kind in DAMAGE and moment == 0
        if verdict not in HARMLESS:
            tally.failures.append(f"{subject.name}, {name}, {kind}: {verdict}: {detail}")
            print(tally.failures[-1], flush=True)
    for kept in place.states.iterdir():
        if kept.name != "inputs":
            shutil.rmtree(kept)
    return tally


def _plan(n_faults: int, moments: list[int]) -> Iterator[tuple[int, str]]:
    """Yield moments (0: finished) and kinds of faults, so that every kind meets unfinished and finished results."""
    kinds: list[tuple[int, str]] = [(moment, "kill") for moment in moments]
    unfinished = cycle(moments)
    rounds = [pair for kind in DAMAGE for pair in ((0, kind), (-1, kind))] + [(0, "forged")] * 8
    for moment, kind in islice(cycle(rounds), max(0, n_faults - len(kinds))):
        kinds.append((next(unfinished) if moment else 0, kind))
    yield from kinds[:n_faults]


def _try_fault(
    place: Workplace, subject: Subject, kind: str, moment: int, expected: str, generator: random.Random
) -> tuple[Verdict, str]:
    """Damage a file, check, read, make again, undo the damage and make again; return the verdict and its reason."""
    files, before = files_below(place.work / subject.folder), place.outside()
    damaged, original, outcomes = None, b"", []
    if kind == "forged":
        files = [path for path in files if path.suffix == ".json" and path.read_bytes()[:1] in (b"{", b"[")]
    files = [path for path in files if path.stat().st_size]
    if kind != "kill" and files:
        damaged = generator.choice(files)
        original = damaged.read_bytes()
        (forge if kind == "forged" else DAMAGE[kind])(damaged, generator)
    where = str(damaged.relative_to(place.work)) if damaged else ""

    checks = [place.run(line) for line in subject.checks] if kind != "kill" else []
    first = place.read(subject)
    made = place.run((*subject.make, *subject.repair))
    last = place.read(subject)
    outcomes = [*checks, first, made, last]
    for outcome in outcomes:
        if outcome.ending in ("traceback", "no answer"):
            return outcome.ending, f"{where}: {outcome.printed[-600:]}"
    if (after := place.outside()) != before:
        return "outside", f"{where}: {sorted(after.items() ^ before.items())}"
    if kind == "forged":  # a person who can seal a file can change what it says
        has_changed = last.ending == "done" and _digest(last) != expected
        return ("other numbers" if has_changed else "refused" if last.ending != "done" else "same numbers"), ""
    for outcome in (first, last):
        if outcome.ending == "done" and _digest(outcome) != expected:
            return "wrong", where
    says_intact = all(each.ending == "done" and "missing" not in each.printed for each in checks)
    if moment == 0 and checks and first.ending == "refused" and says_intact:
        return "missed", f"{where}: {first.printed[-300:]}"
    if last.ending == "done":
        return "same numbers", ""
    if damaged is not None:  # refused: undo the damage
        if damaged.is_dir():
            shutil.rmtree(damaged)
        damaged.unlink(missing_ok=True)
        damaged.parent.mkdir(parents=True, exist_ok=True)
        damaged.write_bytes(original)
    made, last = place.run((*subject.make, *subject.repair)), place.read(subject)
    if last.ending == "done" and _digest(last) == expected:
        return "refused", ""
    return "lost", f"{where}: {made.printed[-300:]} {last.printed[-300:]}"


def _count_moments(place: Workplace, subject: Subject) -> int:
    """Make the subject; return how many files it puts into place."""
    place.restore("before")
    before = listing(place.work)
    _must_succeed(place.run(subject.make), subject.make)
    return len(listing(place.work).keys() - before.keys())


def _digest(outcome: Outcome) -> str:
    return outcome.printed.split()[-1]


def _must_succeed(outcome: Outcome, line: Line) -> None:
    if outcome.ending != "done":
        raise RuntimeError(f"{' '.join(line)}: {outcome.ending}\n{outcome.printed}")


def _as_row(name: str, tally: Tally) -> dict[str, object]:
    failed = {v: n for v, n in tally.verdicts.items() if v not in HARMLESS}
    return {
        "result": name,
        "kills": tally.kills,
        "damaged unfinished": tally.unfinished,
        "damaged finished": tally.finished,
        "forged": tally.forged,
        "same numbers": tally.verdicts["same numbers"],
        "refused": tally.verdicts["refused"],
        "other numbers (forged)": tally.verdicts["other numbers"],
        "failures": ", ".join(f"{v} {n}" for v, n in failed.items()) or 0,
    }


def main(config: CampaignConfig) -> int:
    """Run a campaign and print its table; return 1 when a claim fails, otherwise 0."""
    chosen = [subject for subject in fault_subjects.subjects() if config.subject in subject.name]
    print(f"seed {config.seed}\n", flush=True)
    import_once()
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder))
        for number, subject in enumerate(chosen):
            share = config.faults * (number + 1) // len(chosen) - config.faults * number // len(chosen)
            generator = random.Random(f"{config.seed} {subject.name}")  # noqa: S311 (chooses what is damaged)
            tallies[subject.name] = try_subject(place, subject, share, generator)
            print(f"{subject.name}: {share} faults, {len(tallies[subject.name].failures)} failures", flush=True)
    print_table([_as_row(name, tally) for name, tally in tallies.items()])
    return 1 if any(tally.failures for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(CampaignConfig, description=__doc__)))
