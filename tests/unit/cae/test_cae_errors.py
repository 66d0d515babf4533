"""A file that does not fit: one line that names file, line and column, and says what to do."""

import gzip

import numpy as np
import pytest

from understudy.cae.read import ReadOptions, Roles, read_cases
from understudy.errors import DataError

ROLES = Roles(num_control=1, num_pred=1)
STEPS = [None, 3.0]


def body(n=12, **replace):
    """Twelve good rows; ``row5="..."`` puts another line in the place of row 5 (0-based)."""
    return [replace.get(f"row{k}", f"{k},{k + 0.5},{-k}") for k in range(n)]


def case(path, rows, head=("t,u,y", "s,V,A")):
    path.write_text("\n".join([*head, *rows]) + "\n")


def refusal(path, roles=ROLES, options=None):
    with pytest.raises(DataError) as caught:
        read_cases(path, roles, options or ReadOptions())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_folder_and_no_files(tmp_path):
    assert refusal(tmp_path / "gone") == f"dataset.path: there is no folder or file '{tmp_path / 'gone'}'"
    assert "dataset.path: no *.csv" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv: the file is empty"),
        ("\n \n", "a.csv: the file is empty"),
        ("t,u,y\n", "a.csv: column names but no row of numbers"),
        ("t,u,y\ns,V,A\n", "a.csv: column names but no row of numbers"),
        ("0,1,2\n1,2,3\n", "a.csv, line 1: no column names"),
        ("t,u,y\ns,V,A\n0,1,2\n", "a.csv: 1 row of numbers"),
        (
            "t u y\n0 1 2\n",
            "a.csv, line 1: no comma, semicolon or tab between column names; set dataset.delimiter",
        ),
        ("t,u,y\ns,V,A,kW\n0,1,2\n1,1,2\n", "a.csv, line 2: 4 units for 3 columns"),
    ],
)
def test_files_without_a_case(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("row", [1, 3, 11])
@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("{k},oops,1", ["column 'u'", "'oops' is not a number"]),
        ("{k},1,1.5.2x", ["column 'y'", "'1.5.2x' is not a number", "leave the cell empty"]),
        ("{k}s,1,2", ["column 't'", "is not a number"]),
        ("{k},1_0,2", ["column 'u'", "'1_0'"]),
        ("{k},,2", ["column 'u'", "an empty cell in a control"]),
        ("{k},NaN,2", ["column 'u'", "an empty cell in a control"]),
        ("{k},inf,2", ["column 'u'", "inf is not a finite"]),
        ("{k},1,-inf", ["column 'y'", "-inf is not a finite", "leave the cell empty"]),
        ("{k},1,1.5e39x", ["column 'y'", "'1.5e39x'"]),
        (",1,2", ["column 't'", "the time is empty"]),
        ("nan,1,2", ["column 't'", "the time is empty"]),
        ("{k},1", ["2 cells for 3 columns"]),
        ("{k},1,2,3", ["4 cells for 3 columns"]),
        ("{before},1,2", ["column 't'", "the time repeats"]),
        ("-5,1,2", ["column 't'", "the time goes backwards", "-5 after"]),
    ],
)
def test_bad_row_is_named(tmp_path, step, row, line, parts):
    case(tmp_path / "a.csv", body(**{f"row{row}": line.format(k=row, before=row - 1)}))
    message = refusal(tmp_path, options=ReadOptions(step=step))
    assert f"a.csv, line {row + 3}" in message  # two lines of head, and lines count from 1
    for part in parts:
        assert part in message


def test_value_beyond_single_precision_is_named(tmp_path):
    case(tmp_path / "a.csv", body(row6="6,1e39,0"))
    assert "line 9, column 'u': 1e+39 is not a finite 32-bit number" in refusal(tmp_path)


@pytest.mark.parametrize("bad", ["5,,0", "5,x,0"])
def test_line_numbers_count_blank_lines(tmp_path, bad):
    case(tmp_path / "a.csv", body(row2="\n2,1,1\n\n", row5=bad), head=("", "t,u,y", "", "s,V,A", ""))
    assert "a.csv, line 14, column 'u'" in refusal(tmp_path)


def test_value_under_no_name(tmp_path):
    (tmp_path / "a.csv").write_text("t,u,y,\ns,V,A,\n0,1,2,\n1,1,2,\n2,1,2,9\n")
    assert "a.csv, line 5: 4 cells for 3 columns" in refusal(tmp_path)


def test_counts_that_do_not_fit(tmp_path):
    case(tmp_path / "a.csv", body())
    message = refusal(tmp_path, Roles(num_control=2, num_pred=3))
    assert message == "a.csv: 2 columns beside the time, but dataset.num_control 2 + dataset.num_pred 3 = 5"


def test_names_that_are_not_there(tmp_path):
    case(tmp_path / "a.csv", body(), head=("t,Comp_rpm,Eva_kW", "s,V,A"))
    message = refusal(tmp_path, Roles(controls=("Comp_rmp",), targets=("Eva_kW",)))
    assert message == "a.csv: no column 'Comp_rmp' (dataset.controls); did you mean 'Comp_rpm'?"
    assert "dataset.targets" in refusal(tmp_path, Roles(targets=("kW",)))
    assert "'Eva_kW' is wanted as a control and as predicted" in refusal(
        tmp_path, Roles(controls=("Eva_kW",), targets=("Eva_kW",))
    )
    assert "is the time" in refusal(tmp_path, Roles(controls=("t",), targets=("Eva_kW",)))
    assert "no column 'Time' for dataset.time" in refusal(tmp_path, Roles(targets=("Eva_kW",), time="Time"))


