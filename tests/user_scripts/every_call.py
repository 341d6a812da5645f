"""Every call of the Python face, as a user would write it: it runs, and passes a type checker in strict mode."""

import numpy as np

import sparse_probing as sp

dataset = sp.make_dataset("natural_lang_id", tokenizer="demo")
print(dataset)
store = sp.harvest(dataset, model="demo", aggregation="mean")
print(store, store.layer(2).shape)
X, y, groups = store.rows_of(dataset, "French", layer=2)
print(X.shape, y.shape, groups.shape)

result = sp.probe(store, dataset, "heuristic_sparsity_sweep", max_k=8, layers=(1, 2))
print(result, result.path)
print(result.best_neurons())
print(len(result.rows), len(result.ranked_neurons()), len(result._repr_html_()))  # pyright: ignore[reportPrivateUsage]
figure = result.plot_f1_over_k()
print(figure)
probe = result.saved_probe("French", layer=2, k=8)
print(probe, probe.score(["Bonjour tout le monde"]), probe.score(["Bonjour tout le monde"], per_token=True))
print(probe.predict(["Bonjour tout le monde", "Good morning"]))
assert result.path is not None
print(sp.load_result(result.path))

neurons = sp.load_neurons("demo", "natural_lang_id", feature="German", layer=2)
print(len(neurons))

of_arrays = sp.probe(X, y, groups=groups, study="l1_path")
print(of_arrays)
print(sp.probe(X, np.where(y > 0, "French", "other"), "enumerate_monosemantic", n_neurons=3).best_neurons())
estimator = sp.TopKProbe(k=4).fit(X, y)
print(estimator, sp.SingleNeuronProbe().fit(X, y), sp.__version__)
print(sp.open_store(store.path), sp.ProbingConfig.from_flags(max_k=8).search.max_k)
try:
    sp.probe(store, dataset, "l1_paths")
except sp.SparseProbingError as error:
    print(error)
