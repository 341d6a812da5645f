"""The card of a saved probe: what it reads, how good it is, and what its numbers do not say; for README.md."""

from __future__ import annotations

import re

from probing_datasets.foundation.printable import printable
from sparse_probing.saved_probes.probe_data import ProbeData
from sparse_probing.saved_probes.probe_metadata import MODEL_NAME

SHOWN = {
    "binary": ("f1_score", "roc_auc", "average_precision", "precision", "recall", "mcc", "expected_calibration_error"),
    "multiclass": ("accuracy", "balanced_accuracy", "macro_f1_score", "mcc"),
    "regression": ("r2", "rmse", "mae", "pearson", "spearman"),
}
"""Metrics of the table, by kind of feature."""

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&:$@-])")

LIMITS = """\
- The score says how strongly the activations resemble those of the training texts with the feature. It does not say
  that the model uses them.
- Numbers are of texts from the same data set, whose groups were held out. On other texts, languages and lengths the
  probe must be measured again, and its threshold set again.
- A probe of another model, or of the same model with other weights, is another probe: loading checks the weights."""


def escaped(text: object) -> str:
    r"""Return a text that Markdown and HTML show as it is, on one line.

    Examples
    --------
    >>> print(escaped("a|b <i> [x](y)"))
    a\|b \<i\> \[x\]\(y\)
    """
    return MARKDOWN.sub(r"\\\1", printable(text))


def probe_card(probe: ProbeData, place: str = "FOLDER") -> str:
    """Return the text of a card, in Markdown; ``place`` is the folder or repository from which it is loaded."""
    origin = probe.provenance
    folder = probe.model_is_folder or not re.fullmatch(MODEL_NAME, probe.model)
    front = ["---", "library_name: sparse-probing", "tags:", "- sparse-probing", "- linear-probe", "- interpretability"]
    if not folder and "/" in probe.model:
        front.append(f"base_model: {probe.model}")
    model = (
        escaped(probe.model.rstrip("/").rpartition("/")[2]) + " (a local folder)" if folder else escaped(probe.model)
    )
    if probe.revision:
        model += f", revision {escaped(probe.revision)}"
    if probe.random_init is not None:
        model += f", with random weights of seed {probe.random_init}"
    tokens = "single tokens" if probe.aggregation == "none" else f"the {probe.aggregation} over the tokens of a text"
    if probe.is_trained_pooling:
        n_heads = len(probe.values)
        tokens = f"{probe.aggregation} over the tokens of a text, {n_heads} head{'s' if n_heads > 1 else ''}"
    classes = f", {len(probe.classes)} classes ({', '.join(map(escaped, probe.classes))})" if probe.classes else ""
    fit = [escaped(origin.status or "The fit reports no status.")]
    if origin.regularization is not None:
        fit.append(f"C {origin.regularization:.4g}.")
    if origin.gap is not None:
        fit.append(f"Relative distance from the optimum {origin.gap:.1e}.")
    validation = f", {origin.n_validation:,} validation" if origin.n_validation else ""
    rows = f"{origin.n_train:,} training{validation} and {origin.n_test:,} test rows"
    if origin.test_fold is not None:
        rows += f" of test fold {origin.test_fold} of {origin.n_test_folds} (numbered from 0)"
    counts = ", ".join(f"{escaped(name)} {count:,}" for name, count in origin.class_counts.items())
    facts = {
        "Feature": f"{escaped(probe.feature)} ({probe.kind}{classes})",
        "Model": model,
        "Weights": f"`{probe.weight_hash}`",
        "Activations": f"{escaped(probe.hook_point)} of layer {probe.layer}, {tokens}",
        "Probe": f"{escaped(origin.probe)} of {len(probe.support):,} neurons, study {escaped(origin.study)}",
        "Fit": " ".join(fit),
        "Data": f"{escaped(origin.dataset)} (`{origin.dataset_hash[:16]}`)",
        "Texts": escaped(origin.source or "not recorded"),
        "Licence of the texts": escaped(origin.licence or "not recorded"),
        "Split": f"{rows}, whole groups, seed {origin.seed}",
        "Rows of each class": counts or "none",
    }
    if probe.kind == "binary":
        facts["Threshold"] = f"{probe.threshold:.6g} ({escaped(probe.threshold_origin)})"
    if probe.temperature != 1:
        facts["Temperature"] = f"{probe.temperature:.4g}"
    lines = [*front, "---", "", f"# Probe of {escaped(probe.feature)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += ["", "## Numbers on test rows", "", *_metric_table(probe), "", "## Limits", "", LIMITS]
    if all(name.partition("/")[2] == "" for name in origin.metrics):
        lines.append("- The run had no controls: what the same probe reaches on shuffled labels is not known.")
    lines += ["", "## How to load it", "", "```python", "import sparse_probing as sp", ""]
    lines += [f'probe = sp.load_probe("{place}")', 'probe.score(["a text"])', "```", ""]
    return "\n".join(lines)


def _metric_table(probe: ProbeData) -> list[str]:
    """Return a row for each metric: the probe with its interval, and each control."""
    metrics = probe.provenance.metrics
    controls = sorted({name.partition("/")[0] for name in metrics if "/" in name})
    lines = [f"| metric | probe | interval | {''.join(f'{escaped(control)} | ' for control in controls)}".rstrip()]
    lines.append("|---|---|---|" + "---|" * len(controls))
    for metric in SHOWN[probe.kind]:
        name = f"test_{metric}"
        if name not in metrics:
            continue
        ends = [metrics.get(f"{name}_{end}") for end in ("low", "high")]
        interval = "" if None in ends else " to ".join(f"{end:.3f}" for end in ends)
        others = [metrics.get(f"{control}/{name}") for control in controls]
        cells = [metric, f"{metrics[name]:.3f}", interval, *("" if v is None else f"{v:.3f}" for v in others)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
