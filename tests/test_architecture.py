"""The tree's own rules, read from the source: who imports whom, sizes, first sentences, what an import costs."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "minbert"

# A line may import the lines above it and nothing else of the core.
CORE = """
errors
files kernels hub
dropout packing
metrics
resampling
bert heads losses comparison calibration gradients optimizer schedules holdout distributed
decoding
dialects
tables frames
tasks
labels cards
data
text splits
predictions
answering pretrained schema
model recipes changes
evaluation runs tracking
jobs
task_gradients provenance
training
"""
LEVELS = {name: level for level, line in enumerate(CORE.split("\n")) for name in line.split()}
MAY_NOT_KNOW = {("model", "recipes")}  # they stand on one line of the map; only `pretrained` comes before `model`
FOLDERS = {
    "prepare": set(),
    "experiments": set(),
    "reports": {"experiments"},
    "inference": set(),
    "serving": {"inference", "reports"},
    "cli": {"prepare", "experiments", "reports", "inference", "serving"},
}
HEAVY = ("torch", "polars", "scipy", "transformers")
SLOW = ("transformers", "scipy.stats", "scipy.optimize")  # to import, so that no command without need of them waits
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core"}


@dataclass(frozen=True)
class Import:
    """One import statement: the module, and whether it runs when the file is loaded, and for types alone."""

    module: str
    line: int
    in_function: bool
    for_types: bool


def parts(path: Path) -> tuple[str, ...]:
    """('bert',) for a core file, ('cli', 'app') for one in a folder."""
    return path.relative_to(SOURCE).with_suffix("").parts


def imports(source: str) -> list[Import]:
    """Every import of a source text, `from minbert import x` as minbert.x."""
    return list(_walk(ast.parse(source), False, False))


def _walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, in_function, for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"line {node.lineno}: imports are absolute here"
        module = str(node.module)
        names = [f"minbert.{alias.name}" for alias in node.names] if module == "minbert" else [module]
        yield from (Import(name, node.lineno, in_function, for_types) for name in names)
    for child in ast.iter_child_nodes(node):
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = for_types or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        yield from _walk(child, inside, types)


def breach(importer: tuple[str, ...], module: str) -> str | None:
    """Why a file may not import a module of ours, or None."""
    imported = tuple(module.split(".")[1:])
    if len(importer) == 1:  # a core file
        if imported[0] in FOLDERS:
            return "a core file never imports a folder"
        if LEVELS[imported[0]] >= LEVELS[importer[0]] or (importer[0], imported[0]) in MAY_NOT_KNOW:
            return "it does not stand above"
    elif imported[0] in FOLDERS and imported[0] != importer[0] and imported[0] not in FOLDERS[importer[0]]:
        return "folders do not import each other"
    return None


def functions(source: str) -> dict[str, int]:
    """Lines of every function of a source text, from its `def` to its end."""
    return {
        f"{node.name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


FILES = sorted(SOURCE.rglob("*.py"))
SOURCES = {path: path.read_text(encoding="utf-8") for path in FILES}
LIBRARY = {path: text for path, text in SOURCES.items() if parts(path) != ("__init__",)}
NAMES = [str(path.relative_to(SOURCE)) for path in FILES]


def test_every_file_has_its_place_on_the_map() -> None:
    known = set(LEVELS) | {"__init__"}
    assert {parts(path)[0] for path in FILES if len(parts(path)) == 1} <= known
    assert {parts(path)[0] for path in FILES if len(parts(path)) > 1} <= set(FOLDERS)
    assert not VAGUE & {part for path in FILES for part in parts(path)}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_what_stands_above_it(path: Path) -> None:
    ours = [found for found in imports(LIBRARY[path]) if found.module.split(".")[0] == "minbert"]
    breaches = [
        f"line {found.line}: {found.module} ({breach(parts(path), found.module)})"
        for found in ours
        if breach(parts(path), found.module)
    ]
    assert not breaches


@pytest.mark.parametrize(
    ("importer", "source", "reason"),
    [
        (("bert",), "from minbert.heads import cosine", "above"),
        (("bert",), "from minbert import heads", "above"),
        (("tasks",), "import minbert.data", "above"),
        (("tables",), "from minbert.tasks import Task", "above"),
        (("model",), "def f():\n    from minbert.recipes import load", "above"),
        (("model",), "if TYPE_CHECKING:\n    from minbert.training import train", "above"),
        (("training",), "from minbert.reports.tables import table", "folder"),
        (("reports", "page"), "from minbert.inference import bulk", "folders"),
        (("reports", "claims"), "from minbert.experiments.compare import compare", None),
        (("training",), "from minbert.jobs import Job", None),
        (("serving", "app"), "from minbert.inference.bulk import score", None),
        (("reports", "page"), "from minbert.reports.tables import table", None),
    ],
)
def test_the_check_of_imports_sees_a_breach(importer: tuple[str, ...], source: str, reason: str | None) -> None:
    found = breach(importer, imports(source)[0].module)
    assert found is None if reason is None else reason in (found or "")


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_of_a_folder_import_each_other_without_cycles(folder: str) -> None:
    edges = {
        ".".join(("minbert", *parts(path))): {
            found.module for found in imports(text) if found.module.startswith(f"minbert.{folder}.")
        }
        for path, text in LIBRARY.items()
        if parts(path)[0] == folder
    }
    done: set[str] = set()
    while ready := [name for name, needed in edges.items() if name not in done and needed & set(edges) <= done]:
        done.update(ready)
    assert done == set(edges)


def test_the_command_line_imports_the_library_inside_the_command_that_needs_it() -> None:
    light = {"minbert.errors", "minbert.files"}
    early = [
        f"{path.name}, line {found.line}: {found.module}"
        for path, text in LIBRARY.items()
        if parts(path)[0] == "cli"
        for found in imports(text)
        if not found.in_function and not found.for_types
        if found.module.split(".")[0] in HEAVY
        or (found.module.startswith("minbert") and not found.module.startswith("minbert.cli"))
        if found.module not in light
    ]
    assert not early


def test_an_optional_dependency_is_imported_in_one_file_and_in_the_core_inside_a_function() -> None:
    """What pyproject.toml does not list as needed may be missing, so nothing may import it on the way."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    needed |= set(sys.stdlib_module_names) | {"minbert"}
    homes: dict[str, set[Path]] = {}
    for path, text in LIBRARY.items():
        for found in imports(text):
            package = found.module.split(".")[0]
            if package in needed or found.for_types:
                continue
            homes.setdefault(package, set()).add(path)
            assert found.in_function or len(parts(path)) > 1, f"{path.name}, line {found.line}: {package}"
    assert {package: len(files) for package, files in homes.items()} == dict.fromkeys(homes, 1)


