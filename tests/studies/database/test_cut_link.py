"""A worker with a cut link to the database loses its trial once and continues."""

import os
import shutil
import subprocess
import time
from dataclasses import replace

import pytest

from tests.support.invariants import attempts, faults
from tests.support.servers import postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("ip") is None, reason="needs the command ip")]
HERE, THERE = "10.213.77.1", "10.213.77.2"


def ip(arguments):
    """Run `ip`; returns True if it succeeds."""
    return subprocess.run(["ip", *arguments.split()], capture_output=True).returncode == 0


@pytest.fixture
def namespace():
    """Create a network namespace; returns its name and the name of this end of the link."""
    name, link = f"search-{os.getpid()}", f"s{os.getpid()}"
    made = [f"netns add {name}", f"link add {link} type veth peer name db0 netns {name}"]
    here = [f"addr add {HERE}/24 dev {link}", f"link set {link} up"]
    there = [f"-n {name} addr add {THERE}/24 dev db0", f"-n {name} link set db0 up"]
    try:
        if not all(map(ip, made)):
            pytest.skip("a network namespace cannot be made here")
        assert all(map(ip, here + there))
        yield name, link
    finally:
        ip(f"link del {link}")
        ip(f"netns del {name}")


def test_cut_link_loses_no_trial(namespace, tmp_path):
    """Another worker takes over the trial; the returning one reports the lost claim."""
    name, link = namespace
    with postgres(HERE, settings={"fsync": "off"}) as server:
        server.allow(f"{HERE}/24")
        plan = SleepSettings(server.new_database(), 8, seconds=0.5)
        far_url = server.url(plan.url.partition("@/")[2].partition("?")[0], over="tcp")
        commands = plan.command, ["ip", "netns", "exec", name, *replace(plan, url=far_url).command]
        near, far = pools = [WorkerPool(c, tmp_path / str(n), 1, most_starts=1) for n, c in enumerate(commands)]
        for pool in pools:
            pool.folder.mkdir()
            pool.start()
        try:
            deadline = time.monotonic() + 60.0
            while not all("began" in pool.output() for pool in pools) and time.monotonic() < deadline:
                time.sleep(0.05)
            ip(f"link set {link} down")
            time.sleep(6.0)
            taken_by_near = near.output().count("began")
            ip(f"link set {link} up")
            for pool in pools:
                pool.wait(120.0)
        finally:
            for pool in pools:
                pool.end()
        assert faults(plan.url, NAME, 8, 5) == []
        assert attempts(plan.url) == 1
        assert taken_by_near >= 1
        assert far.output().count("lost the claim on trial") == 1
        assert "complete" in far.output().partition("lost the claim on trial")[2]
