"""python eval/mutation.py --count 200 --seed 0 --out out/mutation.jsonl

Do the tests notice when the core's code is wrong? A mutant is one small change of one place: `<` for `<=`, 3 for 2,
`and` for `or`, a branch turned round, a `raise` left out. The tests that belong to its file run on a copy of the tree;
a mutant that they pass has survived. They run without the checks of annotations first, which take longer to set up than
most of them to run, and only what they pass meets those too. Mutants are drawn by seed, in turn from each file of CORE.

One JSON line a mutant goes to `--out`; a run that was stopped goes on with those that are not in there. `--only PART`
takes the files whose path has PART in it, `--again` tries the survivors of `--out` once more. Linux alone: each mutant
runs in a fork of a process that has imported what is slow.
"""

import argparse
import ast
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLOWER = 5  # times the CPU time of the unchanged code, after which a mutant counts as noticed
SPARE = 10.0  # s of CPU time, besides
WAITING = 40  # times as long on the clock: a mutant may sleep for ever
PROFILE = "mutants"  # of hypothesis
UNCHECKED = ["-o", "addopts=--import-mode=importlib -p no:dash"]  # pyproject.toml's without the checks of annotations

PROGRAMS = [f"tests/programs_core/test_execute_{part}.py" for part in ("edits", "places", "questions")]
SCHEMAS = ["tests/scene/test_schema.py", "tests/tokenizers/test_scene_tokenizer.py"]
CORE = {  # file -> its tests
    "kyvo/scene/schema.py": SCHEMAS,
    "kyvo/scene/fields.py": SCHEMAS,
    "kyvo/scene/relations.py": ["tests/scene/test_relations.py"],
    "kyvo/tokenizers/vocabulary.py": ["tests/tokenizers/test_vocabulary.py"],
    "kyvo/tokenizers/sequence.py": ["tests/tokenizers/test_sequence.py"],
    "kyvo/generation/constraint.py": ["tests/generation/test_constraint.py"],
    "kyvo/programs/tokens.py": ["tests/programs_core/test_program_tokens.py"],
    "kyvo/programs/json_form.py": ["tests/programs_core/test_json_form.py"],
    "kyvo/programs/selecting.py": PROGRAMS,
    "kyvo/programs/editing.py": PROGRAMS,
    "kyvo/programs/draft.py": PROGRAMS,
    "kyvo/programs/changed_objects.py": PROGRAMS,
    "kyvo/programs/asking.py": PROGRAMS,
    "kyvo/metrics/scenes.py": ["tests/metrics/test_scene_metrics.py"],
    "kyvo/metrics/answers.py": ["tests/metrics/test_answers.py"],
    "kyvo/metrics/boxes.py": ["tests/metrics/test_boxes.py"],
    "kyvo/metrics/average_precision.py": ["tests/metrics/test_average_precision.py"],
}
SLOW = (  # what tests import besides Kyvo
    "beartype", "datasets", "hypothesis.strategies", "jaxtyping", "jsonschema", "pytest", "scipy.optimize",
    "scipy.spatial.transform", "sentencepiece", "torch", "torchtune.modules", "transformers.modeling_utils", "trimesh",
    "yaml",
)  # fmt: skip
COPIED = ("kyvo", "recipes", "configs", "tests", "tokenizers", "eval", "pyproject.toml")

SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min"}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    start: int  # bytes of the file that are replaced
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}: {self.before} -> {self.after}"

    def source(self) -> bytes:
        whole = (ROOT / self.file).read_bytes()
        return whole[: self.start] + self.after.encode() + whole[self.end :]