def test_column_without_a_name(tmp_path):
    case(tmp_path / "a.csv", body(), head=("t,,y", "s,V,A"))
    assert "a.csv: column 2 has no name" in refusal(tmp_path)


def test_columns_units_and_order_must_agree_between_cases(tmp_path):
    roles = Roles(num_control=1, num_pred=2)
    rows = [f"{k},1,2,3" for k in range(5)]
    case(tmp_path / "a.csv", rows, head=("t,u,y,z", "s,V,A,K"))
    for head, parts in (
        (("t,u,y,w", "s,V,A,K"), ["b.csv", "a.csv", "'z' missing", "'w' not known"]),
        (("clock,u,z,y", "s,V,K,A"), ["b.csv: column 2", "'z'", "'y' in a.csv", "order"]),
        (("clock,u,y,z", "s,V,mA,K"), ["b.csv", "unit of column 'y'", "'mA'", "'A' in a.csv"]),
    ):
        case(tmp_path / "b.csv", rows, head=head)
        message = refusal(tmp_path, roles)
        assert all(part in message for part in parts), message
    case(tmp_path / "b.csv", [r + ",4" for r in rows], head=("t,u,y,z,extra", "s,V,A,K,-"))
    assert "'extra' not known" in refusal(tmp_path, roles)


def test_unit_of_time_must_be_known(tmp_path):
    case(tmp_path / "a.csv", body(), head=("t,u,y", "deg,V,A"))
    message = refusal(tmp_path)
    assert "'t' is in 'deg'" in message
    assert "dataset.time" in message


def test_case_shorter_than_a_step(tmp_path):
    case(tmp_path / "a.csv", body(4))
    message = refusal(tmp_path, options=ReadOptions(step=10.0))
    assert message == "a.csv: lasts 3 s, less than one step of 10 s (settings.decimate_range)"


def test_bytes_that_are_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes("t [s];T [°C]\n0;1\n1;2\n".encode("latin-1"))
    roles = Roles(targets=("T",))
    assert read_cases(tmp_path, roles, ReadOptions())[0].spec.signals[0].unit == "°C"
    message = refusal(tmp_path, roles, ReadOptions(encoding="utf-8"))
    assert "a.csv, line 1: byte 0xb0 is not utf-8 text; set dataset.encoding" in message
    (tmp_path / "a.csv").write_bytes(b"\xff\xfet\x00;\x00\xd8\xd8")
    assert "not utf-16 text" in refusal(tmp_path, roles)


def test_broken_gzip_and_unreadable_file(tmp_path):
    packed = gzip.compress(("t,u,y\n" + "\n".join(body())).encode())
    for broken in (packed[:-12], packed[:30] + b"x" + packed[31:]):
        (tmp_path / "a.csv.gz").write_bytes(broken)
        assert "a.csv.gz: not a whole gzip file" in refusal(tmp_path)
    (tmp_path / "a.csv.gz").unlink()
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")
    assert "b.csv: cannot be read" in refusal(tmp_path)


def test_two_files_of_one_case(tmp_path):
    case(tmp_path / "a.csv", body())
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert "a.csv and a.csv.gz would both be the case 'a'" in refusal(tmp_path)


@pytest.mark.parametrize("jobs", [1, 3])
def test_skip_leaves_out_and_lists_what_is_bad(tmp_path, jobs):
    for i in range(9):
        case(tmp_path / f"{i}.csv", body(**({"row4": "4,x,0"} if i in (0, 3, 8) else {})))
    case(tmp_path / "5.csv", body(), head=("t,u,y", "s,V,kA"))
    options = ReadOptions(on_bad_case="skip", jobs=jobs)
    table, bad = read_cases(tmp_path, ROLES, options)
    assert table.ids == ("1", "2", "4", "6", "7")
    assert [b.path.name for b in bad] == ["0.csv", "3.csv", "5.csv", "8.csv"]
    assert "0.csv, line 7, column 'u': 'x'" in bad[0].reason
    assert "in 1.csv" in bad[2].reason  # the first good file sets the pattern
    message = refusal(tmp_path, options=ReadOptions(jobs=jobs))
    assert message.startswith("0.csv, line 7")
    assert message.endswith("(dataset.on_bad_case=skip leaves such files out)")


def test_the_first_bad_file_is_named_whatever_the_threads(tmp_path):
    for i in range(12):
        case(
            tmp_path / f"{i:02d}.csv",
            body(4000 if i == 6 else 12, **({"row4": "4,x,0"} if i in (6, 7) else {})),
        )
    assert {refusal(tmp_path, options=ReadOptions(jobs=j))[:6] for j in (1, 2, 4)} == {"06.csv"}


def test_nothing_left_is_an_error(tmp_path):
    for i in range(3):
        case(tmp_path / f"{i}.csv", body(row4="4,x,0"))
    message = refusal(tmp_path, options=ReadOptions(on_bad_case="skip"))
    assert "none of the 3 files" in message
    assert "0.csv, line 7" in message


def test_defects_are_not_taken_for_bad_files(tmp_path, monkeypatch):
    case(tmp_path / "a.csv", body())
    monkeypatch.setattr(np, "searchsorted", None)
    with pytest.raises(TypeError):
        read_cases(tmp_path, ROLES, ReadOptions(step=3.0, on_bad_case="skip"))
