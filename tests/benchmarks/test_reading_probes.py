"""The benchmark of reading probes at a tiny size: the converged objective is the lowest, and seconds are scaled."""

from benchmarks._report import Seconds
from benchmarks.reading_probes import ReadingBenchmark, as_written, compare


def test_the_converged_objective_is_below_that_of_the_loop():
    config = ReadingBenchmark(n_rows=210, width=40, collated_layers=2, epochs=5, repeats=1, grid=False)
    rows = {str(row["contender"]): row for row in compare(config)}
    assert float(str(rows["converged"]["objective"])) < float(str(rows["tidy loop"]["objective"]))
    assert float(str(rows["converged"]["largest gap"])) <= 1e-6


def test_the_collation_is_scaled_to_all_layers_and_epochs():
    config = ReadingBenchmark(n_layers=40, collated_layers=4, epochs=50, epochs_as_written=1)
    assert as_written(config, Seconds(1, 1), Seconds(3, 3)) == (1 + 2 * 10) * 50
