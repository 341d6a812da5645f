"""The data set and the model of stage 1: loaded, checked to fit each other, and identified by a fingerprint."""

from __future__ import annotations

from typing import Any

from probing_datasets.building.tokenization import tokenizer_hash
from probing_datasets.feature_dataset import FeatureDataset, load_feature_dataset
from probing_datasets.foundation.errors import ModelError
from probing_datasets.model_names import model_identity
from sparse_probing.config import ActivationsConfig, ForwardPassConfig
from sparse_probing.models import LanguageModel, load_model, resolved_device


def load_inputs(
    activations: ActivationsConfig,
    forward_pass: ForwardPassConfig,
    weights: bool = True,
    model: LanguageModel | None = None,
    dataset: FeatureDataset | None = None,
) -> tuple[FeatureDataset, LanguageModel]:
    """Load a data set and a model, and check that they fit.

    Parameters
    ----------
    activations : ActivationsConfig
        Names the model and the data set.
    forward_pass : ForwardPassConfig
        Device and precision of the model.
    weights : bool
        Whether to load weights. A model without weights loads in seconds and cannot run.
    model : LanguageModel, optional
        The model, when it is in memory already.
    dataset : FeatureDataset, optional
        The data set, likewise.

    Raises
    ------
    DatasetError, ModelError
        When the data set or the model does not exist, or they do not fit.
    """
    if dataset is None:
        dataset = load_feature_dataset(activations.feature_dataset, activations.feature_dataset_dir)
    if model is None:
        model = load_model(
            activations.model,
            activations.revision,
            activations.random_init,
            activations.seed,
            forward_pass.device,
            forward_pass.dtype,
            device_map=forward_pass.device_map,
            quantization=forward_pass.quantization,
            weights=weights,
            trust_remote_code=forward_pass.trust_remote_code,
        )
    check_fit(dataset, model)
    return dataset, model


def check_fit(dataset: FeatureDataset, model: LanguageModel) -> None:
    """Raise ModelError when the tokenizer of the data set is another one, or its sequences or ids are too large."""
    d = dataset.description
    if tokenizer_hash(model.tokenizer) != d.tokenizer_hash:
        raise ModelError(
            f"{d.name} was tokenized with {d.tokenizer!r}, whose tokenizer differs from that of {model.name!r}. "
            f"Make the data set again with --tokenizer {model.name}."
        )
    longest = int(dataset.lengths.max())
    if longest > model.context_length:
        raise ModelError(
            f"{d.name} has sequences of {longest} tokens, and {model.name!r} takes {model.context_length}. "
            f"Make the data set again with --context_length {model.context_length}."
        )
    n_embeddings = model.model.get_input_embeddings().weight.shape[0]  # type: ignore[union-attr]
    if dataset.largest_token >= n_embeddings:
        raise ModelError(
            f"{d.name} has the token id {dataset.largest_token}, and the embedding of {model.name!r} has "
            f"{n_embeddings} rows: its tokenizer is larger than the model. Resize the embedding, or use the tokenizer "
            "of the model."
        )


def fingerprint(
    activations: ActivationsConfig, forward_pass: ForwardPassConfig, dataset: FeatureDataset, model: LanguageModel
) -> dict[str, Any]:
    """Return what decides the activations of every hook point and layer, as JSON.

    Stores and tables record it; results with another fingerprint are not resumed. The device ``auto`` is resolved
    where the model runs: of a model without weights, which can be planned on another machine, it stays ``auto``.
    """
    device = forward_pass.device if model.weight_hash == "" else resolved_device(forward_pass.device)
    code = {"trust_remote_code": True} if forward_pass.trust_remote_code else {}
    return code | {
        "model": model_identity(activations.model),
        "revision": activations.revision,
        "random_init": activations.seed if activations.random_init else None,
        "weight_hash": model.weight_hash,
        "tokenizer_hash": dataset.description.tokenizer_hash,
        "dataset": dataset.name,
        "dataset_hash": dataset.description.content_hash,
        "dtype": forward_pass.dtype,
        "quantization": forward_pass.quantization,
        "device": forward_pass.device_map or device.split(":")[0],
    }
