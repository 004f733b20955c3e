"""The names, the direction of the imports and what is shipped: all read from the tree as it is."""

import ast
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from kyvo.testing import tiny_kyvo

ROOT = Path(__file__).resolve().parent.parent

# What each part of the package may import of the others (docs/design.md, "The tree"). Anything may import GROUND.
GROUND = {"clusters", "deprecated", "devices", "errors", "extras", "files", "npz", "threads"}
REACH = {
    "scene": set(),
    "programs": {"scene"},
    "parsers": {"scene", "programs", "tokenizers", "models", "generation"},
    "export": {"scene"},
    "metrics": {"scene"},
    "tokenizers": {"scene", "programs"},
    "models": {"scene", "tokenizers"},
    "data": {"scene", "programs", "metrics", "tokenizers", "export"},
    "training": {"scene", "programs", "metrics", "tokenizers", "models", "data", "processor", "generation", "api"},
    "shapes": {"scene", "metrics", "export", "tokenizers", "models", "data"},
    "processor": {"scene", "tokenizers", "models", "shapes"},
    "auto": {"scene", "tokenizers", "models", "processor", "auto_model"},
    "auto_model": {"tokenizers", "models", "processor"},
    "evaluation": {"scene", "programs", "metrics", "export", "tokenizers", "models", "data", "shapes"},
    "generation": {"scene", "programs", "tokenizers", "models", "data", "processor"},
    "pipelines": {"scene", "programs", "export", "tokenizers", "models", "data", "shapes", "generation", "processor"},
    "api": {"scene", "programs", "parsers", "tokenizers", "models", "generation", "processor", "pipelines"},
}
ALL_BUT_TRAINING = {*REACH, "batch", "conversation", "serving", "testing"} - {"training"}
REACH |= {name: ALL_BUT_TRAINING for name in ("batch", "conversation", "serving", "testing")}
REACH["cli"] = ALL_BUT_TRAINING | {"training"}  # `kyvo model convert`
REACH["__main__"] = {"cli"}


