"""The scan accepts a file only if every line of it is plain, and then knows its lines and times."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.cae import sparse
from understudy.cae.header import Header

CELLS = st.sampled_from(["0", "-1.5", "2e-3", "3E+4", "123456.789", "7"])
ODD = st.sampled_from(["", " ", "x", "nan", '"1"', "1 2", "\r"])


def head(delimiter, width):
    return Header(tuple("abcdef"[:width]), ("",) * width, delimiter, "utf-8", width, 0, 1)


def is_plain(text, delimiter, newline, width):
    """The same by hand."""
    lines = text.removesuffix(newline).split(newline)
    rows = [line.split(delimiter) for line in lines]
    return all(len(row) == width and all(set(cell) <= set("0123456789+-.eE") and cell for cell in row)
               for row in rows)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=4, max_size=12),
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
    odd=st.none() | st.tuples(st.integers(0, 99), st.integers(0, 2), ODD),
    cut=st.none() | st.integers(0, 99),
    blank=st.none() | st.integers(0, 99),
    size=st.sampled_from([8, 16, 32, 1 << 18]),
)
def test_accepts_plain_text_and_nothing_else(
    monkeypatch, rows, delimiter, newline, ends, odd, cut, blank, size
):
    monkeypatch.setattr(sparse, "_CHUNK_BYTES", size)
    table = [[f"{k / 10:g}", *row] for k, row in enumerate(rows)]
    if odd is not None:
        table[odd[0] % len(table)][odd[1]] = odd[2]
    lines = [delimiter.join(row) for row in table]
    if cut is not None:
        lines[cut % len(lines)] = delimiter.join(table[cut % len(lines)][:2])
    if blank is not None:
        lines.insert(blank % (len(lines) + 1), "")
    text = newline.join(lines) + (newline if ends else "")
    found = sparse.open_sparse(io.BytesIO(text.encode()), head(delimiter, 3))
    if not is_plain(text, delimiter, newline, 3):
        assert found is None
        return
    np.testing.assert_array_equal(found.time_T, [float(row[0]) for row in table])
    picked = found.take(np.array([0, 2, len(table) - 1]), [2, 1])
    expected = [[float(table[k][j]) for k in (0, 2, len(table) - 1)] for j in (2, 1)]
    np.testing.assert_array_equal(picked, expected)


@pytest.mark.parametrize("shift", range(12))
def test_empty_cell_is_seen_wherever_a_chunk_ends(monkeypatch, shift):
    monkeypatch.setattr(sparse, "_CHUNK_BYTES", 8)
    # As many delimiters as there should be, so that only the neighbours tell.
    text = f"0,1,{'1' * (shift + 1)},2\n1,,2,2\n2,1,2,3\n3,1,2,4\n"
    assert sparse.open_sparse(io.BytesIO(text.encode()), head(",", 4)) is None
    filled = text.replace(",,", ",5,")
    assert sparse.open_sparse(io.BytesIO(filled.encode()), head(",", 4)) is not None


@pytest.mark.parametrize("line", ["1,2,", "1,2,\r", ",2,3", "1,,3", ""])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_empty_cell_is_seen_wherever_it_stands(line, newline, place):
    lines = [f"{k},10,20" for k in range(4)]
    lines.insert(place, line)
    for text in (newline.join(lines), newline.join(lines) + newline):
        assert sparse.open_sparse(io.BytesIO(text.encode()), head(",", 3)) is None or not line
    assert (
        sparse.open_sparse(io.BytesIO(newline.join([*lines[:2], "", *lines[3:]]).encode()), head(",", 3))
        is None
    )


def test_a_number_that_is_none_is_left_to_the_full_parse():
    found = sparse.open_sparse(io.BytesIO(b"0,1\n1,2\n2,1.2.3\n3,4\n4,5\n5,6\n6,7\n"), head(",", 2))
    assert found.take(np.array([0, 2]), [1]) is None
    np.testing.assert_array_equal(found.take(np.array([1, 3]), [1]), [[2, 4]])


def test_a_file_that_became_shorter_is_left_to_the_full_parse():
    file = io.BytesIO(b"0,1\n1,2\n2,3\n3,4\n4,5\n5,678\n")
    found = sparse.open_sparse(file, head(",", 2))
    file.truncate(24)
    assert found.take(np.array([0, 5]), [1]) is None
    np.testing.assert_array_equal(found.take(np.array([0, 4]), [1]), [[1, 5]])


@pytest.mark.parametrize("size", [8, 16, 1 << 18])
def test_rows_far_apart_are_fetched_piece_by_piece(monkeypatch, size):
    monkeypatch.setattr(sparse, "_CHUNK_BYTES", size)
    text = "".join(f"{k},{k * k}\n" for k in range(500))
    found = sparse.open_sparse(io.BytesIO(text.encode()), head(",", 2))
    rows = np.array([0, 1, 2, 40, 41, 250, 499])
    np.testing.assert_array_equal(found.take(rows, [1]), [rows**2])
