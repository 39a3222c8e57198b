"""Replacing worker processes, with children that are none."""

from dataclasses import dataclass, field

import pytest

from spaces.errors import SearchError, WorkerError
from studies.events import StudyJoined, WorkerFailed
from studies.workers.context import RECYCLED
from studies.workers.supervisor import Slot, Supervisor, describe_exit, max_restarts

KILLED = -9


@dataclass
class FakeLog:
    number: int
    path: str = "logs/worker-1.log"

    def tail(self):
        return "    the last line"


@dataclass
class FakeChild:
    pid: int
    code: int | None = None
    stubborn: bool = False
    signals: list[str] = field(default_factory=list)
    events: list = field(default_factory=list)

    def read_events(self):
        events, self.events = self.events, []
        return events

    def poll(self):
        return self.code

    def terminate(self):
        self.signals.append("TERM")
        self.code = self.code if self.stubborn else 143

    def kill(self):
        self.signals.append("KILL")
        self.code = KILLED


@dataclass
class Crew:
    """A supervisor of fake children on a clock that goes on when it is told to."""

    workers: int = 1
    now: float = 0.0
    joined: bool = True
    most_crashes: int = 3
    looked_at: float = float("inf")
    productive: set[int] = field(default_factory=set)
    children: list[FakeChild] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    events: list = field(default_factory=list)

    def __post_init__(self):
        self.supervisor = Supervisor(
            [Slot(FakeLog(number)) for number in range(1, self.workers + 1)],
            start=self.start,
            give_up=self.given_up.append,
            tell=self.told.append,
            has_joined=lambda: self.joined,
            has_ended_trials=self.productive.__contains__,
            on_event=lambda slot, event: self.events.append((slot.log.number, event)),
            looked_at=lambda: self.looked_at,
            max_restarts=self.most_crashes,
            clock=lambda: self.now,
        )

    def start(self, slot):
        self.children.append(FakeChild(len(self.children) + 1))
        return self.children[-1]

    def ends(self, code, after=0.0, message=None):
        """The newest child ends, with a message if it has one; then time passes until another one would start."""
        self.children[-1].code = code
        if message is not None:
            self.children[-1].events.append(WorkerFailed(code, "StudyError", message))
        self.now += after
        going_on = self.supervisor.tick()
        self.now += 10.0
        return self.supervisor.tick() if going_on else False


@pytest.fixture
def crew():
    made = Crew()
    made.supervisor.tick()
    return made


def test_a_worker_that_has_ended_its_study_is_not_replaced(crew):
    """Exit code 0 is the end."""
    assert not crew.ends(0)
    assert len(crew.children) == 1
    assert crew.given_up == []


@pytest.mark.parametrize("code", [KILLED, -11, 1, 143, 6])
def test_a_dead_worker_is_given_up_and_replaced(crew, code):
    """Its trial goes on at once, another process takes its place, and the user is told."""
    assert crew.ends(code)
    assert crew.given_up == [1]
    assert len(crew.children) == 2
    assert "worker 1" in crew.told[0]


def test_replacements_are_bounded(crew):
    """A worker that dies again and again without ending a trial ends the run, with its log file and what it holds."""
    for _ in range(3):
        assert crew.ends(KILLED)
    with pytest.raises(WorkerError, match=r"killed by SIGKILL, as did the 3 before.*worker-1.log(.|\n)*the last line"):
        crew.ends(KILLED)
    assert len(crew.children) == 4


@pytest.mark.parametrize("retries", [0, 2, 9])
def test_two_deadly_trials_do_not_end_the_run(retries):
    """Each may take as many workers with it as the study lets it, before the next worker ends a trial."""
    crew = Crew(most_crashes=max_restarts(retries))
    crew.supervisor.tick()
    for _ in range(2 * (retries + 1)):
        assert crew.ends(KILLED)
    crew.productive.add(len(crew.children))
    assert crew.ends(KILLED)


def test_a_dead_worker_is_judged_by_what_is_known_after_its_death(crew):
    """It may have ended a trial a moment before; whoever does not answer is not waited for."""
    for _ in range(3):
        crew.ends(KILLED)
    crew.looked_at = crew.now - 1.0
    crew.children[-1].code = KILLED
    assert crew.supervisor.tick()
    assert len(crew.children) == 4
    crew.productive.add(4)
    crew.looked_at = crew.now
    assert crew.supervisor.tick()
    assert crew.supervisor.tick()
    assert len(crew.children) == 5
    crew.looked_at = crew.now - 1.0
    assert crew.ends(KILLED)
    crew.now += 10.0
    assert crew.supervisor.tick()
    assert len(crew.children) == 6


