"""Probes of a loaded model with random coefficients, for tests of what applies them."""

from dataclasses import replace

import numpy as np

from probing_datasets.building.tokenization import special_frame, tokenizer_hash
from sparse_probing.models import LanguageModel
from sparse_probing.saved_probes.probe_metadata import ProbeOrigin
from sparse_probing.saved_probes.saved_probe import SavedProbe


def random_probe(
    model: LanguageModel,
    feature: str = "German",
    layer: int = 1,
    hook_point: str = "mlp.hook_post",
    classes: tuple[str, ...] = (),
    k: int | None = None,
    seed: int = 0,
    **changes: object,
) -> SavedProbe:
    """Return a probe of k neurons (all by default) of a hook point, on standardised activations."""
    rng = np.random.default_rng(seed)
    width = model.widths([hook_point], [layer])[hook_point]
    k = k or width
    frame = special_frame(model.tokenizer, prepend_bos=True)
    probe = SavedProbe(
        feature=feature,
        kind="multiclass" if classes else "binary",
        classes=classes,
        model=model.name,
        revision=None,
        random_init=None,
        weight_hash=model.weight_hash,
        tokenizer_hash=tokenizer_hash(model.tokenizer),
        dtype="float32",
        layer=layer,
        hook_point=hook_point,
        aggregation="mean",
        prefix=frame.prefix,
        suffix=frame.suffix,
        context_length=model.context_length,
        support=np.sort(rng.choice(width, k, replace=False)),
        coef=rng.normal(size=(len(classes) or 1, k)),
        intercept=rng.normal(size=len(classes) or 1),
        mean=rng.normal(size=k),
        scale=rng.uniform(0.5, 2, size=k),
        link="softmax" if classes else "sigmoid",
        prior=np.zeros(len(classes) or 1),
        temperature=1.0,
        threshold=0.0,
        threshold_origin="the default",
        provenance=ProbeOrigin("made up", "", "dense_probe", "logistic", "converged", 0, 100, 50),
    )
    return replace(probe, **changes)  # type: ignore[arg-type]
