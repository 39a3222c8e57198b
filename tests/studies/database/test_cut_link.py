"""A worker with a cut link to the database loses its trial once and continues."""

import os
import subprocess
import time

import pytest

from tests.support.invariants import attempts, faults
from tests.support.servers import postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

pytestmark = pytest.mark.slow
HERE, THERE = "10.213.77.1", "10.213.77.2"


def ip(*arguments, check=True):
    """Run `ip`."""
    return subprocess.run(["ip", *arguments], check=check, capture_output=True)


@pytest.fixture
def namespace():
    """Create a network namespace; returns its name and the name of this end of the link."""
    name, link = f"search-{os.getpid()}", f"s{os.getpid()}"
    try:
        made = ip("netns", "add", name, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("a network namespace cannot be made here")
    try:
        if ip("link", "add", link, "type", "veth", "peer", "name", "db0", "netns", name, check=False).returncode:
            pytest.skip("a link to a network namespace cannot be made here")
        ip("addr", "add", f"{HERE}/24", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", name, "addr", "add", f"{THERE}/24", "dev", "db0")
        ip("-n", name, "link", "set", "db0", "up")
        yield name, link
    finally:
        ip("link", "del", link, check=False)
        ip("netns", "del", name, check=False)


def test_cut_link_loses_no_trial(namespace, tmp_path):
    """Another worker takes over the trial; the returning one reports the lost claim."""
    name, link = namespace
    with postgres(HERE, settings={"fsync": "off"}) as server:
        server.allow(f"{HERE}/24")
        plan = SleepSettings(server.new_database(), 8, seconds=0.5)
        far_plan = SleepSettings(server.url(plan.url.partition("@/")[2].partition("?")[0], over="tcp"), 8, seconds=0.5)
        near, far = (WorkerPool([], tmp_path / side, 1, most_starts=1) for side in ("near", "far"))
        for pool, command in ((near, plan.command), (far, ["ip", "netns", "exec", name, *far_plan.command])):
            pool.folder.mkdir()
            pool.command[:] = command
            pool.start()
        try:
            wait_for(lambda: "began" in near.output() and "began" in far.output())
            ip("link", "set", link, "down")
            time.sleep(6.0)
            taken_by_near = near.output().count("began")
            ip("link", "set", link, "up")
            near.wait(120.0)
            far.wait(120.0)
        finally:
            near.end()
            far.end()
        assert faults(plan.url, NAME, 8, 5) == []
        assert attempts(plan.url) == 1
        assert taken_by_near >= 1
        assert far.output().count("lost the claim on trial") == 1
        assert "complete" in far.output().partition("lost the claim on trial")[2]


def wait_for(is_so):
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
