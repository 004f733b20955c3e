"""Guided decoding in vLLM: the constraint as an llguidance grammar, and a tokenizer that has every id.

llguidance (https://github.com/guidance-ai/llguidance, a backend of vLLM's structured outputs) writes a token by its id,
`<[17]>`, and several as `<[17,20-24]>`, so what may come is said exactly and no id needs a spelling.
"""

from collections import Counter
from collections.abc import Sequence

from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from kyvo.generation.constraint import Constraint
from kyvo.processor import Processor
from tokenizers import Tokenizer, decoders


def to_lark(constraint: Constraint) -> str:
    """The same outputs as `constraint`'s without their EOS, which llguidance adds itself."""
    states, sources = [constraint.START], Counter[int]()
    for state in states:  # grows on the way
        for _, target in constraint.edges(state):
            sources[target] += 1
            if sources[target] == 1:
                states.append(target)
    last = {state for state in states if [target for _, target in constraint.edges(state)] == [constraint.end]}
    rules = {
        state: "start" if state == constraint.START else f"s{state}"
        for state in states
        if state == constraint.START or (state not in last and (sources[state] > 1 or len(constraint.edges(state)) > 1))
    }  # the states between them are one chain

    def chain(ids: Sequence[int], target: int) -> str:
        parts = [_tokens(ids)]
        while target not in last and target not in rules:
            ids, target = constraint.edges(target)[0]
            parts.append(_tokens(ids))
        return " ".join([*parts, rules[target]] if target in rules else parts)

    return "".join(
        f"{name}: {' | '.join(chain(ids, target) for ids, target in constraint.edges(state))}\n"
        for state, name in rules.items()
        if state != constraint.end
    )


def id_tokenizer(processor: Processor) -> PreTrainedTokenizerFast:
    """A tokenizer whose words are the ids themselves, `<0>`, `<1>`, ...: for programs that will not run without one.

    Prompts are given as ids and outputs taken as ids, so it is never asked to split a text.
    """
    names = {f"<{token}>": token for token in range(len(processor.vocabulary))}
    tokenizer = Tokenizer(WordLevel(names, unk_token="<0>"))
    tokenizer.decoder = decoders.ByteFallback()
    text = processor.text
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=f"<{text.bos_id}>",
        eos_token=f"<{text.eos_id}>",
        pad_token=f"<{text.pad_id}>",
    )


def _tokens(ids: Sequence[int]) -> str:
    """`<[1,3-5]>`"""
    runs: list[list[int]] = []
    for token in sorted({int(token) for token in ids}):
        if runs and token == runs[-1][1] + 1:
            runs[-1][1] = token
        else:
            runs.append([token, token])
    return "<[" + ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) + "]>"
