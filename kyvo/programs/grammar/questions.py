"""Rules of questions: where things are, how far apart, and what would be without some of them."""

from typing import Any as Anything

from kyvo.programs.grammar.amounts import add_counts
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.choices import add_choices
from kyvo.programs.grammar.meaning import ALL, among, without_other
from kyvo.programs.grammar.truths import add_truths
from kyvo.programs.grammar.words import add_words
from kyvo.programs.program import (
    Count,
    Distance,
    Except,
    Query,
    Selector,
    WhereIs,
    Which,
    WordOf,
    WordsOf,
)
from kyvo.programs.structure import rewritten
from kyvo.scene.schema import SceneSchema


def add_questions(rule: Rules, schema: SceneSchema) -> None:
    """All rules of questions. Their symbol is `asks`, what a query asks."""
    add_counts(rule, schema)
    add_words(rule, schema)
    add_truths(rule, schema)
    add_choices(rule, schema)
    _add_others(rule, schema)


def _add_others(rule: Rules, schema: SceneSchema) -> None:
    rule("asks", "where (is|are|does|do) <np> [(stand|located|sit|lie)]", lambda of: WhereIs(of=of))
    rule(
        "asks",
        "(what is|tell me|give me|give) the (location|position|place|coordinates) of <np>",
        lambda of: WhereIs(of=of),
    )
    apart = lambda a, b: Distance(first=a, second=b)  # noqa: E731
    rule("asks", "[(what is|tell me)] the distance (between <np1> and|from <np1> to) <np1>", apart)
    rule("asks", "how (far|distant) is [it] (from <np1> to|<np1> from) <np1>", apart)
    rule("asks", "[tell me] where <np> (is|are)", lambda of: WhereIs(of=of))
    rule(
        "asks",
        "(how far|what is the distance) (is|are|between|away is|) <np1> (and|from|away from|to) <np1> [apart]",
        lambda a, b: Distance(first=a, second=b),
    )
    rule("asks", "how far apart are <np1> and <np1>", lambda a, b: Distance(first=a, second=b))
    rule("asks", "how far apart are <twonp>", lambda pair: Distance(first=pair[0], second=pair[1]))
    # hypothetical: the scene without some
    gone = (
        "(disappeared|disappear|vanished|vanish|(is|are|was|were) (removed|taken away|deleted|gone|taken out|"
        "destroyed|not there|lost|hidden)|(went|goes) away)"
    )
    rule("gone", f"(if|when|suppose|after) <nps> {gone}")
    rule("gone", "should <nps> be (removed|taken away|deleted|taken out)")
    rule(
        "gone",
        "(if|when|suppose|after|once|say) (you|i|we|someone|) (remove|removed|take away|took away|delete|deleted|"
        "removing|take out|took out|were to remove|destroyed|taking away|deleting|get rid of|got rid of) <nps>",
    )
    rule(
        "gone",
        "(if|when|suppose|after|once|say) (you|i|we|someone|) (take|took|taking|throw|threw|throwing|move|moved|clear) "
        "<nps> (away|out|off|aside)",
    )
    rule(
        "gone",
        "(without|not counting|ignoring|excluding|leaving out|apart from|aside from|besides|except for|"
        "other than) <nps>",
    )
    rule("gone", "(leaving|putting|setting) <nps> (aside|out)")
    rule("gone", "(if|when) (you|we|i) (ignore|leave out|do not count|disregard|leave aside) <nps>")
    rule("gone", "(disregarding|minus|barring|omitting) <nps>")
    rule("asks", "<gone> [(,|.)] [then] <asks>", _hypothetical, 0.1)
    rule("sentence", "<asks> [,] <gone>", lambda asks, gone: Query(asks=_hypothetical(gone, asks)), 0.3)
    scope = "(of|among|amongst|from|out of|between|considering|counting|looking at) [all] [of] [(only|just)]"
    rule("scope", f"{scope} [(the|these|those)] <descs>")
    rule("scope", "(if|when) (i|you|we) [(only|just)] (count|take|look at|consider) [(only|just)] [the] <descs>")
    rule("scope", "(<rels>|<place>)", None, 0.2)
    rule("asks", "<scope> , <asks>", among, 0.2)
    remains = "(remains|remain|is left|are left|would remain|would be left|will remain|will be left|stays|stay) [over]"
    rule("word", f"(what|which) <field> {remains}", lambda field: WordOf(of=ALL, field=field))
    rule("asks", f"what {remains}", Which(of=ALL))
    rule("asks", f"(what|which) <fields> {remains}", lambda field: WordsOf(of=ALL, fields=(field,)), -1.1)
    rule("asks", f"(what|which) <nouns> {remains}", lambda of: Which(of=of), -1.0)
    left = (
        "((will|would|do|) (be left|remain|be there|there be|stay|be remaining|be|i have|we have|you have|still be "
        "there)|are|are there|is) [(left|remaining|over|there|behind|still)]"
    )
    rule("howmanyleft", f"how many <things> {left}", lambda of: Count(of=of))
    rule("howmanyleft", f"how many {left}", Count(of=ALL))
    rule("asks", "<gone> [(,|.)] [then] <howmanyleft>", _hypothetical)
    rule("amount", "<howmanyleft> [,] <gone>", lambda count, gone: _hypothetical(gone, count))


def _hypothetical(gone: Selector, asks: Anything) -> Anything:
    """The question of the scene without the objects."""
    return among(Except(of=ALL, without=gone), rewritten(asks, without_other))  # "what else" is what is left
