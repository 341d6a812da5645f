"""What a harvest would store, and whether there is room, found without weights and without writing anything."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from sparse_probing.activations.harvesting.existing_stores import other_stands
from sparse_probing.activations.harvesting.harvest_plan import Harvest, prepare_harvest
from sparse_probing.activations.stores import STORES
from sparse_probing.activations.stores.manifest.disk import required_bytes
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.files import free_space
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import HarvestConfig
from sparse_probing.config.locations import model_name

OTHER = "  ANOTHER STORE stands there: refused, or with --overwrite deleted."


@dataclass(frozen=True)
class StoreEstimate:
    """The store of one hook point, as it would be when complete."""

    hook_point: str
    path: StorePath
    plan: StorePlan
    n_files: int
    needed: int
    """Bytes on the disk, a little more than will be used."""
    other_stands: bool
    """Whether a store of other settings stands there: it is refused, or with ``--overwrite`` deleted."""

    @property
    def layer_bytes(self) -> int:
        """Bytes of the activations of one layer."""
        return self.plan.nbytes // len(self.plan.layers)


@dataclass(frozen=True)
class DryRun:
    """The stores of a harvest; printed by rich as lines of text."""

    model: str
    stores: tuple[StoreEstimate, ...]
    free: int | None
    """Bytes that are free where the stores would lie; None behind a URL."""

    @property
    def needed(self) -> int:
        """Bytes of all stores."""
        return sum(store.needed for store in self.stores)

    @property
    def fits(self) -> bool:
        """Whether there is room for all stores."""
        return self.free is None or self.needed <= self.free

    def __rich__(self) -> Text:
        """Return what each store would be, and whether there is room."""
        title = f"what a harvest of {self.model} would store"
        lines = [title, *map(_lines, self.stores), f"{_room(self)} Nothing was written."]
        return Text("\n".join(lines), overflow="ignore")


def dry_run(config: HarvestConfig) -> DryRun:
    """Plan a harvest; nothing is written, and the weights of the model are not loaded."""
    job = prepare_harvest(config, weights=False)
    stores = tuple(_estimate(job, hook_point, plan) for hook_point, plan in job.plans.items())
    return DryRun(model_name(config.activations), stores, free_space(config.store_folder()))


def _estimate(job: Harvest, hook_point: str, plan: StorePlan) -> StoreEstimate:
    n_files = STORES[job.config.storage.store].n_files(plan)
    path, other = job.path(hook_point), other_stands(job, hook_point)
    return StoreEstimate(hook_point, path, plan, n_files, required_bytes(plan), other)


def _lines(store: StoreEstimate) -> str:
    plan = store.plan
    lines = (
        f"{store.hook_point}: {store.path}",
        f"  {plan.n_rows:,} rows, width {plan.widths[store.hook_point]:,}, {len(plan.layers)} layers",
        f"  {plan.n_parts:,} parts, {store.n_files:,} files",
        f"  {_gb(store.layer_bytes)} GB a layer, {_gb(store.needed)} GB needed",
        *([OTHER] if store.other_stands else []),
    )
    return "\n".join(lines)


def _room(found: DryRun) -> str:
    if found.free is None:
        return f"{_gb(found.needed)} GB needed."
    verdict = "" if found.fits else ", which is TOO LITTLE"
    return f"{_gb(found.needed)} GB needed, {_gb(found.free)} GB free{verdict}."


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.3f}"
