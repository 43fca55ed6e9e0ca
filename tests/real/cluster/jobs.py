"""Jobs of a cluster: given to it by people, asked for, ended."""

import subprocess

from .commands import wait_until
from .daemons import Daemons


class Jobs(Daemons):
    """What tests ask of a cluster, and order it to do."""

    def all_idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-p", "interactive", "-o", "%T").stdout.split()
        return states == ["idle"] * len(self.nodes)

    def fill(self) -> str:
        """Let somebody have the whole cluster, and return the job's number."""
        return self.submit("max", "--exclusive", f"--nodes={len(self.nodes)}")

    def fill_rest(self) -> str:
        """Let somebody have what is left of the cluster, and return the job's number."""
        idle = self.said("sinfo", "-h", "-N", "-p", "interactive", "-o", "%C").split()
        cores = sum(int(counts.split("/")[1]) for counts in idle)
        return self.submit("max", f"--ntasks={cores}")

    def submit(self, user: str, *options: str, wait: bool = True) -> str:
        """Submit a job of a user's that sleeps, and return its number, usually once it runs."""
        command = ["sudo", "-n", "--preserve-env=SLURM_CONF", "-u", user, "sbatch", "--parsable"]
        plain = ["--export=NIL", "--chdir=/", "--output=/dev/null"]
        done = subprocess.run(
            [*command, *plain, "--time=60", "--mem-per-cpu=100", *options],
            input="#!/bin/sh\nexec sleep 3600\n",
            text=True,
            capture_output=True,
            check=True,
            env=self.environment,
        )
        number = done.stdout.strip()
        if wait:
            wait_until(lambda: self.state(number) == "RUNNING", "the job")
        return number

    def cancel_all(self) -> None:
        """Cancel everybody's jobs."""
        self.run("scancel", *self.run("squeue", "-h", "-o", "%i").stdout.split())

    def drain(self, *nodes: str) -> None:
        """Let no new jobs begin on these nodes, and on all others."""
        for name in self.nodes:
            state = ["state=drain", "reason=test"] if name in nodes else ["state=resume"]
            self.run("scontrol", "update", f"nodename={name}", *state)

    def state(self, job: str) -> str:
        """Return a job's state, as the controller has it."""
        return self.run("squeue", "-h", "--states=all", f"--jobs={job}", "-o", "%T").stdout.strip()

    def job_of(self, user: str) -> str:
        """Return the number of a user's one job, empty where there is none."""
        return " ".join(self.jobs(f"--user={user}"))

    def jobs(self, *more: str) -> list[str]:
        """Return the numbers of the jobs that wait or run."""
        return self.said("squeue", "-h", "-o", "%i", *more).split()
