"""The scene that tests of edits change, and how they do."""

from random_programs import CLEVR, the, thing

from kyvo.programs import program as p
from kyvo.programs.execute import apply
from kyvo.scene.colliders import ViewFrame, collider_of, separations
from kyvo.scene.scene import Scene

SCENE = Scene(
    objects=(
        thing("large red metal cube", -2.2, 0.0, confidence=0.9),
        thing("small blue rubber sphere", 0.5, 0.0, confidence=0.8),
        thing("large blue rubber sphere", 2.0, 1.0, confidence=0.7),
        thing("small red metal cylinder", 0.2, -1.6),
    ),
    image="before.png",
)


CUBE, BALL, BIG_BALL, PIPE = (
    the(shape="cube"),
    the(size="small", shape="sphere"),
    the(size="large", shape="sphere"),
    the(shape="cylinder"),
)


def edit(*steps, scene=SCENE, schema=CLEVR, dialogue=(), **options):
    return apply(p.Edit(steps=steps), scene, schema, dialogue, **options)


def move(place, of=CUBE, **options):
    return edit(p.Move(of=of, place=place), **options)


def spot(scene, index):
    """Right, behind and up."""
    return ViewFrame(scene).points(scene.objects)[index]


def gap(scene, first, second, schema=CLEVR):
    frame = ViewFrame(scene)
    points = frame.points(scene.objects)
    colliders = [collider_of(scene.objects[index], schema, frame) for index in (first, second)]
    return separations(colliders[0], points[first : first + 1, :2], colliders[1], points[second, :2])[0]
