"""`Program`: what a text asks of a scene, as typed, frozen data. One language for edits and questions.

A program is a `Query` (it asks) or an `Edit` (it changes). Both point at objects by *selectors*, which denote sets of
objects and nest freely:

```python
# "How many red cubes are left of the large sphere?"
Query(asks=Count(of=Related(
    of=Where(of=Where(of=Everything(), field="color", value="red"), field="shape", value="cube"),
    relation="left",
    to=The(of=Where(of=Where(of=Everything(), field="size", value="large"), field="shape", value="sphere")))))
```

Field names and words are the schema's own, so a user's new colour needs no code. Lengths are in the scene's units,
angles in degrees. Nothing here knows of texts or models: `kyvo.programs.execute` gives a program its meaning,
`json_form` its JSON, `wording` its English. The nodes are in `selectors`, `questions` and `edits`; all can be imported
from here.
"""

from dataclasses import dataclass

from kyvo.programs.program.edits import (
    Add,
    Align,
    At,
    Before,
    Beside,
    Copy,
    InLine,
    Midway,
    Move,
    NextTo,
    Offset,
    OnTop,
    Place,
    PlaceOf,
    Point,
    Redo,
    Remove,
    Replace,
    Resize,
    Rotate,
    Set,
    Step,
    Swap,
    Together,
    Toward,
    Undo,
)
from kyvo.programs.program.questions import (
    Alike,
    All,
    Amount,
    Any,
    Arithmetic,
    Ask,
    BiggerThan,
    Case,
    Choose,
    Commonest,
    Compare,
    Count,
    CountWords,
    Distance,
    Every,
    Exists,
    Literally,
    Not,
    Number,
    SameWord,
    Truth,
    WhereIs,
    Which,
    Word,
    WordOf,
    WordsOf,
)
from kyvo.programs.program.selectors import (
    Along,
    Between,
    Bigness,
    Both,
    Centrality,
    Closeness,
    Direction,
    Earlier,
    Either,
    Everything,
    Except,
    Extreme,
    Farness,
    Hidden,
    InRegion,
    Measure,
    MoreThan,
    Node,
    Numbered,
    Region,
    Related,
    Relation,
    Role,
    Selector,
    Shared,
    Side,
    Smallness,
    The,
    Where,
    WhereSame,
)

__all__ = [
    "Add",
    "Align",
    "Alike",
    "All",
    "Along",
    "Amount",
    "Any",
    "Arithmetic",
    "Ask",
    "At",
    "Before",
    "Beside",
    "Between",
    "BiggerThan",
    "Bigness",
    "Both",
    "Case",
    "Centrality",
    "Choose",
    "Closeness",
    "Commonest",
    "Compare",
    "Copy",
    "Count",
    "CountWords",
    "Direction",
    "Distance",
    "Earlier",
    "Edit",
    "Either",
    "Every",
    "Everything",
    "Except",
    "Exists",
    "Extreme",
    "Farness",
    "Hidden",
    "InLine",
    "InRegion",
    "Literally",
    "Measure",
    "Midway",
    "MoreThan",
    "Move",
    "NextTo",
    "Node",
    "Not",
    "Number",
    "Numbered",
    "Offset",
    "OnTop",
    "Place",
    "PlaceOf",
    "Point",
    "Program",
    "Query",
    "Redo",
    "Region",
    "Related",
    "Relation",
    "Remove",
    "Replace",
    "Resize",
    "Role",
    "Rotate",
    "SameWord",
    "Selector",
    "Set",
    "Shared",
    "Side",
    "Smallness",
    "Step",
    "Swap",
    "The",
    "Together",
    "Toward",
    "Truth",
    "Undo",
    "Where",
    "WhereIs",
    "WhereSame",
    "Which",
    "Word",
    "WordOf",
    "WordsOf",
]


@dataclass(frozen=True, kw_only=True)
class Query(Node):
    """A question: its answer leaves the scene as it is."""

    op = "query"
    asks: Amount | Truth | Word | Ask


@dataclass(frozen=True, kw_only=True)
class Edit(Node):
    """An instruction: its steps are applied in order, each to the scene that the one before has left.

    Steps within a `Together` mean the objects of the scene before all of them.
    """

    op = "edit"
    steps: tuple[Step, ...]


Program = Query | Edit
