import pytest

from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.files import pair_files


def folder(tmp_path, name, *files):
    path = tmp_path / name
    path.mkdir()
    for file in files:
        (path / file).write_bytes(b"x")
    return path


def test_files_pair_by_stem_and_the_rest_is_listed(tmp_path):
    ours = folder(tmp_path, "ours", "a.png", "b.JPG", "extra.png", "manifest.jsonl", ".hidden")
    theirs = folder(tmp_path, "theirs", "a.jpg", "b.png", "c.png")
    found = pair_files(ours, theirs, suffixes=(".png", ".jpg"))
    assert {key: (a.name, b.name) for key, (a, b) in found.pairs.items()} == {
        "a": ("a.png", "a.jpg"),
        "b": ("b.JPG", "b.png"),
    }
    assert {row["key"]: row["reason"] for row in found.excluded} == {
        "c": "there is no prediction",
        "extra": "the truth has no such name",
        "manifest.jsonl": "is none of .png, .jpg",
    }
    assert found.inputs["truth"]["items"] == 3


def test_folders_that_do_not_pair_are_refused(tmp_path):
    ours, theirs = folder(tmp_path, "ours", "a.png"), folder(tmp_path, "theirs", "b.png")
    with pytest.raises(SceneError, match="have no name in common"):
        pair_files(ours, theirs, suffixes=(".png",))
    (theirs / "b.jpg").write_bytes(b"x")
    with pytest.raises(SceneError, match=r"b.jpg and b.png share a name; remove one"):
        pair_files(ours, theirs, suffixes=(".png", ".jpg"))
    with pytest.raises(ConfigError, match=r"a.png is no folder; give one of files that end in .png"):
        pair_files(ours / "a.png", theirs, suffixes=(".png",))
