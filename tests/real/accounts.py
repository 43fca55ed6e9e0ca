"""Accounts of this machine and services of PAM, of the tests' own."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from slapd import program

from hub.doors.pam import SERVICES

PASSWORD = "Röntgen 1895"
PLAIN = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"


@dataclass
class Machine:
    """Accounts and services of the tests', whose names begin alike."""

    prefix: str
    folder: Path
    added: list[str] = field(default_factory=list)

    def service(self, *parts: str) -> str:
        """Return the name of a service with these modules."""
        text = "".join(parts).format(folder=self.folder)
        name = f"{self.prefix}-{abs(hash(text))}"
        (SERVICES / name).write_text(text)
        return name

    def name(self, short: str) -> str:
        return f"{self.prefix}-{short}"

    def add(self, short: str, password: str = PASSWORD) -> None:
        name = self.name(short)
        self.added.append(name)
        homes = self.folder / "homes"
        homes.mkdir(exist_ok=True)
        home = f"--home-dir={homes / name}"
        self.run("useradd", "--badname", "--create-home", home, "--shell=/bin/sh", name)
        self.run("chpasswd", text=f"{name}:{password}\n")

    def run(self, command: str, *arguments: str, text: str = "") -> str:
        """Run a command of an administrator's."""
        done = subprocess.run(
            [program(command) or command, *arguments], input=text, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def remove(self) -> None:
        """Take all away again."""
        for name in self.added:
            subprocess.run(["userdel", name], capture_output=True)
        for path in SERVICES.glob(f"{self.prefix}-*"):
            path.unlink()
        subprocess.run(["rm", "-r", self.folder], check=True)
