"""Rules of whole texts: politeness, a statement before a question, and what a text can be."""

from dataclasses import dataclass

from kyvo.programs.grammar.amendments import add_amendments
from kyvo.programs.grammar.chart import Rules
from kyvo.programs.grammar.edits import Briefs
from kyvo.programs.grammar.goals import move
from kyvo.programs.grammar.meaning import among, narrow, ordered, parts
from kyvo.programs.grammar.settings import set_words
from kyvo.programs.program import Copy, Earlier, Edit, Program, Query, Remove, Resize, Selector, Set, Step, The, WordOf
from kyvo.programs.program.edits import leaves

OPINION = (
    "(ugly|boring|annoying|useless|horrible|awful|terrible|bad|distracting|redundant|unnecessary|not nice|not needed|"
    "no good|superfluous|unwanted)"
)


@dataclass(frozen=True)
class About:
    """A program, and the object that a statement before it has named: what its "it" means."""

    program: Program
    named: Selector


@dataclass(frozen=True)
class Brief:
    """An edit said without a verb: "red cube blue". With a question mark it is none."""

    program: Program


@dataclass(frozen=True)
class Likewise:
    """The last turn's program once more, about other objects: "and the ball", "what about the cube?"."""

    named: Selector


@dataclass(frozen=True)
class Variation:
    """The last turn's program once more, about objects with another word: "and the red ones?", "and rubber?"."""

    words: Selector
    bare: bool = False  # without a noun: after an edit it is no other object, but what the same one becomes


@dataclass(frozen=True)
class Further:
    """More of an edit's objects: "and smaller", "a bit to the right", "another one"."""

    steps: tuple[Step, ...]
    of_new: bool = False  # only after an edit that put something in


@dataclass(frozen=True)
class Again:
    """The last edit once more."""


