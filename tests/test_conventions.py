"""What was agreed about the house, held by tests: imports, names, layout, words, types."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stewardship"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOMAIN = sorted((PACKAGE / "domain").rglob("*.py"))
TOOLS = Path(sys.executable).parent


def run(*command: str | Path) -> str:
    """The output of a tool of this virtual environment, which must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked() -> list[Path]:
    """Every file of the project that git knows, or would add."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def imports(module: Path) -> set[str]:
    """The top-level packages that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_who_imports_whom():
    run(TOOLS / "lint-imports", "--no-cache")


def test_ruff_is_clean():
    run(TOOLS / "ruff", "check", "--no-cache", ".")


def test_ruff_format_is_clean():
    run(TOOLS / "ruff", "format", "--no-cache", "--check", ".")


def test_types_hold():
    run(TOOLS / "mypy", "--no-error-summary")


@pytest.mark.parametrize("module", DOMAIN, ids=lambda path: path.name)
def test_domain_imports_only_the_standard_library_and_itself(module):
    assert imports(module) - sys.stdlib_module_names <= {"stewardship"}


@pytest.mark.parametrize("module", DOMAIN, ids=lambda path: path.name)
def test_domain_has_no_clock_no_files_and_no_environment(module):
    assert not imports(module) & {"os", "time", "io", "pathlib", "random", "socket", "subprocess", "sqlite3"}
    forbidden = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|open)\(")
    assert not forbidden.search(module.read_text())


@pytest.mark.parametrize("module", DOMAIN, ids=lambda path: path.name)
def test_domain_has_no_binary_floating_point(module):
    for node in ast.walk(ast.parse(module.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), ast.dump(node)
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"line {node.lineno}"


@pytest.mark.parametrize("module", sorted((PACKAGE / "services").rglob("*.py")), ids=lambda path: path.name)
def test_services_have_no_clock(module):
    assert not re.search(r"\b(datetime\.(now|utcnow|today)|date\.today)\(", module.read_text())


def test_every_module_says_what_it_is_for():
    silent = [str(m.relative_to(ROOT)) for m in MODULES if not ast.get_docstring(ast.parse(m.read_text()))]
    assert silent == []


def test_the_top_level_is_as_agreed():
    agreed = {"stewardship", "policies", "migrations", "tests", "wsgi.py", "pyproject.toml", "README.md"}
    agreed |= {"LICENSE", "requirements.lock", "requirements-dev.lock"}
    found = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in found if not name.startswith(".")} == agreed


def test_nothing_is_a_grab_bag():
    bags = {"utils", "helpers", "common", "core", "managers", "misc"}
    assert [str(m) for m in MODULES if bags & {m.stem, *m.relative_to(ROOT).parts}] == []


def test_modules_are_chapters():
    assert [m.name for m in MODULES if len(m.read_text().splitlines()) > 700] == []


def test_nothing_is_left_unfinished_and_no_path_is_one_machines():
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|lorem ip" r"sum|NotImpl" r"emented)\b")
    one_machine = re.compile(r"(?<![\w./:-])/(work|farm|root|home|tmp)/[a-z]")
    found = []
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".csv", ".html", ".js", ".json"} and path != Path(__file__):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if marks.search(line) or one_machine.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_policy_files_are_named_by_id_and_version():
    for path in (ROOT / "policies").glob("*.toml"):
        said = tomllib.loads(path.read_text())
        assert path.name == f"{said['id']}.v{said['version']}.toml"


def test_migrations_are_numbered_without_a_gap():
    names = sorted(p.name for p in (ROOT / "migrations" / "versions").glob("*.py"))
    assert [name[:4] for name in names] == [f"{n:04d}" for n in range(1, len(names) + 1)]
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", name) for name in names)
    assert names


def test_every_command_that_the_documents_name_exists():
    from stewardship.cli import COMMANDS, main

    documents = [ROOT / "README.md", ROOT / "policies" / "README.md", PACKAGE / "ARCHITECTURE.md"]
    named = set()
    for document in documents:
        named |= set(re.findall(r"\bstewardship ([a-z]+(?: [a-z-]+)?)(?=[ `\n])", _code(document)))
    assert named
    for words in named:
        first, _, second = words.partition(" ")
        command = main.get_command(None, first)
        assert first in COMMANDS, f"stewardship {words}"
        if second and hasattr(command, "commands"):
            assert second in command.list_commands(None), f"stewardship {words}"


def test_every_setting_is_explained():
    known = set(re.findall(r"STEWARDSHIP_[A-Z_]+", (PACKAGE / "config.py").read_text()))
    explained = set(re.findall(r"^\| `(STEWARDSHIP_[A-Z_]+)`", (ROOT / "README.md").read_text(), flags=re.M))
    assert explained == known


def test_the_readme_gives_the_exit_codes_that_check_gives():
    from stewardship.cli import EXIT_CODES, render

    standings = (render.CLEAR, render.ADVISED, render.NEEDS_REASON, render.BLOCKED, render.CANNOT_TELL)
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), flags=re.M)}
    assert told == {s.exit_code for s in standings} | set(EXIT_CODES.values())


def _code(document: Path) -> str:
    """The parts of a document that are set as code."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", document.read_text(), flags=re.S))


def test_the_lock_files_name_no_address():
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()
