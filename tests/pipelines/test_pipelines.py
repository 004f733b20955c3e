"""The pipelines: their stages, the queue that all their networks take turns on, and what a run allows."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from kyvo.errors import ConfigError
from kyvo.generation.closed_loop import ROUNDS
from kyvo.generation.exposure import Exposure
from kyvo.generation.jacobi import SWEEPS, JacobiDecoder
from kyvo.pipelines.recognition import (
    ExposureCorrection,
    InDomainCheck,
    NoExposureCorrection,
    NoInDomainCheck,
    NoRefinement,
    Refinement,
)
from kyvo.pipelines.rendering import ClosedLoop, OpenLoop
from kyvo.pipelines.run import Cancelled, DeadlineExceeded, Run
from kyvo.programs.errors import AmbiguousReference, NoSuchObject, NotUnderstood
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.scene.source import Source, source_of
from kyvo.testing import same_score, tiny_kyvo, tiny_refiner

RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7), confidence=0.25)
BLUE = replace(RED, color="blue", location=(2.0, -1.0, 0.7), confidence=0.5)
SPHERE = replace(RED, color="green", shape="sphere", location=(-2.0, 1.0, 0.7), confidence=0.75)
SCENE = Scene(objects=(RED, BLUE, SPHERE))
PICTURES = list(np.random.default_rng(0).integers(256, size=(3, 16, 24, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model():
    return tiny_kyvo()


@pytest.fixture(scope="module")
def refining():
    return tiny_kyvo(refiner=tiny_refiner())


def test_a_folder_without_a_refiner_has_null_stages(model, refining):
    assert isinstance(model.recognition.refine, NoRefinement) and isinstance(model.rendering.loop, OpenLoop)
    assert isinstance(refining.recognition.refine, Refinement) and isinstance(refining.rendering.loop, ClosedLoop)
    assert model.recognize(PICTURES) == model.recognize(PICTURES, refine=False)
    assert refining.recognize(PICTURES) != refining.recognize(PICTURES, refine=False)
    with pytest.raises(ConfigError, match="has no refiner"):
        model.recognize(PICTURES[:1], cameras=[clevr_camera(24, 16)])
    with pytest.raises(ConfigError, match="leave out refine=False"):
        refining.recognize(PICTURES[:1], refine=False, cameras=[clevr_camera(24, 16)])


def test_a_folder_without_a_score_or_an_exposure_has_null_stages(model):
    assert isinstance(model.recognition.check, NoInDomainCheck)
    assert isinstance(model.recognition.expose, NoExposureCorrection)
    assert {source_of(scene) for scene in model.recognize(PICTURES)} == {Source()}
    both = tiny_kyvo(exposure=Exposure(background=250.0), in_domain=same_score(0.875))
    assert isinstance(both.recognition.check, InDomainCheck) and isinstance(both.recognition.expose, ExposureCorrection)
    found = [source_of(scene) for scene in both.recognize(PICTURES)]
    assert all(one.in_domain == 0.875 and not one.warnings and "times as bright" in one.notes[0] for one in found)
    assert source_of(both.recognize(PICTURES[:1], refine=False)[0]).in_domain is None


def test_a_closed_loop_draws_again_and_can_be_left_out(refining, monkeypatch):
    engine, calls = refining.language_model.engine, []
    run_now = engine.call
    monkeypatch.setattr(engine, "call", lambda network, **kwargs: calls.append(network) or run_now(network, **kwargs))
    (first,) = refining.render([SCENE], closed_loop=False)
    num_first = len(calls)
    (corrected,) = refining.render([SCENE])
    assert first.shape == corrected.shape == (16, 24, 3)
    calls_a_round = 2 + SWEEPS + 1  # prompts and pixels, sweeps, and the refiner
    assert len(calls) - 2 * num_first == 1 + ROUNDS * calls_a_round


def test_no_round_begins_that_would_be_late(refining):
    run = Run(refining.language_model, seconds=1000.0)
    loop, model = refining.rendering.loop, refining.language_model
    decoder = JacobiDecoder(model.engine, model.builder, model.processor.image, count=1, call=run.call)
    (first,) = decoder.draw([SCENE])
    sweeps = decoder.num_sweeps
    (same,) = loop([SCENE], [first], decoder, run, seconds_of_round=2000.0)
    assert same is first and decoder.num_sweeps == sweeps


def test_a_picture_that_is_longer_than_a_request_may_be_is_refused(model):
    with pytest.raises(ConfigError, match="allow more tokens"):
        model.rendering([SCENE], Run(model.language_model, max_tokens=3))


def test_an_edit_changes_what_it_names_and_nothing_else(model):
    edited = model.edit(SCENE, "paint the green sphere yellow")
    assert edited.scene.objects == (RED, BLUE, replace(SPHERE, color="yellow"))
    assert [item.confidence for item in edited.scene.objects[:2]] == [0.25, 0.5]
    assert edited.changed == (2,) and edited.objects == (2,) and not edited.removed and not edited.added
    assert edited.image.shape == (16, 24, 3) and edited.understood.reading
    far = replace(SCENE, objects=(*SCENE.objects, replace(RED, color="cyan", location=(30.0, 0.0, 1.25))))
    edited = model.edit(far, "remove the green sphere")
    assert edited.scene.objects == (RED, BLUE, far.objects[3]), "objects beyond the bins keep every digit"
    assert edited.image is None and any("no picture was rendered" in note for note in edited.understood.notes)


def test_what_does_not_fit_is_refused_and_never_guessed(model):
    with pytest.raises(AmbiguousReference) as caught:
        model.edit(SCENE, "Remove the large cube.")
    assert caught.value.candidates == (0, 1)
    with pytest.raises(NoSuchObject):
        model.edit(SCENE, "Remove the yellow cube.")
    with pytest.raises(NotUnderstood, match="is a question"):
        model.edit(SCENE, "How many cubes are there?")
    with pytest.raises(NotUnderstood, match="is an instruction"):
        model.ask(SCENE, "Remove the green sphere.")
    with pytest.raises(ConfigError, match="empty"):
        model.ask(SCENE, "  ")
    with pytest.raises(ConfigError, match="characters"):
        model.ask(SCENE, "cube " * 1000)


def test_an_answer_says_what_it_rests_on(model):
    answered = model.ask(SCENE, "How many cubes are there?")
    assert str(answered) == answered.text == "2" and answered.objects == (0, 1)
    assert model.ask(SCENE, "what color is the sphere").text == "green"


def test_a_picture_alone_is_recognised_and_beside_a_scene_compared(model):
    alone = model.ask(None, "How many cubes are there?", image=PICTURES[0])
    recognised = model.recognize(PICTURES[:1])[0]
    assert alone.scene == recognised and alone.text == model.ask(recognised, "How many cubes are there?").text
    both = model.ask(SCENE, "How many cubes are there?", image=PICTURES[0])
    assert both.text == "2" and both.understood.notes[-1].startswith("answered from the scene; the picture")
    with pytest.raises(ConfigError, match="neither a scene nor a picture"):
        model.ask(None, "How many cubes are there?")


def test_the_language_model_alone_can_be_asked(model):
    for mode in ("language_model", "end_to_end"):
        edited = model.edit(SCENE, "Remove the green sphere.", mode=mode)
        assert (edited.source, edited.understood) == (mode, None) and edited.image.shape == (16, 24, 3)
    assert model.ask(SCENE, "How many cubes are there?", mode="language_model").source == "language_model"
    with pytest.raises(ConfigError, match="mode is 'magic'; known are program, language_model, end_to_end"):
        model.ask(SCENE, "How many cubes are there?", mode="magic")


def test_a_run_that_is_late_or_cancelled_goes_on_with_nothing(model):
    run = Run(model.language_model, seconds=1e-9)
    with pytest.raises(DeadlineExceeded, match="no answer in time"):
        model.recognition(PICTURES, run)
    run = model.run()
    run.cancel()
    with pytest.raises(Cancelled):
        model.rendering([SCENE], run)


def test_other_networks_take_turns_on_the_engines_queue():
    model = tiny_kyvo()
    engine, order = model.language_model.engine, []
    assert engine.call(lambda: threading.current_thread()) is threading.current_thread(), "nobody else drives it"
    with engine.running():
        threads = {engine.call(lambda: threading.current_thread().name) for _ in range(3)}
        assert threads == {"kyvo-engine"}
        with pytest.raises(ZeroDivisionError):
            engine.call(lambda: order.append(1 / 0))
        assert model.recognize(PICTURES) == tiny_kyvo().recognize(PICTURES), "a call that fails ends nothing else"


def test_a_call_that_nobody_waits_for_never_begins():
    engine = tiny_kyvo().language_model.engine
    begun = threading.Event()
    release = threading.Event()
    with engine.running():
        blocking = threading.Thread(target=lambda: engine.call(lambda: (begun.set(), release.wait(30))))
        blocking.start()
        assert begun.wait(30)
        ran = []
        with pytest.raises(TimeoutError):
            engine.call(lambda: ran.append(1), timeout=0.05)
        release.set()
        blocking.join()
        engine.call(lambda: None)
    assert not ran
