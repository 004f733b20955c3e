"""An edit that concerns one object, found by the likelihood of the whole scene.

Greedy decoding settles which object is another at the first id that differs, long before the rest of it is written.
Here the candidates are whole scenes that are as before but for one object: one more, or one of those that the model
would least copy, changed or gone. Changed and new objects are written greedily (`PinnedGrammar`); then the model reads
every candidate, and the likeliest is taken. The scene as it was is among them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kyvo.generation.engine import Engine
from kyvo.generation.pinned import PinnedGrammar, object_ids
from kyvo.generation.requests import Decoded, Request
from kyvo.scene.scene import Scene
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

TASK = TASKS["scene_editing"]
TRIED = 3  # objects of which it is tried that they are changed, or gone


def one_change(engine: Engine, builder: SequenceBuilder, scene: Scene, instruction: str) -> Decoded:
    """The likeliest scene after an instruction in which at most one object is new, changed or gone.

    Raises SceneError for a scene that the schema cannot hold, TokenError for one that is too long for the model.
    """
    prompt = builder.prompt(TASK, Segments(scene=scene, text=instruction))
    start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.SCENE])
    objects = object_ids(builder, scene)

    def written(kept: Sequence[Sequence[int]]) -> tuple[int, ...]:
        return (start, *(token for item in kept for token in item), end, builder.text.eos_id)

    same = written(objects)
    sure = log_likelihoods(engine, prompt, [same])[0][1:-2].split([len(item) for item in objects])
    tried = sorted(range(len(objects)), key=lambda index: float(sure[index].sum()))[:TRIED]
    grammars = [PinnedGrammar(TASK, builder, scene, num_removed=0)]
    grammars += [PinnedGrammar(TASK, builder, scene, free=[index]) for index in tried]
    handles = [engine.submit(Request(prompt=prompt, grammar=grammar)) for grammar in grammars]
    rows = [handle.result() for handle in handles]
    found = {same} | {written([*objects[:index], *objects[index + 1 :]]) for index in tried}
    candidates = sorted(found | {tuple(row.ids) for row in rows})
    told = log_likelihoods(engine, prompt, candidates)
    best = max(range(len(candidates)), key=lambda number: float(told[number].sum()))
    return Decoded(
        ids=list(candidates[best]),
        probabilities=told[best].exp().tolist(),
        num_prompt=len(prompt),
        num_asked=sum(row.num_asked for row in rows),
    )


@torch.inference_mode()
def log_likelihoods(
    engine: Engine, prompt: Sequence[int], outputs: Sequence[Sequence[int]]
) -> list[Float[Tensor, " ids"]]:
    """Of each id of each output, after a prompt without pictures, in nats; among all ids, whatever a grammar allows."""
    device = engine.model.device
    rows = [[*prompt, *output] for output in outputs]
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    embedded = engine.model.get_input_embeddings()(ids.to(device))
    if engine.places is not None:
        embedded = engine.places.add(embedded, rows, seen=[0] * len(rows))
    hidden = engine.model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    told = engine.model.lm_head(hidden[:, len(prompt) - 1 : -1]).float().log_softmax(-1)
    following = ids[:, len(prompt) :].to(device)
    told = told.gather(-1, following[..., None])[..., 0].cpu()
    return [row[: len(output)] for row, output in zip(told, outputs, strict=True)]
