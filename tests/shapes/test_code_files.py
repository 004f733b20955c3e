"""Files of codes: what is written comes back, and what is no such file is refused before it is believed."""

import json
from pathlib import Path

import numpy as np
import pytest

from kyvo.errors import ConfigError, TokenError
from kyvo.shapes.code_files import CodeFile, ShapeCodes, is_code_file, unique_names
from kyvo.shapes.mesh import CubeTransform

PLACE = CubeTransform(center=(1.0, -2.0, 0.5), size=3.5, turn=((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
FILE = CodeFile(
    tokenizer="ab" * 32,
    objects=(
        ShapeCodes(name="chair", source="chair.glb", place=PLACE, codes=np.arange(8)),
        ShapeCodes(name="späte Tasse", codes=np.full(8, 2047)),
    ),
)


def plain(file: CodeFile) -> list:
    return [file.tokenizer] + [(item.name, item.source, item.place, item.codes.tolist()) for item in file.objects]


@pytest.mark.parametrize("name", ["codes.json", "codes.npz"])
def test_a_file_comes_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    FILE.save(tmp_path / name)
    assert is_code_file(tmp_path / name)
    assert plain(CodeFile.load(tmp_path / name)) == plain(FILE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_json_and_npz_hold_the_same(tmp_path: Path) -> None:
    FILE.save(tmp_path / "a.json")
    CodeFile.load(tmp_path / "a.json").save(tmp_path / "b.npz")
    assert plain(CodeFile.load(tmp_path / "b.npz")) == plain(FILE)


def test_files_of_one_stem_get_names_of_their_own() -> None:
    paths = [Path(name) for name in ("a/cup.glb", "b/cup.obj", "cup_2.ply", "c/cup.glb")]
    assert unique_names(paths) == ["cup", "cup_2", "cup_2_2", "cup_3"]


def test_pickled_objects_are_refused_unread(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "codes.npz"
    np.savez(path, about=np.array("{}"), codes=np.array([[Bomb()]], dtype=object), allow_pickle=True)
    with pytest.raises(TokenError, match=r"codes\.npz: codes holds pickled Python objects.*refused"):
        CodeFile.load(path)
    assert not (tmp_path / "ran").exists()


def test_an_array_that_claims_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "codes.npz"
    np.savez(path, about=np.array("{}"), codes=np.zeros((1, 8), np.int32))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["codes.npy"] = parts["codes.npy"].replace(b"(1, 8), ", b"(9999999999999, 8), ")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(TokenError, match=r"codes claims to be int32 \[9999999999999, 8\]|codes\.npz is no readable"):
        CodeFile.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "it is no file of codes; `kyvo shape encode` writes one"),
        ({"version": 2}, "version is 2; this Kyvo reads 1"),
        ({"objects": []}, "objects a list with at least one object"),
        ({"objects": [{"name": "../../evil", "codes": [1]}]}, r"objects\[0\]: name is '../../evil'"),
        ({"objects": [{"name": "a", "codes": [1.5]}]}, r"objects\[0\]: codes is no list of integers"),
        ({"objects": [{"name": "a", "codes": [1, True]}]}, r"objects\[0\]: codes is no list of integers"),
        ({"objects": [{"name": "a", "codes": [1]}] * 2}, r"objects\[1\]: name is 'a', as an earlier one's"),
        ({"objects": [{"name": "a", "codes": [[1], [2, 3]]}]}, r"codes\.json"),
        ({"objects": [{"name": "a", "codes": [1], "place": {"size": 1}}]}, "place has center, size and turn"),
        (
            {"objects": [{"name": "a", "codes": [1], "place": {"center": [0, 0, 0], "size": -1, "turn": []}}]},
            r"place\.size: -1 is no length",
        ),
        (
            {"objects": [{"name": "a", "codes": [1], "place": {"center": [0, 0], "size": 1, "turn": []}}]},
            r"place\.center: \[0, 0\] is not three finite numbers",
        ),
        (
            {"objects": [{"name": "a", "codes": [1], "place": {"center": [0] * 3, "size": 1, "turn": [[1] * 3] * 3}}]},
            r"place\.turn: .* is no rotation",
        ),
    ],
)
def test_what_is_no_file_of_codes_is_refused_by_its_place(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "codes.json"
    FILE.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(TokenError, match=message):
        CodeFile.load(path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    FILE.save(tmp_path / "codes.json")
    text = (tmp_path / "codes.json").read_text()
    (tmp_path / "codes.json").write_text(text.replace('"version"', '"version": 1, "version"', 1))
    with pytest.raises(TokenError, match="the key 'version' stands twice"):
        CodeFile.load(tmp_path / "codes.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"codes\.txt: codes are kept in \.json or \.npz"):
        FILE.save(tmp_path / "codes.txt")
    with pytest.raises(TokenError, match="does not exist"):
        CodeFile.load(tmp_path / "codes.json")
    for name in ("codes.json", "codes.npz"):
        (tmp_path / name).write_bytes(b"PK{")
        with pytest.raises(TokenError, match=rf"{name} is no readable file of codes"):
            CodeFile.load(tmp_path / name)
    np.savez(tmp_path / "few.npz", about=np.array('{"objects": []}'), codes=np.zeros((1, 8), np.int32))
    with pytest.raises(TokenError, match=r"few\.npz: about does not list the 1 objects"):
        CodeFile.load(tmp_path / "few.npz")
    np.savez(tmp_path / "other.npz", feats=np.zeros(3))
    assert not is_code_file(tmp_path / "other.npz")
    with pytest.raises(TokenError, match="there is no array 'about' but feats"):
        CodeFile.load(tmp_path / "other.npz")
