"""The mutation check: its table fits the code, and it tells killed mutations from survivors."""

import subprocess

import pytest

from tests.mutants import ROOT, Mutation, check, copy_checkout, find_stale, mutate, mutated, run_tests
from tests.mutations import MUTATIONS

PACKAGES = {"ops", "geometry", "coco", "evaluation", "tracking"}


def test_every_mutation_applies_to_the_code():
    assert find_stale(MUTATIONS) == []


def test_the_table_covers_the_numerical_packages():
    assert len(MUTATIONS) >= 60 and len(set(MUTATIONS)) == len(MUTATIONS)
    assert {mutation.package for mutation in MUTATIONS} >= PACKAGES


def test_a_fragment_must_occur_exactly_once():
    assert mutate("a = 1\nb = 2\n", Mutation("ops/x.py", "1", "0")) == "a = 0\nb = 2\n"
    for source, count in (("", 0), ("a = 1\nb = 1\n", 2)):
        with pytest.raises(ValueError, match=rf"ops/x.py: ' = 1' occurs {count} times"):
            mutate(source, Mutation("ops/x.py", " = 1", " = 0"))


@pytest.fixture
def project(tmp_path):
    """A checkout of one module that is half tested."""
    files = {
        "yolox_pose/__init__.py": "",
        "yolox_pose/small/__init__.py": "",
        "yolox_pose/small/sums.py": "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n",
        "tests/test_small/test_sums.py": (
            "from yolox_pose.small.sums import add, twice\n\n\n"
            "def test_add():\n    assert add(1, 2) == 3\n\n\ndef test_twice():\n    assert twice(0) == 0\n"
        ),
        "pytest.ini": "[pytest]\nmarkers = slow\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.slow
def test_killed_mutations_survivors_and_endless_loops_are_told_apart(project):
    file, lines = "small/sums.py", []
    killed, survivor = Mutation(file, "a + b", "a - b"), Mutation(file, "2 * a", "3 * a", "test_sums.py")
    endless = Mutation(file, "return a + b", "while True: pass")
    assert check([killed], root=project, jobs=1, timeout=600, report=lines.append) == 0
    assert check([killed, survivor], root=project, jobs=2, timeout=600, report=lines.append) == 1
    assert check([endless], root=project, jobs=1, timeout=1, report=lines.append) == 0
    report = "\n".join(lines)
    assert "1 of 2 mutants killed (50%), 0 of them by the time limit" in report
    assert "1 of 1 mutants killed (100%), 1 of them by the time limit" in report
    assert "Survivors:\n  small/sums.py: '2 * a' -> '3 * a'" in report
    assert (project / "yolox_pose" / file).read_text().startswith("def add(a, b):\n    return a + b")


@pytest.mark.slow
def test_a_stale_table_and_failing_tests_stop_the_check(project):
    lines = []
    assert check([Mutation("small/sums.py", "a * b", "0")], root=project, report=lines.append) == 2
    assert "occurs 0 times" in lines[0]
    (project / "tests" / "test_small" / "test_sums.py").write_text("def test_add():\n    assert False\n")
    assert check([Mutation("small/sums.py", "a + b", "0")], root=project, jobs=1, report=lines.append) == 2
    assert "the unchanged tests fail" in "\n".join(lines)


@pytest.mark.slow
def test_a_mutation_of_the_package_is_killed(tmp_path):
    checkout = copy_checkout(ROOT, tmp_path)
    (mutation,) = (m for m in MUTATIONS if m.file == "ops/keypoints.py" and m.old.startswith("return offsets"))
    with mutated(checkout, mutation):
        assert run_tests(checkout, mutation.tests[:1]).status == "killed"
