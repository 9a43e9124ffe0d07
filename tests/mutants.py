"""Check the tests by mutation: each small change of :mod:`tests.mutations` must make a fast test of its package fail.

Run it with ``make mutants`` or ``python -m tests.mutants``. Every mutation is applied alone to a temporary copy of the
checkout. Exit codes: 0 if all are killed, 1 if some survive, 2 if the table or the unchanged tests are broken.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "yolox_pose"
TIMEOUT = 60.0
"""Seconds that the tests of a mutant may take, or three times what they take unchanged if that is longer."""
KILLED_CODES = {1: "killed", 2: "killed"}
"""Exit codes of pytest for failed tests and for modules that cannot be imported."""


class Mutation(NamedTuple):
    """One change of one line.

    Attributes:
        file: Path below the package, such as ``"ops/nms.py"``.
        old: Source fragment that occurs exactly once in the file.
        new: Its replacement.
        first: Test module of the same package that runs before the others, because it should fail.
    """

    file: str
    old: str
    new: str
    first: str = ""

    @property
    def package(self) -> str:
        """Name of the subpackage."""
        return self.file.partition("/")[0]

    @property
    def tests(self) -> list[str]:
        """Test paths in the order in which they run."""
        folder = f"tests/test_{self.package}"
        return [f"{folder}/{self.first}", folder] if self.first else [folder]

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()!r} -> {self.new.strip()!r}"


class Outcome(NamedTuple):
    """Result of one test run.

    Attributes:
        status: ``'killed'``, ``'survived'``, ``'timeout'`` (counted as killed) or ``'broken'`` (pytest itself failed).
        seconds: Wall time.
        output: Last lines of pytest.
    """

    status: str
    seconds: float
    output: str


def mutate(source: str, mutation: Mutation) -> str:
    """Return the source with the mutation applied.

    Raises:
        ValueError: If the fragment does not occur exactly once.
    """
    count = source.count(mutation.old)
    if count != 1:
        raise ValueError(
            f"{mutation.file}: {mutation.old!r} occurs {count} times, expected once; update tests/mutations.py"
        )
    return source.replace(mutation.old, mutation.new)


def find_stale(mutations: Sequence[Mutation], root: Path = ROOT) -> list[str]:
    """Return one message for every mutation that does not apply or does not compile."""
    messages = []
    for mutation in mutations:
        path = root / PACKAGE / mutation.file
        try:
            compile(mutate(path.read_text(encoding="utf-8"), mutation), str(path), "exec")
        except (OSError, ValueError, SyntaxError) as error:
            messages.append(str(error))
        messages += [f"{mutation.file}: no tests in {name}" for name in mutation.tests if not (root / name).exists()]
    return messages


def run_tests(checkout: Path, tests: Sequence[str], timeout: float | None = None) -> Outcome:
    """Run the fast tests of some paths of a checkout until the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    start = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Outcome("timeout", time.monotonic() - start, "")
    status = {0: "survived", **KILLED_CODES}.get(process.returncode, "broken")
    return Outcome(status, time.monotonic() - start, "\n".join(output.splitlines()[-15:]))


