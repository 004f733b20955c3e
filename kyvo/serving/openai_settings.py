"""Parameters of OpenAI's chat that are not supported, and the values of them that are accepted: those without effect.

Clients send many settings with their defaults. A value that changes no answer is taken and dropped; any other is
refused, as a setting that does nothing is worse than an error. Null stands for the default of every setting.
"""

from collections.abc import Mapping
from typing import Any

# Setting -> its values that ask for nothing. https://platform.openai.com/docs/api-reference/chat/create
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "audio": (),
    "best_of": (1,),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "ignore_eos": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"], []),
    "n": (1,),
    "parallel_tool_calls": (True, False),  # of no tools, however many at a time
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "repeat_penalty": (1,),
    "repetition_penalty": (1,),
    "service_tier": ("auto", "default"),
    "skip_special_tokens": (True,),
    "stop": ([], ""),
    "stop_token_ids": ([],),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_k": (-1, 0),  # vLLM's; pictures have `kyvo.top_k`
    "top_logprobs": (0,),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
# Settings that this server has, with what other servers' clients write for "not set".
UNSET = {"max_tokens": -1, "max_completion_tokens": -1, "seed": -1}
# Labels and hints for a server's own bookkeeping: no value of them changes an answer.
NOT_READ = ("metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user")


def without_defaults(body: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a chat that are to be obeyed.

    Raises:
        ValueError: a setting of OpenAI's that this server does not have asks for something.
    """
    kept, wanted = {}, []
    uses_no_tool = body.get("tool_choice") == "none" or body.get("function_call") == "none"
    for name, value in body.items():
        if value is None or name in NOT_READ or (uses_no_tool and name in ("tools", "functions")):
            continue
        if name in UNSET and value == UNSET[name]:
            continue
        if name not in NEUTRAL:
            kept[name] = value
        elif value not in NEUTRAL[name]:
            wanted.append(f"{name} is not a setting of this server; leave it out{_or(NEUTRAL[name])}")
    if wanted:
        raise ValueError("; ".join(wanted))
    return kept


def _or(values: tuple[Any, ...]) -> str:
    return f", or give {' or '.join(map(repr, values))}" if values else ""
