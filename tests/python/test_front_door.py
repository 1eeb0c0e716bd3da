"""The files for contributors, and the configuration of the services that host the project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import savedmodel as sm

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    ".github/dependabot.yml": "dependabot",
    ".github/ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ".github/ISSUE_TEMPLATE/feature.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/wrong_result.yml": "github-issue-forms",
    ".github/workflows/ci.yml": "github-workflows",
    ".github/workflows/nightly.yml": "github-workflows",
    ".github/workflows/wheels.yml": "github-workflows",
    "CITATION.cff": "citation-file-format",
}


def _tool(name: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_configuration_has_its_schema() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*.yml")}
    assert found | {"CITATION.cff"} == set(SCHEMAS)


@pytest.mark.parametrize(("file", "schema"), SCHEMAS.items())
def test_configuration_follows_its_schema(file: str, schema: str) -> None:
    _tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)


def test_workflows_are_safe() -> None:
    _tool("zizmor", "--offline", "--quiet", ".github")


def test_hooks_are_the_linters_of_the_test_command() -> None:
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    command = (ROOT / "tests/run.sh").read_text()
    assert hooks
    assert [hook for hook in hooks if hook not in command] == []


def test_every_python_is_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.findall(r"Python :: (3\.\d+)", project)
    matrix = re.search(r"python: \[(.+)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert matrix is not None
    assert re.findall(r"3\.\d+", matrix[1]) == declared


def test_citation_has_the_version() -> None:
    assert f"version: {sm.__version__}\n" in (ROOT / "CITATION.cff").read_text()