def add_sentences(rule: Rules) -> None:
    """Rules of `text`: a program, or one with what its pronouns stand for."""
    stop = "[.] [,]"
    rule(
        "polite",
        "(please|kindly|actually|(no|nope|nah) (,|.)|sorry|rather|instead|yes|and then|oh|hm|alternatively|first|"
        "firstly|first of all|to begin with|maybe|perhaps|hey|hi|hello|yo|hiya|dude|mate|buddy|robot|computer|"
        "assistant|ok|okay|now|so|wait|no wait|hold on|well|then|next|also|and|thanks|thank you|great|good|alright|"
        "right)",
        0,
    )
    rule(
        "polite",
        "(i think|i guess|i believe|i suggest|i feel like|in my opinion|what if|how about|what about|i "
        "say|please to|i bet|maybe we could|"
        "it would be (nice|great|good) if|i wish|do me a favor and|be so (kind|good) (and|as to|to)|"
        "feel free to|just|only|simply|go on and|"
        "let me see|(quick|one|sanity) (question|check)|my question is|one more question|one more thing|hey there|"
        "good (morning|evening)) [,]",
        0,
        0.05,
    )
    rule(
        "polite",
        "(by the way|hm|i [have] changed my mind|on second (thought|thoughts)|do the following|do this|"
        "here is what i want|listen|cool|nice|perfect|yeah|yep) [,|.]",
        0,
    )
    rule("polite", "(i made a mistake|my mistake|my bad|i was wrong|oops|ups) [,|.]", 0)
    rule("polite", "why (not|do not (you|we))", 0, 0.1)
    rule("polite", "(can|could|may) we [(please|kindly|also|now|maybe|just)]", 0)
    rule("polite", "(can|could|would|will) you [(please|kindly|also|now|possibly|maybe|just)]", 0)
    rule(
        "polite",
        "(would you mind|do you mind|would it be (possible|ok|okay) to|is it possible to|i was wondering if you could|"
        "i ask you to|i suggest|i recommend|i propose|start by|begin by|try|i want you to|i would like "
        "you to|i need you to|you should|you need to|you can|"
        "let us|go|now go|i would like to|i want to|you have to|you must|your task is to|try to|help me|"
        "go ahead and|we need to|we should|let me|straighten and)",
        0,
    )
    rule(
        "polite",
        "(tell me|check|see|find out|verify|determine|can you tell me|could you tell me|do you know|i "
        "wonder|please tell me|let me know|"
        "(may|can|could) i (know|ask)|i need to know|do you happen to know|any idea|remind me|i ask|just tell me|"
        "i would like to know|say|i want to know|answer|question|looking at THEPICTURE|in THEPICTURE|"
        "from THEPICTURE|of THEPICTURE|look at THEPICTURE|in total|of these THINGS|of all [of] the THINGS|"
        "of the THINGS|of the THINGS (shown|pictured|seen|in THEPICTURE)|among the THINGS|"
        "between all the THINGS) [,]",
        0,
    )
    rule(
        "polite",
        "(the (robot|arm|gripper|machine|computer|system|program)|somebody|someone|one|we) MUST [(please|kindly|now)]",
        0,
        0.1,
    )
    rule("polite", "(have|let|get|tell|ask|i want|i would like) the (robot|arm|gripper|computer|system) [to]", 0, 0.1)
    things = "(things|changes|steps|edits|tasks|actions|modifications)"
    rule(
        "polite",
        f"[(i|we) (want|need|have|would like|would like to have)] (<int>|a few|some|several|these|the following) "
        f"{things} [(changed|made|done|please|here)] (.|,)",
        lambda *_: 0,
        0.1,
    )
    rule(
        "polite",
        "(task|tasks|instruction|instructions|question|edit|edits|changes|request|to do|todo|plan|recolor|resize) .",
        0,
        0.1,
    )
    rule("politer", "<polite> [,|.]", 0, 0.05)
    rule("politer", "<polite> [,|.] <politer>", 0, 0.05)
    rule(
        "thanks",
        "[.] [,] (please|thanks|thank you|for me|now|thank you very much|if you can|if possible|would you|"
        "will you|shall we|ok|okay|then|cheers|again|instead|too|also|as well|from now on|thanks a lot|many thanks|"
        "by any chance|everywhere|throughout|"
        "at the moment|right now|in here|here|in THEPICTURE|do you think|do you know|i wonder|"
        "[and] straighten (it|them))",
        0,
    )
    rule("thanks", "(.|,) right", 0)
    looks = "(it|that|this|they|those|these) (is|are|looks|look|feels|feel|seems|seem)"
    rule("thanks", f"(.|,|because|since|. because|, because) {looks} [(so|really|very|too|a bit|just)] {OPINION}", 0)
    rule("text", "[<politer>] <sentence> [<thanks>]", lambda *values: next(v for v in values if not isinstance(v, int)))
    rule("sentence", "<asks>", lambda asks: Query(asks=asks))
    rule(
        "sentence",
        f"<statement> {stop} [(so|and|now|then)] [,] <asks>",
        lambda named, asks: About(program=Query(asks=asks), named=named),
        0.3,
    )
    rule(
        "sentence",
        "<orders>",
        lambda steps: Brief(Edit(steps=steps)) if isinstance(steps, Briefs) else Edit(steps=steps),
    )
    rule(
        "sentence",
        f"<pointing> {stop} [(and|then)] [then] <steps>",
        lambda named, steps: About(program=Edit(steps=steps), named=named),
        0.2,
    )
    rule("sentence", "<statement> (.|,) [(so|and|now|then|please)] [,] <steps>", _edit_if, 0.3)
    rule(
        "sentence",
        "<pointing> [,|.] [and] (give|name|tell me|say|state) its <field>",
        lambda named, field: Query(asks=WordOf(of=named, field=field)),
    )
    # "if there is a red cube, make it blue": where there is none, nothing is done
    for verb in (
        "(if|when|in case|provided|assuming) [that] (there (is|are)|(you|we) (see|find|spot|have))",
        "should there be",
    ):
        condition = f"{verb} [(a|an|one|any|some)]"
        rule("condition", f"{condition} <desc1> [<seen>]", lambda of, *_: _the(of))
        rule("condition", f"{condition} <descs> [<seen>]", lambda of, *_: of)
    rule("condition", "(if|when|in case) <np1> (is|are) <pred>", _as_condition)
    rule("condition", "(if|when|in case) (something|anything) (is|has) <pred>", _the)
    rule("sentence", "<condition> [,] [then] [please] <steps>", _edit_if)
    rule("sentence", "<steps> [,] <condition>", lambda steps, named: _edit_if(named, steps), 0.3)
    rule(
        "sentence",
        "[and] [(what about|how about|what is|what was)] (its|their) <field>",
        lambda field: Query(asks=WordOf(of=Earlier(), field=field)),
    )
    rule(
        "sentence",
        "and (what|which) <field> [is (it|that)]",
        lambda field: Query(asks=WordOf(of=Earlier(), field=field)),
    )
    rule("sentence", f"<topic> {stop} <asks>", lambda named, asks: About(program=Query(asks=asks), named=named), 0.4)
    rule("sentence", f"<topic> {stop} <steps>", lambda named, steps: About(program=Edit(steps=steps), named=named), 0.4)
    rule("topic", "<np1> (.|,)")
    rule("sentence", "<scope> , <steps>", _edit_among, 0.3)
    rule("sentence", "for <np> [,|.] <steps>", _edit_if)
    # what only the last turn gives a meaning
    rule("sentence", "<context>")
    add_amendments(rule)
    and_ = "(what about|how about|and what about|and how about|and|also|and also|now|and now|then|and then|likewise)"
    rule("context", f"{and_} <np>", Likewise, 0.3)
    rule("context", f"{and_} <any> (ones|one)", Variation, 0.1)
    rule("context", f"{and_} [in] <any>", lambda words: Variation(words, bare=True), 0.1)
    rule("context", f"{and_} [also] <further> [(too|as well|also)] [please]", Further, 0.5)
    rule("context", "[also] <further> [(too|as well|also)] [please]", Further, 3.0)  # "no, green" puts right
    rule("further", "<setword>", lambda words: set_words(Earlier(), words))
    rule("further", "<goal>", lambda place: move(Earlier(), place))
    for larger, words in ((True, "(bigger|larger|taller)"), (False, "(smaller|tinier)")):
        rule("further", f"[(a bit|a little|even)] {words}", (Resize(of=Earlier(), larger=larger),))
    another = lambda *place: Further((Copy(of=Earlier(role="added"), place=place[0] if place else None),), of_new=True)  # noqa: E731
    rule(
        "context",
        "(another one|one more|another|a second one) [(of (it|that|them|those|these))] [<goal>]",
        another,
        0.2,
    )
    rule("context", "(what about|how about|and) [(for|of|with)] <np>", Likewise, 0.3)
    rule("context", "[(and|now|also)] [do] (the same|that|it|this|so) [thing] (to|for|with) <np>", Likewise, 0.1)
    rule("context", "(same|likewise|ditto) [thing] (for|with|to) <np>", Likewise, 0.1)
    rule("context", "[and] <np> (too|as well|also|likewise)", Likewise, 0.3)
    rule(
        "context",
        "(again|do (it|that|this|the same) again|the same again|once more|one more time|repeat [(it|that|this)]|"
        "and again|same again|do (it|that) (once more|one more time)|another time|"
        "[(even|still)] (further|farther|more))",
        Again(),
    )
    rule(
        "pointing",
        "(find|look at|consider|locate|take|see|focus on|observe|pick|get|grab|look for|go to|pick up|"
        "choose|select|lift|grasp|straighten) <np>",
    )
    # "there is a red cube; ..."
    rule("statement", "there (is|are|exists|was) [(only|just)] [(a|an|another|the|one|some)] (<desc1>|<descs>)", _the)
    rule(
        "statement",
        "there (is|are|exists|was) [(only|just)] [(a|an|another|the|one)] <desc1> [THAT] [is] <pred>",
        _the_narrowed,
        0.1,
    )
    rule("statement", "there (is|are) [(only|just)] <many> <descs>", lambda count, of: The(of=of, count=count))
    rule(
        "statement",
        "(find|look at|consider|locate|take|see|imagine|notice|look for|focus on|observe|pick|you see|i see|"
        "you know) <np>",
    )
    rule(
        "statement",
        "(find|look at|consider|see|i see|you see|look for|THEPICTURE (has|contains|shows)) [(a|an|"
        "the)] <desc1> [THAT] [is] <pred>",
        _the_narrowed,
        0.2,
    )
    rule("statement", "(what|which [one]|which thing|which object) (is|are|STANDS) [STAND] <pred>", _the, 0.3)
    too = "<def1> (is|are|looks|look|feels|feel|seems|seem) [(much|far|way|a bit|a little)] too <any>"
    rule("complaint", too, lambda of, _: of)
    rule("complaint", "<def1> (MUST|is (supposed|meant) to|are (supposed|meant) to) not be <any>", lambda of, _: of)
    rule("complaint", "<def1> (is|are) not (supposed|meant) to be <any>", lambda of, _: of)
    rule("complaint", "neither of (the|these|those) [two] <descs> MUST be <any>", lambda of, _: The(of=of, count=2))
    rule("complaint", "<def1> (is|are) (in the way|out of place|not right|wrong|in the wrong (place|spot|position))")
    rule("complaint", "<def1> (is|are|looks|look) (fine|ok|okay|alright|good [(enough|as it is)])")
    rule("complaint", "<def1> (is|are|looks|look) too (similar|alike|different)")
    rule("complaint", f"<def1> (is|are|looks|look|seems|seem) [(so|really|very|too|a bit)] {OPINION}")
    rule("complaint", "there (is|are) [(way|far)] (too many|enough) <descs> [(here|there|in THEPICTURE)]")
    rule("complaint", "i [really] (do not like|do not love|hate|dislike) <def1> [(here|there)]")
    rule("sentence", f"<complaint> {stop} [(so|and|now|then|please|but)] [,] <steps>", _edit_about)
    rule("statement", "<def1> (is|are) <pred>", lambda of, _: of if isinstance(of, The) else None, 0.6)
    rule("statement", "<scope> [,] (what|which [one]) (is|are) <pred>", _the_narrowed, 0.3)
    rule("statement", "one [of the] (<desc1>|<descs>) is <pred>", _the_narrowed, 0.5)
    rule("statement", "(i see|you see|we have|we see|THEPICTURE (has|contains|shows)) [(a|an|one)] <desc1>", _the, 0.1)


def _edit_about(named: Selector, steps: tuple[Step, ...]) -> About:
    return About(program=Edit(steps=steps), named=named)


def _edit_among(base: Selector, steps: tuple[Step, ...]) -> Edit | None:
    """ "Of the blue things, make the rubber one metal." """
    plain = all(isinstance(step, Set | Resize | Remove) for step in leaves(steps))
    return ordered(Edit(steps=among(base, steps))) if plain else None


def _edit_if(named: Selector, steps: tuple[Step, ...]) -> About | None:
    """An edit of the very objects of the condition: where there are none, there is nothing to edit."""
    return _edit_about(named, steps) if {named, Earlier()} & set(parts(steps)) else None


def _as_condition(of: Selector, pred: Selector) -> Selector | None:
    """ "If the cube is red": the cube that is red."""
    return The(of=narrow(of.of, pred)) if isinstance(of, The) and of.count == 1 else None


def _the(of: Selector) -> Selector:
    return The(of=of)


def _the_narrowed(of: Selector, pred: Selector) -> Selector:
    return The(of=narrow(of, pred))
