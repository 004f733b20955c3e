"""The worker: what a job needs is made first, the queue is bounded, and whoever leaves frees his place."""

import threading
from concurrent.futures import wait
from dataclasses import replace

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.generation.sampling import Sampling
from kyvo.scene.files import scene_from_json
from kyvo.serving.limits import Limits
from kyvo.serving.metrics import Metrics
from kyvo.serving.worker import Busy, GivenUp, Job, Late, Worker
from kyvo.testing import tiny_kyvo, tiny_refiner

PIXELS = np.random.default_rng(0).integers(256, size=(16, 24, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    """One of its own: an engine has one worker at a time."""
    return tiny_kyvo()


@pytest.fixture
def working(model):
    """`working(**limits)`: a worker that runs, and its metrics."""
    workers = []

    def start(**limits):
        metrics = Metrics()
        worker = Worker(model, limits=Limits(**limits), metrics=metrics)
        worker.start()
        workers.append(worker)
        return worker, metrics

    yield start
    for worker in workers:
        worker.stop()


def question(scene):
    return Job(task="question_answering", picture=PIXELS, scene=scene_from_json(scene), text="How many?")


def held(worker, scene):
    """A job that is begun and does not end before the event is set."""
    begun, release = threading.Event(), threading.Event()

    def listen(piece):
        begun.set()
        release.wait(60)

    ticket = worker.submit(question(scene), listen=listen)
    assert begun.wait(60)
    return ticket, release


def counted(metrics, task, outcome):
    return metrics.registry.get_sample_value("kyvo_jobs_total", {"task": task, "outcome": outcome})


@pytest.mark.parametrize("task", ["recognition", "question_answering"])
def test_a_recognised_scene_is_the_one_that_the_model_recognises(model, working, monkeypatch, task):
    monkeypatch.setattr(model, "processor", replace(model.processor, refiner=tiny_refiner()))
    worker, _ = working()
    pictures = np.random.default_rng(1).integers(256, size=(8, 16, 24, 3), dtype=np.uint8)
    expected = [model.recognize([picture])[0] for picture in pictures]
    assert expected != [model.recognize([picture], refine=False)[0] for picture in pictures]
    for picture, scene in zip(pictures, expected, strict=True):
        done = worker.run(Job(task=task, picture=picture, text="How many?"))
        assert (done.completion.scene if task == "recognition" else done.given) == scene


def test_renderings_go_through_the_closed_loop_unless_sampled_at_random(working, model, scene, monkeypatch):
    monkeypatch.setattr(model, "processor", replace(model.processor, refiner=tiny_refiner()))
    worker, _ = working()
    looked: list[int] = []
    closed_loop = model.closed_loop
    monkeypatch.setattr(
        model,
        "closed_loop",
        lambda *args, **options: looked.append(options["deadline"]) or closed_loop(*args, **options),
    )
    given = scene_from_json(scene)
    (alone,) = model.render([given], closed_loop=False)
    for job, count in (
        (Job(task="rendering", scene=given), 1),
        (Job(task="editing", scene=given, text="Remove it."), 2),
        (Job(task="rendering", scene=given, sampling=Sampling(temperature=1.0)), 2),
    ):
        image = worker.run(job).completion.image
        assert image.shape == alone.shape and len(looked) == count
    assert all(0 < deadline <= Limits().seconds for deadline in looked)


def test_a_question_about_a_picture_alone_has_its_scene_recognised_first(working, model):
    worker, _ = working()
    done = worker.run(Job(task="question_answering", picture=PIXELS, text="How many?"))
    scene = model.recognize([PIXELS])[0]
    assert done.given == scene
    assert done.completion.text == model.ask(scene, "How many?", image=PIXELS)


def test_an_edit_without_a_picture_has_it_rendered_first(working, model, scene):
    worker, _ = working()
    given = scene_from_json(scene)
    done = worker.run(Job(task="editing", scene=given, text="Remove it."))
    alone = model.edit(given, "Remove it.").image
    # The second run takes over states of the first, so a value of the decoded means may be rounded the other way.
    difference = np.abs(done.completion.image.astype(int) - alone)
    assert difference.max() <= 1 and difference.sum() <= 5  # of 1,152 values


def test_tokens_of_all_runs_are_counted(working, model):
    worker, metrics = working()
    done = worker.run(Job(task="question_answering", picture=PIXELS, text="How many?"))
    alone = worker.run(Job(task="recognition", picture=PIXELS))
    assert done.num_prompt > alone.num_prompt and done.num_output > alone.num_output
    total = metrics.registry.get_sample_value("kyvo_tokens_total", {"kind": "prompt"})
    assert total == done.num_prompt + alone.num_prompt


def test_what_one_job_cannot_have_is_no_matter_to_another(working, scene):
    worker, metrics = working()
    scene["objects"][0]["color"] = "pink"
    bad = worker.submit(Job(task="rendering", scene=scene_from_json(scene)))
    good = worker.submit(Job(task="recognition", picture=PIXELS))
    with pytest.raises(SceneError, match=r"color.*pink"):
        bad.future.result()
    assert good.future.result().completion.scene is not None
    wait([bad.future, good.future])
    assert counted(metrics, "rendering", "failed") == 1


def test_one_job_more_than_may_be_is_refused_and_told_when_to_come_again(working, scene):
    worker, metrics = working(jobs=1)
    ticket, release = held(worker, scene)
    with pytest.raises(Busy, match="1 jobs are waiting, and no more may") as caught:
        worker.submit(question(scene))
    assert 1 <= caught.value.retry_after <= 60
    release.set()
    assert ticket.future.result().completion.text
    assert counted(metrics, "question_answering", "refused") == 1
    assert worker.run(question(scene)).completion.text


def test_a_job_that_is_given_up_while_it_waits_never_runs(working, scene):
    worker, metrics = working(parallel=1)
    ticket, release = held(worker, scene)
    waiting = worker.submit(Job(task="rendering", scene=scene_from_json(scene)))
    assert (worker.num_running, worker.num_waiting) == (1, 1)
    waiting.cancel()
    release.set()
    with pytest.raises(GivenUp):
        waiting.future.result()
    ticket.future.result()
    assert counted(metrics, "rendering", "cancelled") == 1 and counted(metrics, "rendering", "done") is None


def test_a_job_that_waited_too_long_is_late(working, scene):
    worker, metrics = working(parallel=1, seconds=0.5)
    _, release = held(worker, scene)
    waiting = worker.submit(Job(task="rendering", scene=scene_from_json(scene)))
    threading.Timer(1.0, release.set).start()
    with pytest.raises(Late, match="no answer in time"):
        waiting.future.result()
    assert counted(metrics, "rendering", "late") == 1


def test_stopping_finishes_what_was_taken_and_takes_no_more(model, scene):
    worker = Worker(model, limits=Limits(), metrics=Metrics())
    worker.start()
    tickets = [worker.submit(question(scene)) for _ in range(4)]
    worker.stop()
    assert all(ticket.future.done() and ticket.future.result().completion.text for ticket in tickets)
    with pytest.raises(Busy, match="the server stops"):
        worker.submit(question(scene))
