"""Site profiles: one facility's deployment, declared in one YAML file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AnyUrl,
    Field,
    HttpUrl,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from spawners import Mount, Resources
from spawners.backends import AnyBackend
from spawners.launch import absolute
from workbench.declared import Declared
from workbench.documents import Document, DocumentError, contents, find_parent, load, read
from workbench.manifest import Name, RelativePath

from .logins import Codes, Login
from .overlaps import Shown, problems, real, related
from .secrets import SecretRef
from .serving import Serving
from .workshops.settings import Workshops

PROFILES = Path(__file__).parents[1] / "site_profiles"
"""The profiles that BeamHub ships; a facility's own may lie anywhere and extend these."""


class Postgresql(Declared):
    """A PostgreSQL server, where the database doesn't lie in the state folder."""

    kind: Literal["postgresql"]
    host: str = Field(pattern=r"^[A-Za-z0-9.-]+$")
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    name: str = "beamhub"
    user: str = "beamhub"
    password: SecretRef


class Size(Resources):
    """A named amount of resources that a user can choose."""

    title: str
    summary: str = ""
    groups: list[str] = Field(
        [], description="Only members of one of these may choose it; empty: everybody may"
    )


class Objective(Declared):
    """What a site promises to people who open a use case; its About page says how far it's kept."""

    ready_s: PositiveFloat = Field(description="A server answers so many seconds after the click")
    percentile: float = Field(95, gt=0, le=100, description="In so many of a hundred starts")


class Limits(Declared):
    """What one user may have at the same time, and all of them together."""

    servers: PositiveInt = 5
    cores: PositiveFloat | None = Field(None, description="Over all servers; None for no limit")
    memory_gib: PositiveFloat | None = Field(
        None, description="Over all servers; None for no limit"
    )
    starts_max: PositiveInt | None = Field(
        None,
        description="So many servers, of all users, start at the same time; others wait for their "
        "turn. None: one more than the hub's machine has cores where servers run on that machine, "
        "as many as are asked for elsewhere",
    )
    idle_h: PositiveFloat = Field(4, description="A server that nobody uses is stopped after this")
    busy_h: NonNegativeFloat = Field(
        24,
        description="A busy kernel, or a program in a terminal, counts as use for so long after "
        "somebody used the server last; 0: never",
    )
    token_days: PositiveInt = Field(
        90, description="Tokens that users make for the REST interface end after at most this"
    )


def usable_mirror(url: AnyUrl) -> AnyUrl:
    """Return `url` if it can be a mirror's address."""
    if url.scheme not in ("https", "http", "file"):
        raise ValueError("a mirror's address begins with https:, http: or file:")
    if url.username or url.password:
        raise ValueError("an address must not hold a user name or a password")
    if any(c.isspace() for c in str(url)):
        raise ValueError("an address must not hold a space")
    return url


class Data(Declared):
    """Where reference data lie at the site, and where to fetch what doesn't."""

    roots: list[Path] = Field([], description="Folders with data sets, used in place, read-only")
    cache: Path | None = Field(
        None,
        description="The folder that all users share for what is fetched, as servers see it. "
        "None: the state folder's own on the local backend, else each user's home",
    )
    quota_gb: PositiveFloat | None = Field(
        None, description="What the cache may hold; what was used longest ago goes first"
    )
    mirrors: list[Annotated[AnyUrl, AfterValidator(usable_mirror)]] = Field(
        [],
        description="Folders made by 'beamhub data mirror', at https or file addresses; asked "
        "before the public source",
    )

    @field_validator("roots", "cache")
    @classmethod
    def _paths_can_be_listed(cls, value: list[Path] | Path | None) -> list[Path] | Path | None:
        paths = value if isinstance(value, list) else [value] if value else []
        if any(not path.is_absolute() or os.pathsep in str(path) for path in paths):
            raise ValueError("expected paths that begin with '/' and hold no colon")
        return value


