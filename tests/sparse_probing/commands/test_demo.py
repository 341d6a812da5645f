"""The demo of the README, on the bundled model: it finds language neurons, and its controls do not."""

from pathlib import Path

import pytest

from sparse_probing.commands.demo import DemoConfig, demo
from sparse_probing.neurons.ranked_neurons import CSV_COLUMNS, best_neurons
from sparse_probing.runs.load_results import load_results


@pytest.mark.slow
def test_the_demo_finds_language_neurons_and_its_controls_do_not(tmp_path: Path, capsys):
    demo(DemoConfig(output_dir=tmp_path))
    printed = capsys.readouterr().out
    for collection, floor, margin in (("natural_lang_id", 0.95, 0.3), ("programming_lang_id", 0.7, 0.1)):
        rows = Path(f"{collection}.demo.256.-1") / "mlp.hook_post.mean"
        (trained,) = (tmp_path / "results/probing/demo/demo" / rows).glob("all_neurons-*/????????")
        (control,) = (tmp_path / "results/probing/demo/demo+random0" / rows).glob("all_neurons-*/????????")
        (sweep,) = (tmp_path / "results/probing/demo/demo" / rows).glob("heuristic_sparsity_sweep-*/????????")
        best = best_neurons(trained)
        random_f1 = best_neurons(control)["test_f1_score"].mean()
        assert len(best) == 9
        assert best["test_f1_score"].mean() > max(floor, random_f1 + margin)
        assert best["control_f1_score"].mean() < 0.3
        assert (trained / "ranked_neurons.csv").read_text().startswith(",".join(CSV_COLUMNS))
        assert (sweep / "f1_over_k.png").read_bytes().startswith(b"\x89PNG")
        assert load_results(sweep)["converged"].all()
        of_random = best_neurons(control).set_index("feature")
        for neuron in best.itertuples():
            untrained = of_random.loc[neuron.feature]
            above = neuron.test_roc_auc > untrained["test_roc_auc"] or neuron.test_f1_score > untrained["test_f1_score"]
            name = f"L{neuron.layer}.{neuron.neuron}" if neuron.found and above else "none found"
            (line,) = [line for line in printed.splitlines() if line.startswith(f"{neuron.feature} ")]
            assert name in line