@contextmanager
def mutated(checkout: Path, mutation: Mutation):
    """Apply a mutation to a checkout for the duration of a with block."""
    path = checkout / PACKAGE / mutation.file
    source = path.read_text(encoding="utf-8")
    for cached in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):  # a change within a second would not be noticed
        cached.unlink()
    path.write_text(mutate(source, mutation), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(source, encoding="utf-8")


def copy_checkout(root: Path, target: Path) -> Path:
    """Copy the files of a checkout that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():  # a deleted file may still be tracked
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target


def check(
    mutations: Sequence[Mutation],
    *,
    root: Path = ROOT,
    jobs: int = 2,
    timeout: float = TIMEOUT,
    report: Callable[[str], None] = print,
) -> int:
    """Run every mutation and report the survivors.

    Args:
        mutations: Table of mutations.
        root: Checkout, which stays unchanged.
        jobs: Number of mutations that run at the same time, each in its own copy.
        timeout: Shortest time limit of one mutation in seconds.
        report: Called with each line of the report.

    Returns:
        Exit code of the command.
    """
    start = time.monotonic()
    stale = find_stale(mutations, root)
    if stale:
        report("\n".join(stale))
        return 2

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        # Make one copy of the checkout per job
        copies: Queue[Path] = Queue()
        for job in range(jobs):
            copies.put(copy_checkout(root, Path(folder, str(job))))

        def in_a_copy(work: Callable[[Path], Outcome]) -> Outcome:
            checkout = copies.get()
            try:
                return work(checkout)
            finally:
                copies.put(checkout)

        # The unchanged tests must pass; their time sets the limit of each package
        packages = sorted({mutation.package for mutation in mutations})
        tests = [[f"tests/test_{package}"] for package in packages]
        baseline = dict(zip(packages, pool.map(lambda t: in_a_copy(lambda c: run_tests(c, t)), tests)))
        for package, outcome in baseline.items():
            report(f"{package}: unchanged tests take {outcome.seconds:.0f} s")
            if outcome.status != "survived":
                report(f"{package}: the unchanged tests fail\n{outcome.output}")
                return 2

        # Run the mutations: first the module that should fail, then the package
        def attempt(mutation: Mutation) -> Outcome:
            limit = max(timeout, 3 * baseline[mutation.package].seconds)

            def work(checkout: Path) -> Outcome:
                start = time.monotonic()
                with mutated(checkout, mutation):
                    for tests in mutation.tests:
                        outcome = run_tests(checkout, [tests], limit)
                        if outcome.status != "survived":
                            break
                return outcome._replace(seconds=time.monotonic() - start)

            return in_a_copy(work)

        outcomes = []
        for number, (mutation, outcome) in enumerate(zip(mutations, pool.map(attempt, mutations)), 1):
            report(f"[{number}/{len(mutations)}] {outcome.status:8} {outcome.seconds:5.1f} s  {mutation}")
            outcomes.append(outcome)

    return _summarize(mutations, outcomes, time.monotonic() - start, report)


def _summarize(
    mutations: Sequence[Mutation], outcomes: Sequence[Outcome], seconds: float, report: Callable[[str], None]
) -> int:
    """Report the score and what needs attention, and return the exit code."""
    by_status = {
        status: [mutation for mutation, outcome in zip(mutations, outcomes) if outcome.status == status]
        for status in ("killed", "timeout", "survived", "broken")
    }
    dead = len(by_status["killed"]) + len(by_status["timeout"])
    for status, title in (
        ("timeout", "Killed by the time limit"),
        ("survived", "Survivors"),
        ("broken", "Broken runs"),
    ):
        if by_status[status]:
            report("\n".join([f"{title}:", *(f"  {mutation}" for mutation in by_status[status])]))
    report(
        f"{dead} of {len(mutations)} mutants killed ({dead / len(mutations):.0%}), "
        f"{len(by_status['timeout'])} of them by the time limit, in {seconds:.0f} s"
    )
    return 2 if by_status["broken"] else 1 if by_status["survived"] else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    from tests.mutations import MUTATIONS

    parser = argparse.ArgumentParser(prog="make mutants", description="Check the tests by mutation.")
    parser.add_argument(
        "only", nargs="*", help="run only mutations whose line in the report contains one of these texts"
    )
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="parallel runs (default: cores)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="S", help="seconds per mutant (default: 60)")
    args = parser.parse_args(argv)
    chosen = [mutation for mutation in MUTATIONS if not args.only or any(text in str(mutation) for text in args.only)]
    if not chosen:
        parser.error(f"no mutation of {', '.join(args.only)}")
    return check(chosen, jobs=args.jobs, timeout=args.timeout, report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