class LicensedProgram(Declared):
    """A program with a licence of its own that the site has: where it lies, and who gets it.

    What a user must declare to get it is in the manifests that name the program.
    """

    source: Annotated[Path, AfterValidator(absolute)] = Field(
        description="The folder that holds it, on the machine that runs servers. In containers it "
        "is shown, read-only, to those who may use it, and to nobody else"
    )
    target: Annotated[Path, AfterValidator(absolute)] | None = Field(
        None, description="Where containers see that folder; the same place by default"
    )
    bin: Annotated[RelativePath, Field(pattern=r"^[A-Za-z0-9._+/-]+$")] | None = Field(
        None,
        description="The folder inside with its commands, which comes last on the PATH; by default "
        "that folder itself",
    )
    vouched_groups: list[str] = Field(
        [], description="Groups whose members need not accept anything, by the site's own licence"
    )
    by_declaration: bool = Field(
        True,
        description="Whether users who accept the declaration get it; false leaves it to those of "
        "`vouched_groups`",
    )

    @model_validator(mode="after")
    def _somebody_can_use_it(self) -> Self:
        if not self.by_declaration and not self.vouched_groups:
            raise ValueError("with 'by_declaration: false' only 'vouched_groups' get it: name some")
        return self


class Look(Declared):
    """What makes the portal the facility's own."""

    logo: Path | None = Field(None, description="SVG or PNG; None means BeamHub's")
    accent: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = Field(
        "#0b5cad", description="Colour of buttons and links; must be readable on white"
    )


class Sister(Declared):
    """A portal at another facility."""

    title: str
    url: HttpUrl


def without_control(text: str) -> str:
    """Return `text` if it can go into a page and an environment variable."""
    if any(ord(c) < 32 for c in text):
        raise ValueError("expected one line of text")
    return text


Line = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(without_control)]


TaggedImage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]*:[A-Za-z0-9_][A-Za-z0-9._-]*$")]
ImageDigest = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}$")]


class SiteProfile(Declared):
    """One site, as declared in site_profiles/<name>.yaml."""

    title: Line
    contact: Line = Field(description="Whom users ask: an address or a page")
    look: Look = Look()
    login: Login
    backend: AnyBackend
    serving: Serving = Serving()
    database: Postgresql | None = Field(
        None, description="None: a file of SQLite in the state folder"
    )
    sizes: Annotated[dict[Name, Size], Field(min_length=1)] = Field(
        description="What users can choose, smallest first"
    )
    limits: Limits = Limits()
    objective: Objective | None = Field(None, description="None: the site promises nothing")
    registry: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]*[a-z0-9]$")] = "ghcr.io/beamhub"
    digests: dict[TaggedImage, ImageDigest] = Field(
        {},
        description="Images by digest, as 'beamhub images digest' prints them: "
        "'<registry>/<name>:<version>: <registry>/<name>@sha256:...'. They come before what the "
        "state folder has noted",
    )
    data: Data = Data()
    storage: list[Mount] = Field([], description="Folders that every server sees")
    programs: dict[Name, LicensedProgram] = Field(
        {}, description="Programs behind licence gates that the site has, by the gate's name"
    )
    use_cases: list[Name] | None = Field(None, description="Those on offer; None means all")
    use_case_groups: dict[Name, Annotated[list[str], Field(min_length=1)]] = Field(
        {},
        description="Only members of one of a use case's groups may open it; everybody sees it, "
        "and whom to ask",
    )
    workshops: Workshops | None = Field(None, description="None: nobody can hold one here")
    announcements: Path | None = Field(
        None, description="A Markdown file, read again whenever it changes"
    )
    sisters: list[Sister] = []
    template: list[str] = Field(
        [], description="What an administrator has still to fill in; while there is any, no start"
    )

    @property
    def starts_at_once(self) -> int | None:
        """How many servers start at the same time, None for as many as are asked for."""
        return self.limits.starts_max or self.backend.starts_at_once

    def offers(self, use_case: str) -> bool:
        """Return whether the site shows the use case of that name to its users."""
        return self.use_cases is None or use_case in self.use_cases

    @property
    def named_groups(self) -> list[str]:
        """Every group that decides something here: the portal knows no others of its users."""
        named = (
            []
            if isinstance(self.login, Codes)
            else [*self.login.allowed_groups, *self.login.admin_groups]
        )
        for program in self.programs.values():
            named += program.vouched_groups
        for size in self.sizes.values():
            named += size.groups
        for groups in self.use_case_groups.values():
            named += groups
        if self.workshops:
            named += self.workshops.trainer_groups
        return list(dict.fromkeys(named))

    @property
    def hub_address(self) -> str:
        """Where the hub listens: in a container of its own, at every address of that."""
        return "0.0.0.0" if self.serving.apart else self.backend.hub_address  # noqa: S104

    @property
    def hub_by_socket(self) -> bool:
        """Whether all that asks the hub is on its own machine, and reaches it by a socket."""
        near = self.backend.on_this_machine or bool(self.backend.tunnel_address)
        return near and not self.serving.apart

    @field_validator("digests")
    @classmethod
    def _digests_are_of_the_same_image(cls, value: dict[str, str]) -> dict[str, str]:
        for tagged, digest in value.items():
            if tagged.rpartition(":")[0] != digest.partition("@")[0]:
                raise ValueError(
                    f"{digest} isn't a version of {tagged}: they differ before the tag"
                )
        return value

    @model_validator(mode="after")
    def _apart_is_complete(self) -> Self:
        if self.serving.apart and (why := self.backend.why_not_apart()):
            raise ValueError(f"with serving.apart, hub and proxy are containers: {why}")
        return self

    @model_validator(mode="after")
    def _programs_are_not_everybodys(self) -> Self:
        shown = [*(mount.source for mount in self.storage), *self.data.roots]
        shown += [self.data.cache] if self.data.cache else []
        for name, program in self.programs.items():
            for folder in shown:
                if related(real(program.source), real(folder)):
                    raise ValueError(
                        f"programs.{name}: every server sees {folder} by 'storage' or 'data', and "
                        f"with it what lies in {program.source}: keep them apart"
                    )
        return self

    @model_validator(mode="after")
    def _folders_keep_apart(self) -> Self:
        # Elsewhere the files' own permissions decide, for each user's own account.
        if self.backend.sees_mounts_only:
            for problem in problems(list(self._shown()), volumes=self.backend.volume_prefix):
                raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _folders_can_be_shown(self) -> Self:
        for one in self._shown():
            for problem in self.backend.unshown([one.mount]):
                raise ValueError(f"{one.key}: {problem}")
        return self

    def _shown(self) -> Iterator[Shown]:
        """Yield the folders that servers in containers see, or can see."""
        for number, mount in enumerate(self.storage):
            yield Shown(f"storage[{number}]", mount)
        named = [(f"data.roots[{n}]", root) for n, root in enumerate(self.data.roots)]
        named += [("data.cache", self.data.cache)] if self.data.cache else []
        for key, path in named:
            # One that lies in storage is seen by that, and not once more.
            if not any(path.is_relative_to(m.target) and m.read_only for m in self.storage):
                yield Shown(key, Mount(source=path, target=path))
        for name, program in self.programs.items():
            target = program.target or program.source
            yield Shown(f"programs.{name}", Mount(source=program.source, target=target))

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.serving.reachable:
            return self
        reachable = f"the portal can be reached from other machines at {self.serving.url}, so"
        if self.serving.tls == "none":
            raise ValueError(f"{reachable} serving.tls must be 'proxy' or 'own'")
        if self.login.kind == "codes":
            raise ValueError(f"{reachable} login must be a real one: pam, ldap or oidc")
        if why := self.backend.why_not_public():
            raise ValueError(f"{reachable} {why}")
        return self


