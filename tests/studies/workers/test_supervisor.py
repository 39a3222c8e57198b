"""Restarting worker processes, with fake children."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from spaces.errors import SearchError, WorkerError
from studies.events import StudyJoined, WorkerFailed
from studies.workers.context import RECYCLED
from studies.workers.supervisor import Slot, Supervisor, describe_exit, max_restarts

KILLED = -9


def fake_log(number):
    return SimpleNamespace(number=number, path="logs/worker-1.log", tail=lambda: "    the last line")


@dataclass
class FakeChild:
    pid: int
    code: int | None = None
    ignores_sigterm: bool = False
    signals: list[str] = field(default_factory=list)
    events: list = field(default_factory=list)

    def read_events(self):
        events, self.events = self.events, []
        return events

    def poll(self):
        return self.code

    def terminate(self):
        self.signals.append("TERM")
        self.code = self.code if self.ignores_sigterm else 143

    def kill(self):
        self.signals.append("KILL")
        self.code = KILLED


@dataclass
class FakeWorkers:
    """A supervisor of fake children on a clock that the test moves."""

    count: int = 1
    now: float = 0.0
    joined: bool = True
    max_restarts: int = 3
    database_read_at: float = float("inf")
    productive: set[int] = field(default_factory=set)
    children: list[FakeChild] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    events: list = field(default_factory=list)

    def __post_init__(self):
        self.supervisor = Supervisor(
            [Slot(fake_log(number)) for number in range(1, self.count + 1)],
            start=self.start,
            mark_lost=self.lost.append,
            report=self.reports.append,
            has_joined=lambda: self.joined,
            has_finished_trials=self.productive.__contains__,
            on_event=lambda slot, event: self.events.append((slot.log.number, event)),
            database_read_at=lambda: self.database_read_at,
            max_restarts=self.max_restarts,
            clock=lambda: self.now,
        )
        self.supervisor.tick()

    def start(self, slot):
        self.children.append(FakeChild(len(self.children) + 1))
        return self.children[-1]

    def exit(self, code, after=0.0, message=None, times=1):
        """Let the newest child exit, then let time pass until a replacement would have started; again `times` times."""
        for _ in range(times):
            self.children[-1].code = code
            if message is not None:
                self.children[-1].events.append(WorkerFailed(message))
            self.now += after
            if not self.supervisor.tick():
                return False
            self.now += 10.0
            continues = self.supervisor.tick()
        return continues

    def children_after_tick(self):
        """Let the supervisor look once, and return the number of children that were ever started."""
        assert self.supervisor.tick()
        return len(self.children)


@pytest.fixture
def workers():
    return FakeWorkers()


def test_finished_worker_is_not_restarted(workers):
    """Exit code 0 is the end; events count even if they are read only after it."""
    workers.children[0].events = [StudyJoined("a")]
    assert not workers.exit(0)
    assert (len(workers.children), workers.lost) == (1, [])
    assert workers.events == [(1, StudyJoined("a"))]


@pytest.mark.parametrize("code", [KILLED, -11, 1, 143, 6])
def test_crashed_worker_is_marked_lost_and_restarted(workers, code):
    """Its trial is requeued at once, another process starts, and the user is informed."""
    assert workers.exit(code)
    assert (len(workers.children), workers.lost) == (2, [1])
    assert "worker 1" in workers.reports[0]


def test_restarts_are_limited(workers):
    """A worker that keeps crashing without finishing a trial ends the run; the error shows the end of its log."""
    assert workers.exit(KILLED, times=3)
    with pytest.raises(WorkerError, match=r"crashed 4 times(.|\n)*SIGKILL(.|\n)*the last line(.|\n)*worker-1.log"):
        workers.exit(KILLED)
    assert len(workers.children) == 4


@pytest.mark.parametrize("max_retries", [0, 2, 9])
def test_two_crashing_trials_do_not_end_the_run(max_retries):
    """Each may crash as many workers as the study allows before a worker finishes a trial."""
    workers = FakeWorkers(max_restarts=max_restarts(max_retries))
    assert workers.exit(KILLED, times=2 * (max_retries + 1))
    workers.productive.add(len(workers.children))
    assert workers.exit(KILLED)


def test_crash_is_judged_by_what_the_database_shows_after_it(workers):
    """The process may have finished a trial just before; an unreachable database is not waited for without end."""
    workers.exit(KILLED, times=3)
    workers.database_read_at = workers.now - 1.0
    workers.children[-1].code = KILLED
    assert workers.children_after_tick() == 4
    workers.productive.add(4)
    workers.database_read_at = workers.now
    workers.children_after_tick()
    assert workers.children_after_tick() == 5
    workers.database_read_at = workers.now - 1.0
    assert workers.exit(KILLED)
    workers.now += 10.0
    assert workers.children_after_tick() == 6


@pytest.mark.parametrize(("joined", "message"), [(False, None), (True, "the database is away")])
def test_crashes_that_no_trial_causes_end_the_run_soon(joined, message):
    """A worker that never joined the study, or that reports an error, is restarted three times."""
    workers = FakeWorkers(joined=joined, max_restarts=20)
    assert workers.exit(KILLED, times=3)
    with pytest.raises(SearchError):
        workers.exit(6, message=message)


@pytest.mark.parametrize(("finishes_trials", "seconds"), [(True, 0.0), (False, 250.0)])
def test_productive_workers_and_rare_crashes_are_restarted_without_limit(workers, finishes_trials, seconds):
    """Only crashes in a row without a finished trial count, and only those of the last ten minutes."""
    workers.productive.update(range(1, 20) if finishes_trials else ())
    assert workers.exit(KILLED, after=seconds, times=19)


def test_restarts_are_delayed_more_each_time(workers):
    """The first comes at once, the next ones after a while."""
    delays = []
    for count in range(1, 4):
        workers.children[-1].code = KILLED
        crashed_at = workers.now
        while workers.children_after_tick() == count:
            workers.now += 0.5
        delays.append(workers.now - crashed_at)
    assert delays == sorted(delays)
    assert (delays[0] < 1.0, delays[-1] >= 5.0) == (True, True)


def test_recycled_worker_has_not_crashed(workers):
    """A new process starts at once, any number of times, without a message."""
    assert workers.exit(RECYCLED, times=10)
    assert (workers.reports, workers.lost) == ([], [])
    assert workers.supervisor.slots[0].is_replacement


@pytest.mark.parametrize(("code", "joined"), [(3, False), (4, False), (6, False), (1, False), (9, True), (4, True)])
def test_errors_of_every_worker_end_the_run_at_once(workers, code, joined):
    """Before any worker has joined, and for failed studies and lost images, the worker's message and code are used."""
    workers.joined = joined
    with pytest.raises(SearchError, match=r"^no images$") as error:
        workers.exit(code, message="no images")
    assert error.value.exit_code == code
    assert workers.reports == []


