import json

import pytest

from tests.benchmark_scripts import load_benchmark

table = load_benchmark("table")


@pytest.mark.parametrize("name", table.TABLES)
def test_a_guide_has_the_table_of_the_committed_reports(name):
    guide = (table.GUIDES / name).read_text(encoding="utf-8")
    assert table.with_table(guide, table.table(table.TABLES[name])) == guide, "run: python benchmarks/table.py"


def test_rows_by_hand(tmp_path):
    case = {"case": "c", "unit": "s", "ours": 1.0, "peer": 2.5, "ratio": 2.5, "equal": True, "limit": 3}
    not_run = {"case": "GPU: c", "unit": "s", "note": "not run"}
    content = {"benchmark": "data", "device": "d", "versions": {"torch": "2"}, "date": "t", "cases": [case, not_run]}
    (tmp_path / "data_cpu.json").write_text(json.dumps(content))
    lines = table.table(("data",), tmp_path).splitlines()
    assert lines[0] == "**data**: d; t; torch 2"
    assert lines[4:6] == ["| c | 1 s | 2.5 s | 2.50 | yes | limit 3 s |", "| GPU: c | – | – | – | – | not run |"]


def test_a_guide_without_marks_is_refused():
    with pytest.raises(ValueError, match="no marks"):
        table.with_table("nothing", "")
