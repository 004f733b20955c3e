"""Which jobs are taken and whose turn it is, by a clock of the tests' own."""

from dataclasses import dataclass

import pytest

from kyvo.serving.admission import LATE, Admission, Entry


@dataclass(eq=False)
class One(Entry):
    client: str = "a"
    kind: str = "recognition"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def jobs(clock):
    return Admission(clock=clock)


def run(jobs, clock, *, count, seconds, kind="recognition"):
    """So many jobs at a time for so long."""
    for _ in range(count):
        jobs.add(One(kind=kind))
    begun = [jobs.begin() for _ in range(count)]
    clock.now += seconds
    for entry in begun:
        jobs.end(entry)


def test_jobs_that_run_together_share_the_time(jobs, clock):
    run(jobs, clock, count=4, seconds=8.0)
    assert jobs.seconds("recognition") == pytest.approx(2.0)


def test_time_without_jobs_costs_nothing(jobs, clock):
    clock.now += 100
    run(jobs, clock, count=1, seconds=1.0)
    assert jobs.seconds("recognition") == pytest.approx(1.0)


def test_a_new_job_comes_behind_those_that_wait(jobs, clock):
    run(jobs, clock, count=1, seconds=1.0)
    run(jobs, clock, count=1, seconds=10.0, kind="editing")
    for kind in ("recognition", "editing", "editing"):
        jobs.add(One(kind=kind))
    jobs.begin()
    assert jobs.seconds("recognition") == pytest.approx(22.0)
    assert jobs.seconds("rendering") == pytest.approx(20.0), "of which nothing is known yet"


def test_beside_costly_jobs_a_cheap_one_is_done_soon(jobs, clock):
    run(jobs, clock, count=1, seconds=1.0)
    run(jobs, clock, count=1, seconds=10.0, kind="editing")
    for _ in range(5):
        jobs.add(One(kind="editing"))
        jobs.begin()
    assert jobs.seconds("recognition") == pytest.approx(6.0)
    assert jobs.seconds("editing") == pytest.approx(60.0)


def test_where_jobs_run_out_of_time_fewer_are_taken(jobs, clock):
    """Each needs 8 s, and has 60: seven come to their end."""
    taken = []
    for _ in range(6):
        entries = []
        while len(entries) < 16 and jobs.seconds("rendering") <= 60.0:
            jobs.add(One(kind="rendering"))
            entries.append(jobs.begin())
        taken.append(len(entries))
        late = len(entries) * 8.0 > 60.0
        clock.now += 60.0 if late else len(entries) * 8.0
        for entry in entries:
            jobs.end(entry, factor=LATE if late else 1.0)
    assert taken[0] == 16 and taken[-1] in (6, 7)


def test_what_did_not_come_to_its_end_tells_nothing(jobs, clock):
    jobs.add(One())
    clock.now += 5
    jobs.end(jobs.begin(), factor=0.0)
    assert jobs.seconds("recognition") == 0.0


def test_clients_take_turns(jobs):
    for client in "aaaabbc":
        jobs.add(One(client=client))
    assert "".join(jobs.begin().client for _ in range(7)) == "abcabaa"
    assert jobs.begin() is None and jobs.num_running == 7


def test_who_has_most_makes_room_for_who_has_less(jobs):
    entries = [One(client=client) for client in "aaab"]
    for entry in entries:
        jobs.add(entry)
    assert jobs.displace("a") is None, "nobody has more"
    assert jobs.displace("b") is entries[2], "the last one of a"
    assert jobs.displace("b") is None, "of two and one none gives way"
    assert jobs.displace("c") is entries[1]


def test_a_running_job_is_never_displaced(jobs):
    for _ in range(3):
        jobs.add(One(client="a"))
        jobs.begin()
    assert jobs.displace("b") is None


def test_a_job_that_waits_is_withdrawn(jobs):
    first, second, third = One(), One(), One(client="b")
    for one in (first, second, third):
        jobs.add(one)
    assert jobs.begin() is first
    assert not jobs.withdraw(first)
    assert jobs.withdraw(third) and not jobs.withdraw(third)
    assert jobs.num_waiting == 1 and jobs.begin() is second and jobs.begin() is None
