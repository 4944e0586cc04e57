"""`snakemake --profile slurm` on a real Slurm: what jobs ask for, and what becomes of those that come to grief."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm_cluster
from slurm_cluster import Cluster

from .conftest import Workspace

MISSING = slurm_cluster.missing()
pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(MISSING is not None, reason=f"no Slurm can be started here: {MISSING}"),
]

# Without accounting the plugin must ask squeue; a job is looked at as soon as it may be done.
HERE = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
# What a model job of the smoke study needs is more than this and less than twice it.
MEMORY_MB = 400
TINY = f"""
compute: {{ mem_mb: {MEMORY_MB} }}
study: {{ checkpoints: [base], methods: [saliency_l2, random], budgets: [top_var], main_budget: top_var }}
"""
DONE = "COMPLETED"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of one node. Its folder's name is short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, slurm_cluster.running(Path(folder)) as made:
        yield made


@pytest.fixture
def workspace(fresh: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the project with a study of five jobs for the cluster."""
    made = fresh.copy(tmp_path / "project")
    (made.folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    made.config += ("tiny.yaml",)
    return made


class Run:
    """Snakemake with the profile, in the background and in a process group of its own."""

    def __init__(self, workspace: Workspace, cluster: Cluster) -> None:
        self.workspace, self.cluster = workspace, cluster
        self.before = len(cluster.jobs())
        self.output = workspace.folder / "run.txt"
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", *workspace.config, *HERE],
                cwd=workspace.folder,
                env={**os.environ, **cluster.environment, "GPU_PARTITION": "gpus"},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def jobs(self, rule: str = "") -> list[dict[str, str]]:
        """The jobs of this run, of one rule if it is named, in the order in which they were sent."""
        return [job for job in self.cluster.jobs()[self.before :] if job["Comment"].startswith(f"rule_{rule}")]

    def wait_for(self, found: Callable[[], object], seconds: float = 120) -> None:
        """Wait until ``found()``; fails the test with Snakemake's output if that takes too long or the run ends."""
        end = time.monotonic() + seconds
        while not found():
            assert time.monotonic() < end, self.output.read_text()
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.2)

    def finish(self, seconds: float = 300) -> None:
        """Wait for the end, which must be a good one."""
        assert self.process.wait(seconds) == 0, self.output.read_text()

    def kill(self) -> None:
        """End Snakemake and its local jobs at once, without a word to anybody."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running(workspace: Workspace, cluster: Cluster) -> Iterator[Run]:
    """A run that is over with the block."""
    run = Run(workspace, cluster)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.kill()


def states(jobs: list[dict[str, str]]) -> list[str]:
    return [job["JobState"] for job in jobs]


def test_a_study_on_the_cluster_survives_a_cancelled_job_and_one_without_memory(
    workspace: Workspace, cluster: Cluster
) -> None:
    with running(workspace, cluster) as run:
        run.wait_for(lambda: states(run.jobs("evidence")) == ["RUNNING"])
        cluster.command("scancel", run.jobs("evidence")[0]["JobId"])
        run.finish()
    assert (workspace.folder / "results-smoke/report/index.html").stat().st_size > 0
    # Sent again, and with twice the memory.
    assert states(run.jobs("evidence")) == ["CANCELLED", DONE]
    assert states(run.jobs("perturb")) == ["FAILED", DONE]
    for rule in ("evidence", "perturb"):
        assert [job["MinMemoryNode"] for job in run.jobs(rule)] == [f"{MEMORY_MB}M", f"{2 * MEMORY_MB}M"]
        assert [job["TimeLimit"] for job in run.jobs(rule)] == ["01:00:00", "02:00:00"]
        for job in run.jobs(rule):
            assert (job["TresPerJob"], job["Partition"], job["NumCPUs"]) == ("gres:gpu:1", "gpus", "4")
    # Light steps have run here; what is left asked for no GPU, in another partition.
    others = [job for job in run.jobs() if job["Partition"] != "gpus"]
    assert sorted(job["Comment"].split("_wildcards")[0] for job in others) == [
        "rule_corpus",
        "rule_corpus",
        "rule_model",
    ]
    assert all("TresPerJob" not in job and states([job]) == [DONE] for job in others)


@pytest.mark.long
def test_the_smoke_study_goes_on_over_a_drained_node_and_a_killed_snakemake(
    fresh: Workspace, cluster: Cluster, tmp_path: Path
) -> None:
    workspace = fresh.copy(tmp_path / "project")
    with running(workspace, cluster) as run:
        # A node that is drained ends its jobs and takes no others, until it is resumed.
        run.wait_for(lambda: "RUNNING" in states(run.jobs("corpus")))
        cluster.command("scontrol", "update", f"NodeName={cluster.node}", "State=DRAIN", "Reason=test")
        run.wait_for(lambda: "PENDING" in states(run.jobs("evidence") + run.jobs("finetune")))
        assert set(states(run.jobs("corpus") + run.jobs("model"))) == {DONE}
        cluster.command("scontrol", "update", f"NodeName={cluster.node}", "State=RESUME")
        run.wait_for(lambda: DONE in states(run.jobs("evidence")))
        run.kill()
        before = run.jobs()
    # As docs/cluster.md has it: the jobs that Snakemake left behind are ended first.
    cluster.command("scancel", "--me")
    deadline = time.monotonic() + 60
    while {"RUNNING", "COMPLETING"} & set(states(run.jobs())):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    workspace.snakemake("--unlock")
    whole = {job["Comment"] for job in before if job["JobState"] == DONE}
    assert {comment.split("_wildcards")[0] for comment in whole} >= {"rule_corpus", "rule_model", "rule_evidence"}
    with running(workspace, cluster) as again:
        again.finish(600)
    assert (workspace.folder / "results-smoke/report/index.html").stat().st_size > 0
    sent = [job["Comment"] for job in again.jobs()]
    # What Snakemake had seen finished is not sent again; one that ended as it was killed may be.
    assert len(whole & set(sent)) <= 1
    assert not [comment for comment in sent if comment.startswith(("rule_corpus", "rule_model"))]
    assert {job["TresPerJob"] for job in again.jobs() if job["Partition"] == "gpus"} == {"gres:gpu:1"}