def test_repeated_error_keeps_its_message_and_exit_code(workers):
    """After the last restart the run fails as the worker did."""
    workers.exit(6, message="the database is away", times=3)
    with pytest.raises(SearchError, match=r"code 6: the database is away\nhint: see logs") as error:
        workers.exit(6, message="the database is away")
    assert error.value.exit_code == 6


def test_message_belongs_to_one_process(workers):
    """A later crash without a message shows the log instead."""
    workers.exit(6, message="the database is away")
    workers.exit(KILLED, times=2)
    with pytest.raises(WorkerError, match="the last line"):
        workers.exit(KILLED)


def test_crash_leaves_other_workers_alone():
    """Each worker has restarts of its own."""
    workers = FakeWorkers(count=3)
    workers.children[1].code = KILLED
    workers.children_after_tick()
    assert workers.children_after_tick() == 4
    assert [child.signals for child in workers.children] == [[]] * 4


def test_processes_that_ignore_sigterm_are_killed():
    """All are asked at once; after the grace time those that are left are killed, and their trials requeued."""
    workers = FakeWorkers(count=3)
    workers.children[1].ignores_sigterm = True
    workers.supervisor.end(lambda seconds: setattr(workers, "now", workers.now + seconds))
    assert [child.signals for child in workers.children] == [["TERM"], ["TERM", "KILL"], ["TERM"]]
    assert workers.lost == [2]
    assert workers.now < 10.0
    assert not workers.supervisor.tick()


def test_nothing_starts_after_the_end(workers):
    """A restart that was due does not happen any more."""
    workers.children[0].code = RECYCLED
    workers.supervisor.terminate()
    workers.supervisor.end(lambda seconds: None)
    assert not workers.supervisor.tick()
    assert len(workers.children) == 1


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "killed by SIGKILL"), (143, "by SIGTERM"), (1, "code 1"), (-200, "signal 200")]
)
def test_exits_are_described(code, words):
    """A signal has its name."""
    assert words in describe_exit(code)
