"""Write docs/result_rows.md, the page of the columns of a run's rows, from their definitions in the code.

::

    python analysis/write_result_rows_page.py
"""

from pathlib import Path

from sparse_probing.studies.base.result_rows import COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "result_rows.md"

HEAD = """# Columns of result rows

A run has one row per fitted probe, in `tasks/<key>/rows.parquet`; `sp.load_result(folder).rows` is all of them as a
DataFrame. What does not apply to a probe is null. `train_...` is a score on training rows, `test_...` on rows of groups
that were held out. `analysis/write_result_rows_page.py` writes this page.

| column | type | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    lines = [
        f"| `{name}` | {kind} | {meaning.replace('|', chr(92) + '|')} |" for name, (kind, meaning) in COLUMNS.items()
    ]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
