"""Long jobs: files are read before a job's turn comes, and one that takes long delays no other job."""

import threading

import pytest

from kyvo.errors import ConfigError
from kyvo.serving.errors import RequestError
from kyvo.serving.limits import Limits
from kyvo.serving.long_jobs import JobResult, LongJobs
from kyvo.serving.metrics import Metrics
from kyvo.serving.worker import Overloaded, Worker
from kyvo.testing import tiny_kyvo

WAIT = 60  # s; nothing takes this long


@pytest.fixture(scope="module")
def jobs():
    model, metrics = tiny_kyvo(), Metrics()
    worker, readers = (
        Worker(model, limits=Limits(parallel=parallel, jobs=3), metrics=metrics, runs_engine=False)
        for parallel in (1, 2)
    )
    found = LongJobs(worker, readers)
    found.start()
    yield found
    found.stop()


def make(run, job, *, found):
    return JobResult(result=found, files={}, seconds=0.0)


def test_a_slow_file_delays_neither_a_quick_one_nor_a_job_without_files(jobs):
    begun, release = threading.Event(), threading.Event()

    def slowly():
        begun.set()
        assert release.wait(WAIT)
        return "slow"

    slow = jobs.add("/jobs", "object", make, read=slowly)
    assert begun.wait(WAIT)
    quick = jobs.add("/jobs", "object", make, read=lambda: "quick")
    plain = jobs.add("/jobs", "object", make)
    assert quick.future.result(WAIT).result.result == "quick" and plain.future.result(WAIT).result.result is None
    assert slow.state == "waiting"
    more = [jobs.add("/jobs", "object", make, read=slowly) for _ in range(2)]
    for read in (slowly, None):
        with pytest.raises(Overloaded, match="3 jobs are waiting"):
            jobs.add("/jobs", "object", make, read=read)
    release.set()
    assert all(job.future.result(WAIT).result.result == "slow" for job in more)
    assert slow.future.result(WAIT).result.result == "slow" and slow.state == "done"


def test_what_is_wrong_with_a_file_fails_its_job(jobs):
    def fail():
        raise ConfigError("it holds nothing.")

    job = jobs.add("/jobs", "object", make, read=fail)
    with pytest.raises(ConfigError):
        job.future.result(WAIT)
    assert (job.state, job.error) == ("failed", "it holds nothing.")


def test_a_job_that_is_cancelled_while_its_file_is_read_never_begins(jobs):
    begun, release = threading.Event(), threading.Event()

    def slowly():
        begun.set()
        assert release.wait(WAIT)

    job = jobs.add("/jobs", "object", make, read=slowly)
    assert begun.wait(WAIT)
    jobs.remove("/jobs", job.id)
    release.set()
    assert job.future.exception(WAIT) is not None and job.state == "cancelled" and not job.began
    with pytest.raises(RequestError):
        jobs.get("/jobs", job.id)
