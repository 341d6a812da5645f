"""Estimate what a harvest would store and whether there is room, without weights and without writing anything."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_probing.activations.harvesting.existing_stores import has_other_store
from sparse_probing.activations.harvesting.prepare import prepare_harvest
from sparse_probing.activations.stores import STORES
from sparse_probing.activations.stores.manifest.disk_space import required_bytes
from sparse_probing.activations.stores.plan import StorePlan
from sparse_probing.activations.stores.storage.files import free_space
from sparse_probing.activations.stores.storage.locations import StorePath
from sparse_probing.config import HarvestConfig
from sparse_probing.config.result_folders import model_name

OTHER_STORE = "  ANOTHER STORE exists there. It is refused, or deleted with --overwrite."


@dataclass(frozen=True)
class StoreEstimate:
    """The store of one hook point, as it would be when complete."""

    hook_point: str
    path: StorePath
    plan: StorePlan
    n_files: int
    needed: int
    """Bytes on the disk, a little more than will be used."""
    has_other_store: bool
    """Whether a store with other settings exists there: it is refused, or deleted with ``--overwrite``."""

    @property
    def layer_bytes(self) -> int:
        """Bytes of the activations of one layer."""
        return self.plan.nbytes // len(self.plan.layers)


@dataclass(frozen=True)
class DryRun:
    """The stores of a harvest; its text is lines for a person."""

    model: str
    stores: tuple[StoreEstimate, ...]
    free: int | None
    """Bytes that are free where the stores would be; None behind a URL."""

    @property
    def needed(self) -> int:
        """Bytes of all stores."""
        return sum(store.needed for store in self.stores)

    @property
    def fits(self) -> bool:
        """Whether there is room for all stores."""
        return self.free is None or self.needed <= self.free

    def __str__(self) -> str:
        """Return what each store would be, and whether there is room."""
        lines = [f"what a harvest of {self.model} would store"]
        for store in self.stores:
            plan = store.plan
            lines += [
                f"{store.hook_point}: {store.path}",
                f"  {plan.n_rows:,} rows, width {plan.widths[store.hook_point]:,}, {len(plan.layers)} layers",
                f"  {plan.n_parts:,} parts, {store.n_files:,} files",
                f"  {_gb(store.layer_bytes)} GB a layer, {_gb(store.needed)} GB needed",
                *([OTHER_STORE] if store.has_other_store else []),
            ]
        free = "" if self.free is None else f", {_gb(self.free)} GB free"
        too_little = "" if self.fits else ", which is TOO LITTLE"
        lines.append(f"{_gb(self.needed)} GB needed{free}{too_little}. Nothing was written.")
        return "\n".join(lines)


def dry_run(config: HarvestConfig) -> DryRun:
    """Plan a harvest; nothing is written, and the weights of the model are not loaded."""
    prepared = prepare_harvest(config, weights=False)
    stores = tuple(
        StoreEstimate(
            hook_point,
            prepared.path(hook_point),
            plan,
            STORES[config.storage.store].n_files(plan),
            required_bytes(plan),
            has_other_store(prepared, hook_point),
        )
        for hook_point, plan in prepared.plans.items()
    )
    return DryRun(model_name(config.activations), stores, free_space(config.store_folder()))


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.3f}"