def mutants(file: str) -> list[Mutant]:
    """All that this program knows to make of a file."""
    text = (ROOT / file).read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, changed in _changes(ast.parse(text)):
        start, end = (
            starts[line - 1] + column
            for line, column in ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        )
        after = ast.unparse(ast.fix_missing_locations(changed))
        if isinstance(changed, ast.expr):
            after = f"({after})"
        before = text[start:end].decode()
        found.append(Mutant(file=file, line=node.lineno, start=start, end=end, before=before, after=after))
    return found


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(node, what stands in its place) of this node and those below; annotations and texts are left alone."""
    if isinstance(node, ast.JoinedStr | ast.Assert) or _is_type_checking(node):
        return
    changed = _changed(node)
    if changed is not None:
        yield node, changed
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changes(child)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _changed(node: ast.AST) -> ast.AST | None:
    """What a mutant has in the place of a node; None for nodes that are left alone."""
    match node:
        case ast.Compare(ops=[op], left=left, comparators=others) if type(op) in SWAPPED:
            return ast.Compare(left=left, ops=[SWAPPED[type(op)]()], comparators=others)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SWAPPED:
            return ast.BinOp(left=left, op=SWAPPED[type(op)](), right=right)
        case ast.BoolOp(op=op, values=values):
            return ast.BoolOp(op=SWAPPED[type(op)](), values=values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            return operand
        case ast.Constant(value=bool() as value):
            return ast.Constant(value=not value)
        case ast.Constant(value=int() | float() as value):
            return ast.Constant(value=value + 1)
        case ast.IfExp(test=test, body=body, orelse=other):
            return ast.IfExp(test=test, body=other, orelse=body)
        case ast.Return(value=ast.expr()):
            return ast.Return(value=ast.Constant(value=None))
        case ast.Raise():
            return ast.Pass()
        case ast.Name(id=name) if name in NAMES:
            return ast.Name(id=NAMES[name])
    return None


def drawn(count: int, seed: int, only: str) -> list[Mutant]:
    """Mutants in turn from each file, in an order that the seed sets."""
    chance, files = random.Random(seed), []
    for file in CORE:
        of_file = mutants(file)
        chance.shuffle(of_file)
        files.append(of_file)
    in_turn = [mutant for each in zip_longest(*files) for mutant in each if mutant is not None]
    return [mutant for mutant in in_turn[:count] if only in mutant.file]


def run_tests(tree: Path, tests: list[str], limit: float, *, checked: bool = False) -> tuple[bool, float]:
    """Whether the tests pass in a fork of this process, in this tree, within the limit; and what they took: both in
    seconds of CPU, as the machine may have other work. `checked`: with the checks of annotations."""
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 1))
        signal.alarm(WAITING * (int(limit) + 1))
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        os.environ["PYTHONPATH"] = str(tree)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            import pytest

            options = ["-x", "-q", "--hypothesis-seed=0", f"--hypothesis-profile={PROFILE}"]
            for plugin in ("cacheprovider", "xdist", "schemathesis"):
                options += ["-p", f"no:{plugin}"]
            code = pytest.main([*options, *([] if checked else UNCHECKED), *tests])
        os._exit(int(code))
    _, status, used = os.wait4(child, 0)
    return status == 0, used.ru_utime + used.ru_stime


def prepare() -> None:
    """What forks share: packages and how tests run. Nothing of Kyvo, whose code is another in each fork."""
    sys.dont_write_bytecode = False  # else each fork compiles all of the tree
    for name in SLOW:
        import_module(name)
    import_module("torch").set_num_threads(1)
    # One example that fails is enough; to make it smaller takes minutes.
    hypothesis = import_module("hypothesis")
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(PROFILE, deadline=None, max_examples=10, phases=phases)


def main(argv: list[str] | None = None) -> int:
    """Returns the number of survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="PART", help="only files with this in their path")
    parser.add_argument("--out", type=Path, default=Path("out/mutation.jsonl"))
    parser.add_argument("--again", action="store_true", help="try the survivors in --out once more")
    args = parser.parse_args(argv)

    rows = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {row["name"]: row["killed"] for row in rows}
    if args.again:
        done = {name: killed for name, killed in done.items() if killed}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    prepare()
    chosen = drawn(args.count, args.seed, args.only)
    with tempfile.TemporaryDirectory() as folder, args.out.open("a") as out:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, tree / name)
        limits: dict[str, float] = {}
        for mutant in chosen:
            if mutant.name in done:
                continue
            if mutant.file not in limits:
                passed, seconds = run_tests(tree, CORE[mutant.file], 3600)
                if not passed:
                    parser.error(f"the tests of {mutant.file} fail on the unchanged code")
                limits[mutant.file] = SLOWER * seconds + SPARE  # of a first run, which also writes bytecode
            (tree / mutant.file).write_bytes(mutant.source())
            os.utime(tree / mutant.file, (len(done), len(done)))  # a time of its own
            tests, limit = CORE[mutant.file], limits[mutant.file]
            survived, seconds = run_tests(tree, tests, limit)
            if survived:
                survived, more = run_tests(tree, tests, 10 * limit, checked=True)
                seconds += more
            shutil.copy2(ROOT / mutant.file, tree / mutant.file)  # with its time, by which its bytecode is known
            done[mutant.name] = not survived
            row = {"name": mutant.name, "killed": not survived, "seconds": round(seconds, 1), **asdict(mutant)}
            print(json.dumps(row), file=out, flush=True)
    survivors = [mutant.name for mutant in chosen if not done[mutant.name]]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants were noticed; survivors:", *survivors, sep="\n")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(main() > 0)
