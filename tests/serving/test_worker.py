"""The worker: jobs run through the pipelines, the queue is bounded, and whoever leaves frees his place."""

import threading
from concurrent.futures import wait

import numpy as np
import pytest

from kyvo.errors import SceneError
from kyvo.generation.sampling import Sampling
from kyvo.pipelines.run import Cancelled, DeadlineExceeded
from kyvo.scene.files import scene_from_json
from kyvo.serving import jobs
from kyvo.serving.limits import Limits
from kyvo.serving.metrics import Metrics
from kyvo.serving.worker import Job, Overloaded, Worker
from kyvo.testing import tiny_kyvo

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


def question(model, scene):
    return jobs.answering(model, scene_from_json(scene), "How many cubes are there?")


def held(worker):
    """A job that is begun and does not end before the event is set."""
    begun, release = threading.Event(), threading.Event()

    def work(run):
        begun.set()
        release.wait(60)
        return "held"

    ticket = worker.submit(Job(task="question_answering", work=work))
    assert begun.wait(60)
    return ticket, release


def counted(metrics, task, outcome):
    return metrics.registry.get_sample_value("kyvo_jobs_total", {"task": task, "outcome": outcome})


def test_a_job_gives_what_the_model_gives(working, model, scene):
    worker, _ = working()
    given = scene_from_json(scene)
    assert worker.run(jobs.recognition(model, PIXELS)).result.scene == model.recognize([PIXELS])[0]
    answered = worker.run(question(model, scene)).result
    assert answered.text == model.ask(given, "How many cubes are there?").text
    text = f"Remove the {given.objects[0].color} {given.objects[0].shape}."
    edited = worker.run(jobs.editing(model, given, text)).result
    assert edited.scene == model.edit(given, text, render=False).scene and edited.image is not None
    assert worker.run(jobs.editing(model, given, text, render=False)).result.image is None


def test_a_picture_is_sampled_as_the_job_says(working, model, scene):
    worker, _ = working()
    given = scene_from_json(scene)

    def draw(seed):
        return worker.run(
            jobs.rendering(model.rendering, given, sampling=Sampling(temperature=2.0, seed=seed))
        ).result.image

    assert np.array_equal(draw(1), draw(1))
    assert any(not np.array_equal(draw(1), draw(seed)) for seed in range(2, 5))


def test_tokens_of_all_that_ran_are_counted(working, model):
    worker, metrics = working()
    done = worker.run(jobs.dialogue(model, None, "How many cubes are there?", picture=PIXELS))
    alone = worker.run(jobs.recognition(model, PIXELS))
    assert done.num_prompt == alone.num_prompt > 0 and done.num_output == alone.num_output > 0
    total = metrics.registry.get_sample_value("kyvo_tokens_total", {"kind": "prompt"})
    assert total == done.num_prompt + alone.num_prompt


def test_what_one_job_cannot_have_is_no_matter_to_another(working, model, scene):
    worker, metrics = working()
    scene["objects"][0]["color"] = "pink"
    bad = worker.submit(jobs.rendering(model.rendering, scene_from_json(scene)))
    good = worker.submit(jobs.recognition(model, PIXELS))
    with pytest.raises(SceneError, match=r"color.*pink"):
        bad.future.result()
    assert good.future.result().result.scene is not None
    wait([bad.future, good.future])
    assert counted(metrics, "rendering", "failed") == 1


def test_one_job_more_than_may_be_is_refused_and_told_when_to_come_again(working, model, scene):
    worker, metrics = working(jobs=1)
    ticket, release = held(worker)
    with pytest.raises(Overloaded, match="1 jobs are waiting, and no more may") as caught:
        worker.submit(question(model, scene))
    assert 1 <= caught.value.retry_after <= 60
    release.set()
    assert ticket.future.result().result == "held"
    assert counted(metrics, "question_answering", "refused") == 1
    assert worker.run(question(model, scene)).result.text


def test_a_job_that_is_given_up_while_it_waits_never_runs(working, model, scene):
    worker, metrics = working(parallel=1)
    ticket, release = held(worker)
    waiting = worker.submit(jobs.rendering(model.rendering, scene_from_json(scene)))
    assert (worker.num_running, worker.num_waiting) == (1, 1)
    waiting.cancel()
    release.set()
    with pytest.raises(Cancelled):
        waiting.future.result()
    ticket.future.result()
    assert counted(metrics, "rendering", "cancelled") == 1 and counted(metrics, "rendering", "done") is None


def test_a_job_that_waited_too_long_is_late(working, model, scene):
    worker, metrics = working(parallel=1, seconds=0.5)
    _, release = held(worker)
    waiting = worker.submit(jobs.rendering(model.rendering, scene_from_json(scene)))
    threading.Timer(1.0, release.set).start()
    with pytest.raises(DeadlineExceeded, match="no answer in time"):
        waiting.future.result()
    assert counted(metrics, "rendering", "late") == 1


def test_stopping_finishes_what_was_taken_and_takes_no_more(model, scene):
    worker = Worker(model, limits=Limits(), metrics=Metrics())
    worker.start()
    tickets = [worker.submit(jobs.recognition(model, PIXELS)) for _ in range(4)]
    worker.stop()
    assert all(ticket.future.done() and ticket.future.result().result.scene is not None for ticket in tickets)
    with pytest.raises(Overloaded, match="the server stops"):
        worker.submit(question(model, scene))


def test_a_client_with_less_takes_the_place_of_one_with_more(working, model, scene):
    worker, metrics = working(parallel=1, jobs=4)
    ticket, release = held(worker)
    many = [worker.submit(question(model, scene), client="many") for _ in range(3)]
    few = worker.submit(question(model, scene), client="few")
    with pytest.raises(Overloaded):
        many[-1].future.result()
    with pytest.raises(Overloaded):
        worker.submit(question(model, scene), client="many")
    release.set()
    assert ticket.future.result().result == "held"
    assert all(one.future.result().result.text for one in (*many[:-1], few))
    assert counted(metrics, "question_answering", "refused") == 2


def test_a_job_that_would_end_too_late_is_refused_at_once(working, model, scene):
    worker, _ = working(parallel=1, seconds=30)
    assert worker.run(question(model, scene)).result.text
    worker._jobs._costs["question_answering"] = 40.0  # as on a slow machine
    _, release = held(worker)
    with pytest.raises(Overloaded, match="would take longer than 30 s"):
        worker.submit(question(model, scene))
    release.set()
