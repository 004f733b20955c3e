import io
import sys

import pytest

from kyvo.batch.inputs import find_pictures, read_list
from kyvo.errors import ConfigError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def keys(*inputs):
    return [item.key for item in find_pictures(inputs) if item.fault is None]


def test_a_folder_gives_the_pictures_below_it_and_nothing_else(tmp_path):
    touch(tmp_path, "b.png", "a.JPG", "notes.txt", ".hidden.png", ".git/c.png", "day1/a.png", "day1/deep/er/x.webp")
    assert keys(tmp_path) == ["a", "b", "day1/a", "day1/deep/er/x"]


def test_outputs_mirror_the_folders_below_the_one_that_holds_all(tmp_path):
    touch(tmp_path, "day1/a.png", "day2/a.png", "day2/b.png")
    assert keys(tmp_path / "day1" / "a.png") == ["a"]
    assert keys(tmp_path / "day1", tmp_path / "day2") == ["day1/a", "day2/a", "day2/b"]
    assert keys(tmp_path / "day1" / "a.png", tmp_path / "day2" / "a.png") == ["day1/a", "day2/a"]
    assert keys(tmp_path / "day2" / "b.png", tmp_path / "day2") == ["b", "a"], "each picture once"


def test_patterns_are_looked_up_here_where_the_shell_has_not(tmp_path, monkeypatch):
    touch(tmp_path, "photos/day1/a.png", "photos/day2/b.png", "photos/day2/c.txt", "photos/x[1].png")
    monkeypatch.chdir(tmp_path)
    assert keys("photos/**/*.png") == ["day1/a", "day2/b", "x[1]"]
    assert keys("photos/*") == ["day1/a", "day2/b", "x[1]"]
    assert keys("photos/x[1].png") == ["x[1]"], "a file of that very name comes first"


def test_one_picture_in_the_place_of_another_is_a_fault_of_the_second(tmp_path):
    touch(tmp_path, "a.png", "a.jpg")
    first, second = find_pictures([tmp_path])
    assert (first.key, first.fault) == ("a", None) and first.path.name == "a.jpg"
    assert "a.jpg is written to a already" in second.fault


def test_a_list_is_read_from_a_file_or_from_standard_input(tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("a b.png\n\n  photos \n")
    assert read_list(tmp_path / "list.txt") == ["a b.png", "photos"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("x.png\n"))
    assert read_list(type(tmp_path)("-")) == ["x.png"]
    with pytest.raises(ConfigError, match="a list has one path a line"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ConfigError, match="not a readable text file"):
        read_list(tmp_path / "picture.png")
