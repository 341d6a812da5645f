"""Labels of features from the values of a column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder, MultiLabelBinarizer

from probing_datasets.building.column_labels import MAX_CLASSES, in_order, label_column, text_of
from probing_datasets.foundation.errors import DatasetError

# Cells; name of the feature; values.
BINARY = {
    "numbers": ([0, 1, 1], "x", [0, 1, 1]),
    "truth": ([True, False, False], "x", [1, 0, 0]),
    "words": (["positive", "negative", "positive"], "x: positive", [1, 0, 1]),
    "numbers in a CSV file": (["10", "9", "9"], "x: 10", [1, 0, 0]),
    "spaces": ([" yes", "no ", "yes"], "x", [1, 0, 1]),
    "whole numbers": ([1.0, 0.0, 1.0], "x", [1, 0, 1]),
    "not quite truth": (["0", "yes", "0"], "x: yes", [0, 1, 0]),
}


@pytest.mark.parametrize("case", BINARY)
def test_two_values(case):
    cells, name, values = BINARY[case]
    (column,) = label_column("x", cells)
    assert (column.name, column.kind) == (name, "binary")
    assert column.values.tolist() == values
    assert column.known.all()


@pytest.mark.parametrize(
    ("cells", "classes", "values"),
    [
        (["joy", "fear", "anger"], ("anger", "fear", "joy"), [2, 1, 0]),
        ([5, 1, 10], ("1", "5", "10"), [1, 0, 2]),
    ],
)
def test_several_values(cells, classes, values):
    (column,) = label_column("x", cells)
    assert (column.name, column.kind, column.classes) == ("x", "multiclass", classes)
    assert column.values.tolist() == values


def test_unknown_cells():
    (column,) = label_column("x", ["a", None, "", float("nan"), "b", "c"])
    assert column.known.tolist() == [True, False, False, False, True, True]
    assert column.classes == ("a", "b", "c")
    assert column.values[column.known].tolist() == [0, 1, 2]


def test_many_numbers_are_a_quantity():
    (column,) = label_column("year", [str(year) for year in range(1900, 1900 + MAX_CLASSES + 1)])
    assert column.kind == "regression"
    assert column.values.tolist() == list(range(1900, 1900 + MAX_CLASSES + 1))
    (column,) = label_column("year", range(MAX_CLASSES))
    assert column.kind == "multiclass"
    (column,) = label_column("word", [f"w{i}" for i in range(100)])
    assert column.kind == "multiclass"


def test_regression_is_chosen_by_its_kind():
    (column,) = label_column("x", ["-1.5", None, 2, 1e3], "regression")
    assert column.values[column.known].tolist() == [-1.5, 2, 1000]
    assert column.classes == ()


def test_two_values_as_several_classes():
    (column,) = label_column("x", ["b", "a"], "multiclass")
    assert (column.kind, column.values.tolist(), column.classes) == ("multiclass", [1, 0], ("a", "b"))


def test_the_positive_label_may_be_chosen():
    (column,) = label_column("x", ["bigram", "not_bigram", None], positive="bigram")
    assert (column.name, column.values.tolist()) == ("x: bigram", [True, False, False])
    assert column.known.tolist() == [True, True, False]
    (column,) = label_column("x", [1, 2, 3, 2], "binary", positive="2")
    assert (column.name, column.values.tolist()) == ("x: 2", [0, 1, 0, 1])
    (column,) = label_column("x", [0, 1], positive="0")
    assert (column.name, column.values.tolist()) == ("x: 0", [1, 0])


def test_lists_of_labels():
    cells = [["joy", "fear"], [], ["fear"], None, ["anger"]]
    columns = label_column("emotion", cells)
    assert [column.name for column in columns] == ["emotion: anger", "emotion: fear", "emotion: joy"]
    assert np.stack([c.values for c in columns], 1).astype(int).tolist() == [
        [0, 1, 1],
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
        [1, 0, 0],
    ]
    assert all(column.known.tolist() == [True, True, True, False, True] for column in columns)


@pytest.mark.parametrize(
    ("cells", "kind", "positive", "message"),
    [
        (["a", "a"], "auto", "", r"labels of 'x' have 1 values \(a\).*--label_column"),
        ([None], "auto", "", r"have 0 values \(none\)"),
        (["a", "b", "c"], "binary", "", r"have 3 values \(a, b, c\).*--positive_label"),
        (["1", "two"], "regression", "", "are not all numbers: 'two'. Use --label_kind multiclass"),
        (["1", "inf"], "regression", "", "are not all numbers: 'inf'"),
        (["a", "b"], "auto", "c", "No row of 'x' has the --positive_label 'c'; it has: a, b"),
    ],
)
def test_values_that_do_not_fit(cells, kind, positive, message):
    with pytest.raises(DatasetError, match=message):
        label_column("x", cells, kind, positive)


@given(st.lists(st.sampled_from("abcde"), min_size=2).filter(lambda cells: len(set(cells)) > 1))
def test_codes_equal_those_of_scikit_learn(cells):
    (column,) = label_column("x", cells)
    encoder = LabelEncoder().fit(cells)
    assert column.kind == "binary" or column.classes == tuple(encoder.classes_)
    assert np.array_equal(column.values, encoder.transform(cells))


@given(st.lists(st.lists(st.sampled_from("abc"), unique=True), min_size=1).filter(lambda cells: any(cells)))
def test_lists_equal_those_of_scikit_learn(cells):
    columns = label_column("x", cells)
    binarizer = MultiLabelBinarizer()
    assert np.array_equal(np.stack([c.values for c in columns], 1), binarizer.fit_transform(cells))
    assert [c.name for c in columns] == [f"x: {label}" for label in binarizer.classes_]


def test_text_and_order_of_values():
    assert [text_of(v) for v in (1, 1.0, 1.5, True, " a ", None, float("nan"))] == [
        "1",
        "1",
        "1.5",
        "True",
        "a",
        "",
        "",
    ]
    assert in_order(["10", "9", "-1.5"]) == ["-1.5", "9", "10"]
    assert in_order(["10", "9", "x"]) == ["10", "9", "x"]