def run_python(code: str, *, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@cache
def imports_of(path: Path) -> list[str]:
    """The dotted names `path` imports anywhere, inside functions too; `from a import b` gives `a.b`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: `tune run` gives a recipe no package; import absolutely everywhere"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def repository_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_folders_of_programs_are_no_packages():
    assert not (ROOT / "tokenizers" / "__init__.py").exists()
    assert not (ROOT / "eval" / "__init__.py").exists()


def test_the_clone_does_not_hide_hugging_faces_tokenizers():
    found = run_python("import tokenizers; tokenizers.Tokenizer; print(tokenizers.__file__)", cwd=ROOT)
    assert not Path(found).is_relative_to(ROOT / "tokenizers")


def test_no_program_has_the_name_of_an_installed_package():
    # Its folder comes first on sys.path when it runs, so eval/datasets.py would hide Hugging Face's datasets.
    for path in [*(ROOT / "tokenizers").glob("*.py"), *(ROOT / "eval").glob("*.py")]:
        assert importlib.util.find_spec(path.stem) is None, f"{path} hides the package {path.stem}"


def test_importing_kyvo_its_scenes_and_programs_imports_nothing_heavy(tmp_path):
    code = (
        "import importlib, pkgutil, sys, kyvo, kyvo.scene, kyvo.programs\n"
        "for part in (kyvo.scene, kyvo.programs):\n"
        "  for found in pkgutil.iter_modules(part.__path__, part.__name__ + '.'): importlib.import_module(found.name)\n"
        "print(sorted({'torch', 'torchtune', 'transformers', 'datasets', 'open3d', 'scipy'} & set(sys.modules)))"
    )
    assert run_python(code, cwd=tmp_path) == "[]"


TRAINING = {"torchtune", "torchdata", "ray"}
FILES = {"datasets", "pandas", "pyarrow", "open3d", "trimesh", "pygltflib", "pxr"}
PAGES = {"fastapi", "uvicorn", "gradio"}
FIGURES = {"matplotlib", "sklearn", "torchmetrics", "torchvision"}
NETWORKS = {"torch", "transformers", "numpy", "PIL"}
CHECKS = {"scipy", "jsonschema"}
SLOW = {"transformers", "torch._dynamo", "scipy"}  # each a second of a cold start or more


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--help"], TRAINING | FILES | PAGES | FIGURES | NETWORKS | CHECKS),
        (["--version"], TRAINING | FILES | PAGES | FIGURES | NETWORKS | CHECKS),
        (["recognize", "--help"], TRAINING | FILES | PAGES | FIGURES | NETWORKS),
        pytest.param(
            ["recognize", "picture.png", "--out", "scenes", "--model", "tiny"],
            TRAINING | FILES | PAGES | FIGURES | SLOW,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["help", "version", "help of a command", "recognition"],
)
def test_a_command_loads_only_the_packages_that_it_needs(arguments, unneeded, tmp_path):
    tiny = tiny_kyvo()
    tiny.model.save_pretrained(tmp_path / "tiny")
    tiny.processor.save(tmp_path / "tiny")
    Image.new("RGB", (120, 80), "gray").save(tmp_path / "picture.png")
    code = (
        "import sys; from kyvo.cli.main import run\n"
        f"try: run({arguments})\n"
        "except SystemExit as left: assert not left.code\n"
        f"print(sorted(set({sorted(unneeded)}) & sys.modules.keys()))"
    )
    assert run_python(code, cwd=tmp_path).splitlines()[-1] == "[]"


def test_only_training_imports_torchtune():
    users = [path for path in sources("kyvo", "tokenizers", "eval") if path.relative_to(ROOT).parts[1] != "training"]
    guilty = [path for path in users if any(name.split(".")[0] == "torchtune" for name in imports_of(path))]
    assert guilty == []


def test_imports_point_one_way():
    guilty = []
    for path in sources("kyvo"):
        part = path.relative_to(ROOT / "kyvo").parts[0].removesuffix(".py")
        if part == "__init__":  # its names load on first use
            continue
        for name in imports_of(path):
            top, _, rest = name.partition(".")
            target = rest.split(".")[0]
            known = target in GROUND | REACH.keys()  # else a name of kyvo/__init__.py, such as __version__
            if top == "kyvo" and known and target not in {part} | GROUND | REACH.get(part, set()):
                guilty.append(f"{path.relative_to(ROOT)} imports {name}")
    assert guilty == []


def test_every_import_is_declared_in_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dev = project["optional-dependencies"].pop("dev")
    shipped = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    provided_by = importlib.metadata.packages_distributions()

    own = {path.stem for path in (ROOT / "tests").iterdir()}  # what tests share
    own |= {path.parent.name for path in (ROOT / "eval").glob("*/__init__.py")}  # what stands beside a program
    companions = {"bmesh": "bpy", "mathutils": "bpy", "pxr": "usd-core"}  # modules that come inside another

    def undeclared(paths: set[Path], requirements: list[str]) -> set[str]:
        declared = {re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-") for requirement in requirements}
        tops = {name.split(".")[0] for path in paths for name in imports_of(path)}
        tops = {companions.get(top, top) for top in tops}
        # An extra that is not installed has no entry: its distribution begins with the name of its package.
        return {
            top
            for top in tops - sys.stdlib_module_names - {"kyvo", *own}
            if not declared & {name.lower().replace("_", "-") for name in provided_by.get(top, [])}
            and not any(name.startswith(top.lower()) for name in declared)
        }

    for_tests = {*sources("tests"), ROOT / "eval" / "mutation.py"}
    assert undeclared({*sources("kyvo", "recipes", "tokenizers", "eval")} - for_tests, shipped) == set()
    assert undeclared(for_tests, [*shipped, *dev]) == set()


def imports_without_extras(path: Path) -> set[str]:
    """The packages that a file imports outside of `with extra(...)`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    apart = [node for node in ast.walk(tree) if isinstance(node, ast.With) and "extra(" in ast.unparse(node.items[0])]
    apart += [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(found) for node in apart for found in ast.walk(node)}
    tops = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            tops |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            tops.add(str(node.module).split(".")[0])
    return tops - sys.stdlib_module_names - {"kyvo"}


def test_what_comes_without_extras_imports_only_what_comes_without_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w-]+", requirement).group().lower() for requirement in project["dependencies"]}
    provided_by = importlib.metadata.packages_distributions()
    # These ask for their extra in another way: in their package's `__init__`, or with a message of their own.
    apart = {"serving", "testing.py"}
    own_message = {"open3d", "bpy", "bmesh", "mathutils", "probreg", "spconv", "gsplat", "DracoPy"}
    guilty = {
        f"{path.relative_to(ROOT)} imports {top}"
        for path in sources("kyvo")
        if path.relative_to(ROOT / "kyvo").parts[0] not in apart
        for top in imports_without_extras(path) - own_message
        if not declared & {name.lower().replace("_", "-") for name in provided_by.get(top, [])}
    }
    assert guilty == set()