@pytest.mark.parametrize(("joined", "said"), [(False, None), (True, "the database is away")])
def test_what_is_no_trials_fault_ends_the_run_soon(joined, said):
    """A worker that never joined the study, or that says why it ends."""
    crew = Crew(joined=joined, most_crashes=20)
    crew.supervisor.tick()
    for _ in range(3):
        assert crew.ends(KILLED)
    with pytest.raises(SearchError):
        crew.ends(6, message=said)


def test_a_worker_that_ends_trials_may_die_more_often(crew):
    """Whoever makes progress between its deaths is replaced without end."""
    for number in range(1, 20):
        crew.productive.add(number)
        assert crew.ends(KILLED)


def test_deaths_long_ago_are_forgotten(crew):
    """Only the last ten minutes count."""
    for _ in range(20):
        assert crew.ends(KILLED, after=250.0)


def test_replacements_wait_longer_each_time(crew):
    """The first comes at once, the next ones after a while."""
    waited = []
    for count in range(1, 4):
        crew.children[-1].code = KILLED
        died = crew.now
        while len(crew.children) == count:
            crew.supervisor.tick()
            crew.now += 0.5
        waited.append(crew.now - died)
    assert waited == sorted(waited)
    assert waited[0] <= 1.0
    assert waited[-1] > 5.0


def test_a_recycled_worker_has_not_crashed(crew):
    """A fresh process starts at once, as often as it takes, and nobody is told."""
    for _ in range(10):
        assert crew.ends(RECYCLED)
    assert crew.told == []
    assert crew.given_up == []
    assert crew.supervisor.slots[0].is_replacement


@pytest.mark.parametrize("code", [3, 4, 6, 1])
def test_what_no_worker_can_begin_with_ends_the_run_at_once(crew, code):
    """While none has joined the study, the first worker's own message is the run's, with its exit code."""
    crew.joined = False
    with pytest.raises(SearchError, match=r"^there are no images$") as error:
        crew.ends(code, message="there are no images")
    assert error.value.exit_code == code
    assert crew.told == []


def test_a_search_without_results_ends_the_run(crew):
    """That all trials fail is no fault of the process, which would find the same again."""
    with pytest.raises(SearchError, match="the first 5 trials") as error:
        crew.ends(9, message="the first 5 trials all failed")
    assert error.value.exit_code == 9


def test_images_that_are_lost_end_the_run(crew):
    """Another worker would read the same folder."""
    with pytest.raises(SearchError, match="no longer be read") as error:
        crew.ends(4, message="3 image files can no longer be read")
    assert error.value.exit_code == 4


def test_an_error_that_comes_back_is_told_in_its_own_words(crew):
    """After the last replacement the message and the exit code are those of the worker."""
    for _ in range(3):
        crew.ends(6, message="the database is away")
    with pytest.raises(SearchError, match=r"the database is away(.|\n)*exit code 6") as error:
        crew.ends(6, message="the database is away")
    assert error.value.exit_code == 6


def test_errors_of_earlier_processes_do_not_count(crew):
    """A message belongs to the process that sent it: a later crash without one shows the log."""
    crew.ends(6, message="the database is away")
    for _ in range(2):
        crew.ends(KILLED)
    with pytest.raises(WorkerError, match="the last line"):
        crew.ends(KILLED)


def test_events_are_passed_on_before_the_exit_is_judged(crew):
    """What a process has reported counts, also what is read only after it has ended."""
    crew.children[0].events = [StudyJoined("a")]
    crew.ends(0)
    assert crew.events == [(1, StudyJoined("a"))]


def test_one_that_dies_leaves_the_others_alone():
    """Each worker has replacements of its own."""
    crew = Crew(workers=3)
    crew.supervisor.tick()
    crew.children[1].code = KILLED
    assert crew.supervisor.tick()
    crew.supervisor.tick()
    assert len(crew.children) == 4
    assert [child.signals for child in crew.children] == [[]] * 4


def test_ending_asks_first_and_kills_who_does_not_listen():
    """All are asked at once; after the grace time whoever is left is killed, and its trial handed back."""
    crew = Crew(workers=3)
    crew.supervisor.tick()
    crew.children[1].stubborn = True

    def sleep(seconds):
        crew.now += seconds

    crew.supervisor.end(sleep)
    assert [child.signals for child in crew.children] == [["TERM"], ["TERM", "KILL"], ["TERM"]]
    assert crew.given_up == [2]
    assert crew.now < 10.0
    assert not crew.supervisor.tick()


def test_nothing_is_started_after_the_end():
    """A replacement that was due is not started any more."""
    crew = Crew()
    crew.supervisor.tick()
    crew.children[0].code = RECYCLED
    crew.supervisor.terminate()
    crew.supervisor.end(lambda seconds: None)
    assert not crew.supervisor.tick()
    assert len(crew.children) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "was killed by SIGKILL"), (143, "was ended by SIGTERM"), (1, "ended with exit code 1"), (-200, "signal 200")],
)
def test_ends_are_told_in_words(code, words):
    """A signal has its name."""
    assert words in describe_exit(code)
