"""A server on Slurm, as JupyterHub keeps it: what a hub that starts again still knows."""

import pytest

from hub.deployment import Deployment
from hub.site import load_site
from hub.usecases import NOTEBOOKS, load_use_cases
from spawners.slurm.spawner import JobSpawner
from spawners.slurm.submit import NotTakenError, submit

SITE = load_site("hpc")


@pytest.fixture
def made(a_user, tmp_path):
    deployment = Deployment("hpc", SITE, load_use_cases([NOTEBOOKS]), tmp_path)

    def spawner(name: str) -> JobSpawner:
        found: JobSpawner = a_user(deployment, name).get_or_create_spawner("pyfai", "pyFAI")
        return found

    return spawner


def test_a_hub_that_starts_again_tells_how_much_memory_was_full(made):
    before, after = made("ada"), made("bob")
    demand = SITE.backend.demand("small", SITE.sizes["small"])
    before.job_id, before.mark, before._memory_mb = "7", "0" * 16, demand.memory_mb
    after.load_state(before.get_state())
    after.take_report(listening=False, problem="", output="", memory_full=True)
    assert f"its memory of {SITE.sizes['small'].memory_gib:g} GiB was full" in after.notice


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """What stands for sudo and sbatch: lines of a shell, None for no program at all."""

    def does(lines: str | None) -> None:
        if lines is not None:
            (tmp_path / "sudo").write_text(f"#!/bin/sh\ncat >/dev/null\n{lines}\n")
            (tmp_path / "sudo").chmod(0o755)
        path = f"{tmp_path}:/bin:/usr/bin" if lines is not None else str(tmp_path)
        monkeypatch.setenv("PATH", path)

    return does


@pytest.mark.parametrize(
    ("lines", "number"),
    [("echo 17", "17"), ("echo Welcome!; echo '18;cluster'; echo Bye", "18")],
    ids=["plain", "among banners"],
)
async def test_a_job_has_the_number_that_sbatch_prints(sbatch, lines, number):
    sbatch(lines)
    assert await submit("ada", "#!/bin/sh") == number


@pytest.mark.parametrize(
    ("lines", "is_certain"),
    [
        ("echo 'sbatch: error: Batch job submission failed: Invalid qos' >&2; exit 1", True),
        ("echo Welcome!", False),
        (None, False),
    ],
    ids=["refused", "no number", "no answer"],
)
async def test_only_what_slurm_refuses_is_certainly_not_there(sbatch, lines, is_certain):
    sbatch(lines)
    with pytest.raises(NotTakenError) as caught:
        await submit("ada", "#!/bin/sh")
    assert caught.value.is_certain is is_certain
    assert len(str(caught.value)) > 20
