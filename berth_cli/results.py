"""What tests came to, as JUnit XML files tell it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Count:
    """Numbers of tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@dataclass(frozen=True)
class FailedTest:
    """A test that failed, or could not be run.

    Attributes:
        name: Its module and its own name.
        reason: The first line of what it says.
        report: All of what it says, traceback and all.
    """

    name: str
    reason: str
    report: str


@dataclass(frozen=True)
class Results:
    """What one file tells."""

    count: Count = Count()
    failed: tuple[FailedTest, ...] = ()


def read_results(path: Path | None) -> Results:
    """Read a JUnit XML file; a file that is not there has no tests.

    Args:
        path: The file, if there is to be one.
    """
    if path is None or not path.is_file():
        return Results()
    try:
        root = ET.parse(path).getroot()  # noqa: S314 (written by our own tests)
    except ET.ParseError:
        # Its program ended halfway through, which its exit code says, too.
        return Results()
    count = Count()
    failed = []
    for case in root.iter("testcase"):
        outcomes = [child for child in case if child.tag in {"failure", "error"}]
        if outcomes:
            count += Count(failed=1)
            failed += [_failed_test(case, outcome) for outcome in outcomes]
        elif any(child.tag == "skipped" for child in case):
            count += Count(skipped=1)
        else:
            count += Count(passed=1)
    return Results(count, tuple(failed))


def _failed_test(case: ET.Element, outcome: ET.Element) -> FailedTest:
    name = "::".join(filter(None, [case.get("classname"), case.get("name")]))
    message = outcome.get("message") or outcome.text or ""
    return FailedTest(name, next(iter(message.strip().splitlines()), outcome.tag), (outcome.text or message).strip())
