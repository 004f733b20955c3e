import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.models.llama.embedding import CompositeEmbedding, Positions, position_vectors, sine_cosine
from kyvo.scene.fields import grid
from kyvo.tokenizers.vocabulary import Vocabulary, release_objectron_vocabulary

SMALL = Vocabulary(
    name="small",
    num_text=50,
    numbers=grid(-1, 1, 0.1),
    markers=("[A]", "[B]", "[C]"),
    num_image_codes=16,
    num_shape_codes=8,
)


def small_embedding(**settings):
    torch.manual_seed(0)
    return CompositeEmbedding(
        vocabulary=SMALL, dim=32, image_codebook=torch.randn(16, 6), shape_codebook=torch.randn(8, 4) + 3, **settings
    )


@pytest.mark.parametrize("numbers", ["fixed", "learned", "hybrid"])
def test_embedding_ids_is_looking_them_up_in_the_table(numbers):
    embedding = small_embedding(numbers=numbers)
    ids = torch.randint(len(SMALL), (3, 40))
    assert torch.equal(embedding(ids), embedding.table()[ids])
    assert embedding.table().shape == (len(SMALL), 32)


def test_each_kind_of_token_has_its_own_part():
    embedding, ranges = small_embedding(), SMALL.ranges
    table = embedding.table()
    wave = embedding.numbers.weight + embedding.waves
    torch.testing.assert_close(table[ranges["number"].start : ranges["number"].stop], wave)
    projected = embedding.image.codebook @ embedding.image.projection.weight.T
    torch.testing.assert_close(table[ranges["image"].start : ranges["image"].stop], projected)
    assert torch.equal(table[ranges["marker"].start], embedding.markers.weight[0])


def test_sine_cosine_is_the_formula():
    rows = sine_cosine(7, 8)
    assert rows[5, 4].item() == pytest.approx(math.sin(5 / 10_000 ** (4 / 8)), rel=1e-5)
    assert rows[5, 5].item() == pytest.approx(math.cos(5 / 10_000 ** (4 / 8)), rel=1e-5)


def test_all_parts_start_at_the_scale_of_the_text():
    embedding = CompositeEmbedding(
        vocabulary=Vocabulary(
            name="wide",
            num_text=1000,
            numbers=grid(-3, 3, 0.05),
            markers=tuple(f"[{i}]" for i in range(40)),
            num_image_codes=256,
        ),
        dim=256,
        image_codebook=torch.randn(256, 8) * 5,
        scale=0.03,
    )
    for part in (embedding.text.weight, embedding.numbers.weight, embedding.markers.weight, embedding.image()):
        assert part.square().mean().sqrt().item() == pytest.approx(0.03, rel=0.15)
    assert embedding.waves.square().mean().sqrt().item() == pytest.approx(0.03, rel=0.02)


def test_gradients_reach_what_is_trained_and_nothing_else():
    embedding = small_embedding(freeze_text=True)
    embedding(torch.arange(len(SMALL))[None]).square().sum().backward()
    trained = {name for name, parameter in embedding.named_parameters() if parameter.grad is not None}
    assert trained == {"numbers.weight", "markers.weight", "image.projection.weight", "shape.projection.weight"}


def test_an_id_of_one_kind_sends_no_gradient_to_the_others():
    embedding = small_embedding()
    embedding(torch.tensor([[SMALL.marker_id("[B]")]])).sum().backward()
    assert embedding.text.weight.grad.abs().sum() == 0
    assert embedding.markers.weight.grad.abs().sum(1).tolist() == [0, 32, 0]


def test_the_released_objectron_fault_is_kept():
    vocabulary = release_objectron_vocabulary()
    small = Vocabulary.from_dict({**vocabulary.to_dict(), "num_text": 10, "num_image_codes": 4})
    embedding = CompositeEmbedding(vocabulary=small, dim=32, image_codebook=torch.randn(4, 3))
    assert embedding.numbers.weight.shape == (104, 32)
    assert embedding.markers.weight.shape == (12, 32)
    first_marker = embedding(torch.tensor([[small.ranges["marker"].start]]))[0, 0]
    torch.testing.assert_close(first_marker, embedding.numbers.weight[103] + embedding.waves[103])


def test_waves_are_no_state_and_come_back_after_the_meta_device():
    embedding = small_embedding()
    assert "waves" not in embedding.state_dict()
    with torch.device("meta"):
        empty = small_embedding()
    empty.to_empty(device="cpu")
    for module in empty.modules():
        if hasattr(module, "rope_init"):
            module.rope_init()
    empty.load_state_dict(embedding.state_dict())
    assert torch.equal(empty.table(), embedding.table())


def test_a_written_code_says_where_it_stands_and_where_the_next_one_goes():
    torch.manual_seed(0)
    order = [4, 3, 5, 2, 1, 0]
    positions = Positions(2, 3, 8, num_objects=4, order=np.array(order))
    codes, objects, written = positions.table().detach().split([6, 4, 6])
    assert torch.equal(objects, positions.objects.weight)
    following = written - codes
    for place, then in pairwise([*order, order[0]]):
        row, column = divmod(then, 3)
        expected = positions.next_rows.weight[row] + positions.next_columns.weight[column]
        torch.testing.assert_close(following[place], expected)
    assert position_vectors(positions.table(), torch.tensor([-1])).eq(0).all()


def test_a_codebook_of_another_size_is_refused():
    with pytest.raises(ConfigError, match="image codebook has 15 rows, but the vocabulary has 16"):
        CompositeEmbedding(
            vocabulary=SMALL, dim=32, image_codebook=torch.randn(15, 6), shape_codebook=torch.randn(8, 4)
        )
    with pytest.raises(ConfigError, match="shape codebook has 7 rows, but the vocabulary has 8"):
        CompositeEmbedding(
            vocabulary=SMALL, dim=32, image_codebook=torch.randn(16, 6), shape_codebook=torch.randn(7, 4)
        )
    with pytest.raises(ConfigError, match="image codebook has 0 rows"):
        CompositeEmbedding(vocabulary=SMALL, dim=32, shape_codebook=torch.randn(8, 4))


def test_shape_codes_that_no_schema_uses_need_no_codebook():
    embedding = CompositeEmbedding(vocabulary=SMALL, dim=32, image_codebook=torch.randn(16, 6))
    shapes = torch.tensor(SMALL.ranges["shape"])
    assert embedding.table().shape == (len(SMALL), 32)
    assert not embedding(shapes).any()
    assert embedding(torch.tensor(SMALL.ranges["image"])).any()
