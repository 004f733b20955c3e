"""Every writer writes its file whole, or names the file that it cannot write, whatever the disk does."""

import ast
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kyvo.batch.outputs import Manifest, ManifestLine, SceneLines, open_outputs
from kyvo.data.dataset import write_set
from kyvo.data.generators import ClevrSet
from kyvo.data.statistics import plot_counts
from kyvo.errors import FileError, KyvoError
from kyvo.evaluation.report import write_report
from kyvo.evaluation.results import Figure, Results, save_results
from kyvo.export.formats import export_scene
from kyvo.files import append_line, locked, replacing, replacing_folder, write_picture, write_plain_json, write_text
from kyvo.generation.calibration import Calibration
from kyvo.models.network_files import save_network
from kyvo.models.slat.latent import StructuredLatent
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject
from kyvo.shapes.code_files import CodeFile, ShapeCodes
from kyvo.testing import tiny_processor, tiny_refiner
from kyvo.tokenizers.training import log, write_state
from kyvo.training.checkpoint import save_checkpoint

ROOT = Path(__file__).resolve().parent.parent
CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
SCENE = Scene(objects=(CUBE,) * 8)
RESULTS = Results(kind="scenes", protocol={}, figures=(Figure(name="jaccard", value=0.5),))
CODES = CodeFile(tokenizer="0" * 64, objects=(ShapeCodes(name="a", codes=np.arange(512)),))
LATENT = StructuredLatent(coords=torch.tensor([[1, 2, 3], [4, 5, 6]]), feats=torch.ones(2, 8))


def _checkpoint(folder: Path) -> None:
    def write_model(model: Path) -> None:
        tiny_processor().save(model)

    save_checkpoint(folder, step=1, state={"a": torch.zeros(500)}, write_model=write_model, keep_last=2)