def load_site(name: str) -> SiteProfile:
    """Return a site profile by the name of a shipped one, or by the path of its file.

    Raises
    ------
    DocumentError
        There is no such profile, or it doesn't fit; see `workbench.documents.load`.
    """
    path = profile_path(name)
    site = load(path, SiteProfile, parents=PROFILES)
    return site.model_copy(update={"template": left_to_fill(path)}) if site.template else site


def left_to_fill(path: Path) -> list[str]:
    """Return what is still to fill in: a profile that extends a template does so by its keys."""
    document = read(path, parents=PROFILES)
    asking, _ = document.lines["template",]
    nearer, file = set(), path
    while file != asking:
        nearer.add(file)
        body, lines = contents(file)
        file = find_parent(Document(file, body, lines), body["extends"], PROFILES)
    found = {".".join(map(str, place)): file for place, (file, _) in document.lines.items()}
    sentences: list[str] = document.body["template"]
    return [s for s in sentences if found.get(s.partition(":")[0]) not in nearer]


def profile_path(name: str) -> Path:
    """Return the file of a site profile."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    path = PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise DocumentError(
            f"There is no site profile '{name}'. Shipped are {', '.join(shipped_sites())}; "
            "give the path of a YAML file for one of your own."
        )
    return path


def shipped_sites() -> list[str]:
    """Return the names of the shipped profiles; those that begin with '_' are only extended."""
    return sorted(p.stem for p in PROFILES.glob("[!_]*.yaml"))
