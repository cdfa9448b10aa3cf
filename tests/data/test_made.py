"""Splits whose rows are made when they are read: in whatever company, a row is the same."""

import numpy as np
import pytest

from prunelab.data.digits import Digits
from prunelab.data.grey_digits import GreyDigits
from prunelab.data.made import Made
from prunelab.data.notes import Notes

SPLITS = [data(train_size=70, test_size=1).train() for data in (Digits, GreyDigits, Notes)]


@pytest.mark.parametrize("split", SPLITS, ids=["digits", "grey digits", "notes"])
def test_rows_are_the_same_in_any_company(split: Made) -> None:
    whole = split[:]
    for rows in (slice(5, 38), [7, 3, 69, 3], slice(0, 1), [-1]):
        some = split[rows]
        for name, values in whole.items():
            assert np.array_equal(some[name], np.asarray(values)[rows])


@pytest.mark.parametrize("split", SPLITS, ids=["digits", "grey digits", "notes"])
def test_one_row_a_column_and_a_table(split: Made) -> None:
    whole = split[:]
    media = split.column_names[0]
    assert all(np.array_equal(split[4][name], values[4]) for name, values in whole.items())
    assert np.array_equal(split[media], whole[media])
    assert np.array_equal(split.table[:][media], whole[media])
    assert (len(split), split.select_columns([media]).column_names) == (70, [media])