WRITERS: dict[str, Callable[[Path], object]] = {
    "scene": lambda folder: save_scene(SCENE, folder / "scene.json"),
    "text": lambda folder: write_text(folder / "a.txt", "text" * 50),
    "json": lambda folder: write_plain_json(folder / "a.json", list(range(50))),
    "picture": lambda folder: write_picture(folder / "a.png", Image.effect_noise((32, 32), 50)),
    "chart": lambda folder: plot_counts({"a": {"b": 1}}, folder / "a.png"),
    "results": lambda folder: save_results(RESULTS, folder / "results.json"),
    "report": lambda folder: write_report(RESULTS, folder),
    "calibration": lambda folder: Calibration(scale=1.0, shift=0.0).save(folder, {"about": "x" * 100}),
    "network": lambda folder: save_network(folder / "refiner.safetensors", tiny_refiner()),
    "processor": lambda folder: tiny_processor().save(folder),
    "state": lambda folder: write_state({"a": torch.zeros(500)}, folder / "training.pt"),
    "checkpoint": _checkpoint,
    "latent": lambda folder: LATENT.save(folder / "a.npz"),
    "codes": lambda folder: CODES.save(folder / "a.json"),
    "packed codes": lambda folder: CODES.save(folder / "a.npz"),
    "set": lambda folder: write_set(folder / "set", ClevrSet(count=2, seed=0, width=32, height=32)),
    "recognised scene": lambda folder: open_outputs(folder, "kyvo").save("a/b", SCENE),
    "recognised line": lambda folder: SceneLines(folder).save("a", SCENE),
    "manifest": lambda folder: Manifest(folder).append(ManifestLine(input="/a.png")),
    "log": lambda folder: log(folder, {"loss": 1.0, "words": "x" * 100}),
} | {
    name: lambda folder, name=name: export_scene(SCENE, folder / f"scene{name}")
    for name in (".glb", ".usda", ".usdc", ".html", ".py", ".clevr.json")
}  # fmt: skip


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def quota(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_quota_is_told_with_the_file_and_leaves_no_half_of_one(name, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)  # pytest keeps what is printed in a file
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    WRITERS[name](first)
    largest = max(map(len, _files(first).values()))
    with quota(largest // 2), pytest.raises(KyvoError, match=rf"{second}.*cannot be written"):
        WRITERS[name](second)
    for file, data in _files(second).items():
        assert not Path(file).name.startswith("."), f"{file} was left behind"
        assert not data or len(data) == len(_files(first)[file]), f"half of {file} stands there"


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_told_and_what_was_there_stays(name, small_disk):
    folder = small_disk / "out"
    folder.mkdir()
    with suppress(KyvoError):  # some are larger than the disk
        WRITERS[name](folder)
    for size in (4096, 1):
        with suppress(OSError), (small_disk / "filler").open("ab", buffering=0) as filler:
            while filler.write(b"x" * size):
                pass
    before = _files(folder)
    with pytest.raises(KyvoError, match=rf"{folder}.*cannot be written"):
        for _ in range(200):  # the last page of a file takes some further lines
            WRITERS[name](folder)
    after = _files(folder)
    assert before.keys() == after.keys(), "something was left behind, or is gone"
    for file, data in after.items():
        if file.endswith(".jsonl"):
            assert all(json.loads(line) for line in data.decode().splitlines())
        else:
            assert data == before[file]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_cannot_be_written_is_told(name):
    with pytest.raises(KyvoError, match=r"/proc/kyvo.*cannot be written"):  # nobody makes a file there
        WRITERS[name](Path("/proc/kyvo"))


# What may write: the functions of kyvo.files alone, and these where the file is a draft or nobody's.
WRITING = {
    "write_text",
    "write_bytes",
    "savefig",
    "save_file",
    "savez",
    "savez_compressed",
    "copyfile",
    "copy2",
    "touch",
}
ELSEWHERE = {  # file -> what it does itself, into a draft or a stream
    "kyvo/models/weights.py": {"save_file"},
    "kyvo/batch/outputs.py": {"open"},
    "kyvo/data/interchange.py": {"open"},
    "kyvo/evaluation/memory.py": {"write_text"},  # into /proc, which makes the kernel count anew
    "kyvo/evaluation/plots.py": {"savefig"},
    "kyvo/serving/object_reading.py": {"savez", "write_bytes"},  # into a buffer, and a folder of its process alone
    "eval/mutation.py": {"open", "copytree", "copy2", "write_bytes"},  # Kyvo is loaded by its children alone
}


def _names_called(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "open" and any(
                isinstance(word, ast.Constant) and isinstance(word.value, str) and set(word.value) & set("wax+")
                for word in node.args[-1:]
            ):
                yield "open"
            if name in ("replace", "rename") and isinstance(owner, ast.Name) and owner.id == "os":
                yield "os.replace"
            if name in WRITING and owner is not None:
                yield name


def test_all_writing_goes_through_one_module():
    guilty = []
    tops = [ROOT / top for top in ("kyvo", "recipes", "tokenizers", "eval")]
    for path in sorted(path for top in tops for path in top.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name != "kyvo/files.py":
            guilty += [f"{name}: {call}" for call in _names_called(path) if call not in ELSEWHERE.get(name, ())]
    assert guilty == []


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "lines.jsonl"
    append_line(path, {"a": 1})
    before = path.read_bytes()
    with quota(len(before) + 20), pytest.raises(FileError, match=r"lines\.jsonl: cannot be written \(File too large\)"):
        append_line(path, {"text": "x" * 100})
    assert path.read_bytes() == before
    append_line(path, {"b": 2})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 1}, {"b": 2}]


def test_a_line_for_a_full_disk_is_told():
    with pytest.raises(FileError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        append_line("/dev/full", {"a": 1})


def test_half_a_line_of_a_killed_run_is_closed_first(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    append_line(path, {"c": 3})
    assert path.read_text().splitlines() == ['{"a": 1}', '{"b"', '{"c": 3}']


def test_a_folder_is_one_process_s_alone(tmp_path):
    code = (
        "import sys, time\nfrom kyvo.files import locked\n"
        "with locked(sys.argv[1]):\n    print('mine', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "mine\n"
        with pytest.raises(FileError, match="is being written by another process"), locked(tmp_path):
            pass
        other.kill()
    with locked(tmp_path):  # what was killed holds it no longer
        pass


def test_drafts_of_killed_runs_go_and_other_files_stay(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom kyvo.files import replacing, replacing_folder\n"
        "with replacing(sys.argv[1] + '/a.json') as one, replacing_folder(sys.argv[1] + '/sub/b') as two:\n"
        "    one.write_text('half'); (two / 'c').write_text('half'); os._exit(9)\n"
    )
    (tmp_path / "sub").mkdir()
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    assert len([path for path in tmp_path.rglob(".*")]) == 2
    living = f".c.json.{os.getpid()}-7.part"
    for name in ("data.part", ".hidden", ".a.part", "a.json", living):
        (tmp_path / name).write_text("mine")
    with locked(tmp_path):
        assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
            ".a.part", living, ".hidden", "a.json", "data.part", "sub",
        ]  # fmt: skip


def test_a_device_or_a_pipe_is_written_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.json").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "pipe.json"):
        reader = os.open(tmp_path / name, os.O_RDONLY | os.O_NONBLOCK)
        write_text(tmp_path / name, "text")
        assert os.read(reader, 10) == b"text"
        os.close(reader)
        assert (tmp_path / name).is_fifo()


def test_a_draft_is_not_written_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with replacing(tmp_path / "a.json") as draft:
        name = draft.name
    (tmp_path / name).symlink_to(victim)
    write_text(tmp_path / "a.json", "new")
    assert victim.read_text() == "mine" and (tmp_path / "a.json").read_text() == "new"


def test_a_folder_that_holds_files_is_not_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("mine")
    with pytest.raises(FileError, match="cannot be written"), replacing_folder(tmp_path / "a") as draft:
        (draft / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mine"]
