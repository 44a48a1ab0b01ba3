"""Figures of the source, read from its syntax trees: sizes, names that occur twice, arguments, and who names a store.

    scripts/figures            prints them
    scripts/figures FOLDER...  prints a row of each of these packages beside ours
    tests/unit/test_house.py   holds what must hold

`demo` and the runner are left out where names are compared: the first is what a model's author would write, the second
is another program.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1] / "src" / "halley"
MOST_ARGUMENTS = 8
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_VALUES = ("msgspec.Struct", "SettingsTable")  # records, settings and wire shapes have as many members as they have


@dataclass(frozen=True)
class Found:
    """A name in the source, and where it is; `size` counts lines or arguments."""

    size: int
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.size:5}  {self.place}  {self.name}"


@dataclass(frozen=True)
class Module:
    path: str  # below src/halley
    lines: int
    tree: ast.Module

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes: walking the tree takes most of the time."""
        return tuple(ast.walk(self.tree))

    def at(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
        return f"{self.path}:{node.lineno}"


@cache
def modules(root: Path = ROOT) -> list[Module]:
    """All modules but the demo models."""
    found = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text()
        name = path.relative_to(root).as_posix()
        if not name.startswith("demo/"):
            found.append(Module(name, len(text.splitlines()), ast.parse(text)))
    return found


def functions(all_of: list[Module]) -> list[Found]:
    """Every function with its lines, the longest first."""
    found = [
        Found((node.end_lineno or node.lineno) - node.lineno + 1, module.at(node), node.name)
        for module in all_of
        for node in module.nodes
        if isinstance(node, _FUNCTIONS)
    ]
    return sorted(found, key=lambda one: -one.size)


def names_twice(all_of: list[Module]) -> dict[str, list[str]]:
    """Public names of classes that occur more than once, with their places."""
    places = defaultdict(list)
    for module in all_of:
        if not module.path.startswith("runner/"):
            for node in module.nodes:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(module.at(node))
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def many_arguments(all_of: list[Module], most: int = MOST_ARGUMENTS) -> list[Found]:
    """Functions and constructors that take more. Left out: records, settings and wire shapes; commands, whose
    arguments are the options of the command line; the runner, whose `cog` module has the arguments that Cog gave it.
    """
    found = [
        one
        for module in all_of
        if not module.path.startswith("runner/")
        for one in _calls_of(module)
        if one.size > most
    ]
    return sorted(found, key=lambda one: -one.size)


def _calls_of(module: Module) -> Iterator[Found]:
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and _is_dataclass(node):
            yield Found(
                len([part for part in node.body if isinstance(part, ast.AnnAssign)]), module.at(node), node.name
            )
        if isinstance(node, _FUNCTIONS) and not _is_command(module, node):
            given = node.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            yield Found(len(names) - (names[:1] in (["self"], ["cls"])), module.at(node), node.name)


def _is_dataclass(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base) for base in node.bases}
    if bases & {*_VALUES}:
        return False
    return "NamedTuple" in bases or any("dataclass" in ast.unparse(one) for one in node.decorator_list)


def _is_command(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return module.path.startswith("cli/commands/") and "typer." in ast.unparse(node.args)


def sqlite_named(all_of: list[Module]) -> list[str]:
    """Places that import the SQLite store outside its own folder: one line of `app` that opens it, and no other."""
    return [
        f"{module.path}:{node.lineno}"
        for module in all_of
        if not module.path.startswith("store/sqlite/")
        for node in module.nodes
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("halley.store.sqlite"))
        or (isinstance(node, ast.Import) and any(one.name.startswith("halley.store.sqlite") for one in node.names))
    ]


def summary(name: str, every: list[Module]) -> str:
    """A row: modules with median and largest in lines, the same of functions, class names twice, many arguments."""
    sizes, lengths = [one.lines for one in every], [one.size for one in functions(every)]
    numbers = (len(sizes), median(sizes), max(sizes), len(lengths), median(lengths), max(lengths))
    last = (len(names_twice(every)), len(many_arguments(every)))
    return f"{name:14}" + "".join(f"{number:9g}" for number in (*numbers, *last))


TITLE = f"{'':14}" + "".join(
    f"{word:>9}" for word in ("modules", "median", "largest", "functs", "median", "largest", "twice", ">8 args")
)


def main() -> None:
    """Print the figures; with folders of other packages as arguments, a row of each beside ours."""
    every = modules()
    print(TITLE)
    print(summary("halley", every))
    for folder in map(Path, sys.argv[1:]):
        print(summary(folder.name, modules(folder)))
    if len(sys.argv) == 1:
        _details(every)


def _details(every: list[Module]) -> None:
    sizes = sorted((Found(one.lines, one.path, "") for one in every), key=lambda one: -one.size)
    twice, many = names_twice(every), many_arguments(every)
    for title, rows in (
        ("largest modules", sizes[:10]),
        ("largest functions", functions(every)[:10]),
        (f"more than {MOST_ARGUMENTS} arguments: {len(many)}", many),
        (f"public class names that occur twice: {len(twice)}", [f"  {k}: {', '.join(v)}" for k, v in twice.items()]),
        ("imports of the SQLite store outside its folder", [f"  {place}" for place in sqlite_named(every)]),
    ):
        print(f"\n{title}")
        for row in rows:
            print(row)


if __name__ == "__main__":
    main()