def test_only_the_command_line_ends_the_process_or_prints() -> None:
    calls = [
        f"{path.name}, line {node.lineno}: {ast.unparse(node.func)}"
        for path, text in LIBRARY.items()
        if parts(path)[0] != "cli"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "exit", "sys.exit", "os._exit"}
    ]
    assert not calls


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_of_one_idea(name: str) -> None:
    """At most 400 lines, none of its functions above 60, and first a sentence on what goes in and comes out."""
    text = SOURCES[SOURCE / name]
    assert len(text.splitlines()) <= 400
    assert {function: lines for function, lines in functions(text).items() if lines > 60} == {}
    if text.strip():  # an empty __init__.py only makes a folder a package
        sentence = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split())
        assert re.fullmatch(r"[^\n]{20,}\.", sentence)
        assert not re.search(r"\. [A-Z]", sentence)


def test_nine_functions_in_ten_stay_below_35_lines() -> None:
    sizes = [lines for text in SOURCES.values() for lines in functions(text).values()]
    assert sum(lines < 35 for lines in sizes) >= 0.9 * len(sizes)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["minbert"], HEAVY),
        (["minbert.cli.app"], HEAVY),
        ([".".join(("minbert", *parts(path))) for path in LIBRARY if len(parts(path)) == 1], SLOW),
    ],
    ids=["minbert", "minbert.cli.app", "the core"],
)
def test_an_import_is_silent_and_loads_nothing_heavy(modules: list[str], heavy: tuple[str, ...]) -> None:
    code = f"import sys, {', '.join(modules)}\nsys.stderr.write(' '.join(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
