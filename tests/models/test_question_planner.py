"""The planner of questions reads each text with its scene alone, and comes back as it was saved."""

import torch

from kyvo.models.heads.planner import MAX_IDS
from kyvo.models.heads.question_planner import load_question_planner, save_question_planner
from kyvo.testing import tiny_question_planner

LENGTHS, OBJECTS = (5, MAX_IDS + 9), (4, 2)


def drawn():
    """Two texts and their scenes, padded to the longer one."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, max(LENGTHS), 24, generator=generator)
    valid = torch.arange(states.shape[1]) < torch.tensor(LENGTHS)[:, None]
    words = torch.randint(2, (2, max(OBJECTS), 4), generator=generator)
    locations = torch.randn(2, max(OBJECTS), 3, generator=generator)
    return states, valid, words, locations, torch.arange(max(OBJECTS)) < torch.tensor(OBJECTS)[:, None]


def test_what_is_beside_a_text_or_a_scene_in_the_batch_is_not_seen():
    planner, given = tiny_question_planner(dim=24), drawn()
    together = planner(*given)
    assert together.operands.shape == (2, 2, max(OBJECTS))
    for row, (length, count) in enumerate(zip(LENGTHS, OBJECTS, strict=True)):
        sizes = (length, length, count, count, count)
        alone = planner(*(part[row : row + 1, :size] for part, size in zip(given, sizes, strict=True)))
        torch.testing.assert_close(alone.question[0], together.question[row], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.operands[0], together.operands[row, :, :count], rtol=0, atol=1e-5)


def test_words_and_places_of_objects_count():
    planner, (states, valid, words, locations, present) = tiny_question_planner(dim=24), drawn()
    told = planner(states, valid, words, locations, present).operands
    for others in ((1 - words, locations), (words, -locations)):
        assert not torch.allclose(told, planner(states, valid, *others, present).operands, atol=1e-4)


def test_it_comes_back_as_it_was_saved(tmp_path):
    planner, given = tiny_question_planner(dim=24), drawn()
    save_question_planner(tmp_path, planner)
    loaded = load_question_planner(tmp_path)
    assert loaded.config == planner.config
    one, other = loaded(*given), planner(*given)
    torch.testing.assert_close(one.question, other.question, rtol=0, atol=0.1)  # bfloat16
    torch.testing.assert_close(one.operands[0], other.operands[0], rtol=0, atol=0.1)
    assert load_question_planner(tmp_path / "elsewhere") is None
