"""What a worker process reports to its supervisor."""

from search.launch.worker_screen import WorkerScreen
from studies.events import DataProgress, StudyJoined, WorkerLine
from studies.outcome import Progress
from tests.support import fake_events


class Sent(list):
    """Keeps the events."""

    send = list.append


def test_worker_reports_its_images_the_study_and_its_notices(capsys):
    """Everything that the supervisor does not know itself, and no trials, which the database tells."""
    sent = Sent()
    screen = WorkerScreen("digits", lambda reason: None, sent)
    fake_events.play(screen, fake_events.WIDE_SPACE)
    screen.on_study_opened(fake_events.opened(Progress(3), identity="i", notices=("a notice",)))
    screen.on_worker_output("weights", "downloading")
    kinds = [type(event).__name__ for event in sent]
    assert kinds == ["DataProgress", "DataProgress", "DataReady", "StudyJoined", "StudyJoined", "WorkerLine"]
    assert sent[-2:] == [StudyJoined("i", ("a notice",)), WorkerLine("weights", "downloading")]
    assert "trial 2 complete" in capsys.readouterr().out


def test_progress_is_sent_a_few_times_a_second(capsys):
    """A flood of calls is no flood of events, and the last one is always sent."""
    sent, now = Sent(), [0.0]
    screen = WorkerScreen("digits", lambda reason: None, sent, clock=lambda: now[0])
    for done in range(1, 101):
        screen.on_data_progress(done, 100)
        now[0] += 0.01
    assert len(sent) <= 5
    assert sent[-1] == DataProgress(100, 100)
