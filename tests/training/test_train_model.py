from dataclasses import replace

import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.models.llama.embedding import CompositeEmbedding
from kyvo.models.llama.presets import SIZES, kyvo_tiny
from kyvo.scene.fields import grid
from kyvo.tokenizers.vocabulary import Vocabulary, kyvo_vocabulary
from kyvo.training.model import attention_mask, build_decoder, decoder

SMALL = Vocabulary(name="small", num_text=40, numbers=grid(-1, 1, 0.1), markers=("[A]",), num_image_codes=8)


def tiny():
    torch.manual_seed(0)
    return decoder(SMALL, torch.randn(8, 4), size="kyvo_tiny", scale=0.5).eval()


def test_hidden_states_through_the_head_are_the_decoders_logits():
    model, ids = tiny(), torch.randint(len(SMALL), (2, 30))
    torch.testing.assert_close(model.output(model.hidden(ids)), model(ids))


def test_states_on_the_way_are_those_after_that_many_layers():
    torch.manual_seed(0)
    size = replace(kyvo_tiny(), num_layers=8)
    embedding = CompositeEmbedding(vocabulary=SMALL, dim=size.dim, image_codebook=torch.randn(8, 4))
    model = build_decoder(size, embedding).eval()
    ids = torch.randint(0, len(SMALL), (2, 9))
    with torch.no_grad():
        found = model.hidden_states(ids)
        states = [model.tok_embeddings(ids)]
        for layer in model.layers:
            states.append(layer(states[-1]))
    assert torch.equal(found.early, states[2]) and torch.equal(found.middle, states[5])
    assert torch.equal(found.last, model.norm(states[8])) and torch.equal(found.last, model.hidden(ids))


def test_the_head_starts_as_the_text_and_at_its_scale():
    model = tiny()
    assert torch.equal(model.output.weight[:40], model.tok_embeddings.text.weight)
    assert model.output.weight is not model.tok_embeddings.text.weight
    assert model.output.weight[40:].std().item() == pytest.approx(0.5, rel=0.1)


def test_smooth_numbers_share_what_they_learn_with_their_neighbours_only():
    torch.manual_seed(0)
    model = decoder(SMALL, torch.randn(8, 4), size="kyvo_tiny", smooth_numbers=True)
    states = torch.randn(4, 32)
    before = model.output(states)
    loss = torch.nn.functional.cross_entropy(before, torch.full((4,), 50))  # the number in place 10 of 41
    loss.backward()
    with torch.no_grad():
        model.output.number_map.weight -= 0.5 * model.output.number_map.weight.grad
        gain = (model.output(states) - before).mean(0)
    assert gain[49] > 0 and gain[51] > 0 and gain[49] > gain[40]
    assert gain[:40].abs().max() == 0  # text has rows of its own


def spanned(length, span):
    """A row's spans and branches: one span, no branch."""
    spans = torch.full((1, length), -1)
    spans[0, slice(*span)] = 0
    return spans, torch.full((1, length), -1)


def test_without_a_span_the_future_is_unseen_and_with_one_it_is_seen_inside_only():
    model, ids = tiny(), torch.randint(len(SMALL), (1, 12))
    changed = ids.clone()
    changed[0, 7] = (ids[0, 7] + 1) % len(SMALL)
    mask = attention_mask(*spanned(12, (4, 8)))

    def reached(mask):
        with torch.no_grad():
            gap = (model.hidden(ids, mask=mask) - model.hidden(changed, mask=mask)).abs().amax(-1)[0]
        return [place for place in range(12) if gap[place] > 1e-6]

    assert reached(None) == [7, 8, 9, 10, 11]
    assert reached(mask) == [4, 5, 6, 7, 8, 9, 10, 11]


def test_a_mask_without_spans_and_branches_is_causal_and_a_span_adds_its_future():
    none, one = (attention_mask(*spanned(12, span))[0] for span in ((0, 0), (2, 5)))
    assert torch.equal(none, torch.ones(12, 12).tril().bool())
    assert one.sum() == none.sum() + 3


def test_sequences_that_share_a_row_see_their_own_past_and_spans_only():
    model = tiny()
    first, second = torch.randint(len(SMALL), (1, 9)), torch.randint(len(SMALL), (1, 7))
    shared = torch.cat([first, second, torch.zeros(1, 4, dtype=first.dtype)], dim=1)
    documents = torch.tensor([[0] * 9 + [1] * 7 + [-1] * 4])
    spans = torch.full((1, 20), -1)
    spans[0, 2:5], spans[0, 11:14] = 0, 1
    mask = attention_mask(spans, torch.full((1, 20), -1), documents)
    alone = [model.hidden(first, mask=attention_mask(*spanned(9, (2, 5))))]
    alone.append(model.hidden(second, mask=attention_mask(*spanned(7, (2, 5)))))
    torch.testing.assert_close(model.hidden(shared, mask=mask)[:, :16], torch.cat(alone, dim=1))


def test_frozen_rows_of_a_head_load_from_and_into_a_whole_one():
    torch.manual_seed(0)
    whole = decoder(SMALL, torch.randn(8, 4), size="kyvo_tiny", smooth_numbers=True)
    parted = decoder(
        SMALL, whole.tok_embeddings.image.codebook, size="kyvo_tiny", smooth_numbers=True, freeze_head_text=True
    )
    parted.load_state_dict(whole.state_dict())
    torch.testing.assert_close(parted.output.table(), whole.output.table(), rtol=0, atol=0)
    assert parted.output.frozen.shape == (40, 32) and not parted.output.frozen.requires_grad
    with torch.no_grad():
        parted.output.weight.add_(1.0)
    whole.load_state_dict(parted.state_dict())
    torch.testing.assert_close(parted.output.table(), whole.output.table(), rtol=0, atol=0)


def test_padding_on_the_right_changes_nothing():
    model, ids = tiny(), torch.randint(len(SMALL), (1, 20))
    padded = torch.cat([ids, torch.zeros(1, 12, dtype=ids.dtype)], dim=1)
    torch.testing.assert_close(model.hidden(padded)[:, :20], model.hidden(ids))


@pytest.mark.parametrize(("size", "billions"), [("kyvo_1b", 1.236), ("kyvo_3b", 3.213)])
def test_large_presets_have_llamas_layers(size, billions):
    figures = SIZES[size]()
    with torch.device("meta"):
        model = decoder(kyvo_vocabulary(), torch.empty(1024, 256), torch.empty(8192, 128), size=size)
    layers = sum(
        parameter.numel() for name, parameter in model.named_parameters() if name.startswith(("layers", "norm"))
    )
    assert (layers + 128_256 * figures.dim) / 1e9 == pytest.approx(billions, abs=1e-3)  # Meta's count, its head is tied
    assert model.output.weight.shape == (137_607, figures.dim)


def test_presets_are_values():
    assert kyvo_tiny() == kyvo_tiny() and kyvo_tiny().head_dim == 8
    with pytest.raises(ConfigError, match=r"model\.size is 'kyvo_2b'; known sizes are kyvo_tiny"):
        decoder(SMALL, torch.randn(8, 4), size="kyvo_2b")
