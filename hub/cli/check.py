"""``beamhub check``: whether everything is declared rightly, and this machine can do it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from spawners.launch import BackendError

from ..deployment import Deployment
from ..extras import extras_of, lacking
from ..software import load_software
from .common import (
    SiteArgument,
    StateOption,
    UseCasesOption,
    deployment_of,
    findings_to_the_reader,
    out,
)
from .trial import door_findings, trial


def check(
    site: SiteArgument = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    declarations_only: bool = typer.Option(
        False, "--declarations-only", help="Leave out what depends on this machine."
    ),
    job_as: str = typer.Option(
        "",
        help="Also run a job of a minute as this account wherever servers would run, and tell "
        "what it lacks there. Only for sites with a batch system.",
    ),
    log_in: str = typer.Option(
        "",
        help="Also log in with this account as the portal would, and tell what it may. The "
        "password is asked for.",
    ),
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="Where the password lies instead, readable by you alone; or set "
            "BEAMHUB_CHECK_PASSWORD."
        ),
    ] = None,
) -> None:
    """Check a site profile, all manifests, and this machine.

    Every finding names its file and line. The exit status is 0 where there is none.
    """
    deployment = deployment_of(site, state, use_cases)
    with findings_to_the_reader():
        programs = load_software()
    out.print(f"✓ site profile '{deployment.name}': {deployment.site.title}")
    out.print(f"✓ {len(deployment.use_cases)} use cases: {', '.join(deployment.use_cases)}")
    out.print(f"✓ {len(programs)} programs in the software catalogue")
    findings = [f"to fill in: {sentence}" for sentence in deployment.site.template]
    lacks = "" if declarations_only else lacking(extras_of(deployment.site))
    findings += [lacks] if lacks else []
    if not declarations_only and not lacks:
        findings += machine_findings(deployment.site.backend.live_checks())
        findings += deployment.site.backend.size_checks(deployment.site.sizes)
        findings += software_findings(deployment)
        findings += job_findings(deployment, job_as) if job_as else []
        findings += login_findings(deployment)
        findings += data_findings(deployment)
        findings += program_findings(deployment)
        findings += door_findings(deployment)
        for sentence in [*deployment.site.backend.walls_lacking(), *proxy_lacks(deployment)]:
            out.print(f"- {sentence}")
    if log_in and not lacks:
        tried = trial(deployment, log_in, password_file)
        for text in tried.told:
            out.print(f"✓ {text}")
        findings += tried.findings
    for finding in findings:
        out.print(f"✗ {finding}")
    if findings:
        raise typer.Exit(1)
    out.print("All is well.")


def software_findings(deployment: Deployment) -> list[str]:
    """Return what is wrong with the software of the use cases that can be opened here."""
    manifests = {name: case.manifest for name, case in deployment.offered.items()}
    versions = {name: m.version for name, m in manifests.items() if not m.coming}
    return deployment.site.backend.faults(versions)


def login_findings(deployment: Deployment) -> list[str]:
    """Return what is wrong with the log-in, and say what was seen of it."""
    from ..config import log_in_report

    if deployment.site.template:
        return []
    report = log_in_report(deployment)
    for note in report.notes:
        out.print(f"· log-in: {note}")
    return report.findings


def data_findings(deployment: Deployment) -> list[str]:
    """Return which folders for data are missing, where servers run on this machine."""
    if not deployment.site.backend.on_this_machine:
        return []
    data = deployment.site.data
    findings = [f"data.roots: there is no folder {r}." for r in data.roots if not r.is_dir()]
    if data.cache and not data.cache.is_dir():
        findings.append(
            f"data.cache: there is no folder {data.cache}. For all users to share it: "
            f"install -d -m 1777 {data.cache}"
        )
    elif data.cache and data.cache.stat().st_mode & 0o1022 in (0o002, 0o020, 0o022):
        findings.append(
            f"data.cache: whoever may write into {data.cache} may remove what others have there, "
            f"so nobody will put data there: chmod +t {data.cache}"
        )
    return findings


def job_findings(deployment: Deployment, account: str) -> list[str]:
    """Return what a job lacks wherever servers would run."""
    site = deployment.site
    try:
        return site.backend.job_checks(site.sizes, account, site.serving.tunnel_port)
    except BackendError as error:
        return [str(error)]


def program_findings(deployment: Deployment) -> list[str]:
    """Return which restricted programs are missing or everybody's, where servers run here."""
    if not deployment.site.backend.on_this_machine:
        return []
    findings = []
    for name, program in deployment.site.programs.items():
        folder = program.source / (program.bin or "")
        if not folder.is_dir():
            findings.append(f"programs.{name}: there is no folder {folder}.")
        if str(folder) in os.get_exec_path():
            findings.append(
                f"programs.{name}: {folder} is on the PATH of this account, and so of every "
                "server: start the portal without it."
            )
    return findings


def proxy_lacks(deployment: Deployment) -> list[str]:
    """Return why hub and proxy would have more rights than they need; nothing where none has."""
    from ..parting import needs_root, why_one
    from ..proxy import ProxyError, why_root

    try:
        hub = why_one(deployment) if needs_root(deployment) else ""
        return list(filter(None, [hub, why_root(deployment.site.serving)]))
    except ProxyError:
        return []


def machine_findings(backend: list[str]) -> list[str]:
    """Return what this machine lacks, the portal's own parts first."""
    from ..proxy import ProxyError, proxy_command

    try:
        proxy_command()
    except ProxyError as error:
        return [str(error), *backend]
    return backend