def test_every_extra_that_the_code_names_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.compile(r"""extra\("(\w+)"\)|kyvo\[(\w+)\]""")
    found = {a or b for path in sources("kyvo") for a, b in named.findall(path.read_text(encoding="utf-8"))}
    assert {"data", "train", "serve", "studio", "mesh", "llama"} <= found <= set(extras) | {"NAME", "name"}


def test_recipes_are_modules_of_the_package_from_any_directory(tmp_path):
    paths = sorted((ROOT / "recipes").glob("*.py"))
    modules = ["kyvo.recipes" if path.stem == "__init__" else f"kyvo.recipes.{path.stem}" for path in paths]
    code = f"import importlib.util as u; print([u.find_spec(name).origin for name in {modules}])"
    for path, found in zip(paths, ast.literal_eval(run_python(code, cwd=tmp_path)), strict=True):
        assert Path(found).read_bytes() == path.read_bytes()


def test_configs_are_found_through_the_package(tmp_path):
    code = "import importlib.resources as r; print(sorted(p.name for p in r.files('kyvo.configs').iterdir()))"
    found = ast.literal_eval(run_python(code, cwd=tmp_path))
    assert {path.name for path in (ROOT / "configs").iterdir() if path.suffix != ".pyc"} <= set(found)


def test_every_package_is_listed_in_pyproject():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in sources("kyvo")}
    assert all((ROOT / folder / "__init__.py").is_file() for folder in folders)
    assert sorted(listed) == sorted({".".join(folder.parts) for folder in folders} | {"kyvo.configs", "kyvo.recipes"})


def test_no_file_names_a_machine():
    pattern = re.compile(
        r"(?<![\w.])/(work|root|home|farm|opt)/\w|\b(pypi\.org|pythonhosted\.org|download\.pytorch\.org)"
    )
    guilty = []
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" not in data and (match := pattern.search(data.decode("utf-8"))):
            guilty.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert guilty == []


def test_no_file_is_over_16_mib():
    assert [path.name for path in repository_files() if path.stat().st_size > 16 * 2**20] == []


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_data_and_nothing_else(tmp_path):
    clone = tmp_path / "clone"  # setuptools would leave its build folder in the tree
    for path in repository_files():
        target = clone / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    command = [sys.executable, "-m", "pip", "wheel", str(clone), "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(tmp_path)], check=True, timeout=250)
    (wheel,) = tmp_path.glob("kyvo-*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    places = {"kyvo": "kyvo", "recipes": "kyvo/recipes", "configs": "kyvo/configs"}
    expected = {
        places[path.relative_to(ROOT).parts[0]] + "/" + "/".join(path.relative_to(ROOT).parts[1:])
        for path in repository_files()
        if path.relative_to(ROOT).parts[0] in places
    }
    assert shipped == expected
    assert wheel.stat().st_size < 100e6
