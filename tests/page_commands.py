"""Commands of a page, run as its reader types them, in the process of the test."""

import glob
import sys
from collections.abc import Sequence

import loading
import pytest
from typer.testing import CliRunner, Result

from kyvo.cli.main import app


def kyvo(*words: str) -> Result:
    """`kyvo` with the shell's expansion of stars."""
    return CliRunner().invoke(app, [name for word in words for name in (sorted(glob.glob(word)) or [word])])


def run(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, *, few_steps: Sequence[str]) -> None:
    """One command, which has to succeed: of `kyvo`, `python PROGRAM`, or `tune`, whose training gets `few_steps`."""
    if words[0] == "kyvo":
        result = kyvo(*words[1:])
        assert result.exit_code == 0, result.output
    elif words[0] == "python":
        with loading.program(words[1]) as program:
            program.main(list(words[2:]))
    else:
        from torchtune._cli import tune

        assert words[0] == "tune", words
        monkeypatch.setattr(sys, "argv", [*words, *few_steps])
        # runpy gets the recipe's code with the checks of annotations, and would keep it under the name of code without.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        with pytest.raises(SystemExit) as ended:
            tune.main()
        assert not ended.value.code
