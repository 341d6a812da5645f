"""Draw docs/f1_over_k.png, the figure of the README, from the sweep over natural languages of ``make demo``.

::

    make demo
    python analysis/draw_f1_over_k.py
"""

from pathlib import Path

import sparse_probing as sp

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "demo_output" / "results" / "probing" / "demo" / "demo"

if __name__ == "__main__":
    (record,) = RUNS.glob("natural_lang_id.*/*/heuristic_sparsity_sweep-*/*/run.json")
    sp.load_result(record.parent).plot_f1_over_k().savefig(ROOT / "docs" / "f1_over_k.png", dpi=150)
