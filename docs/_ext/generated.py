"""Pages that are read from the code: a comment ``<!-- generated: NAME -->`` becomes its text.

What stands in a model, a command, a handler or a file of data is never typed a second time.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import decision_index
import typer
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from tornado.web import RequestHandler, StaticFileHandler

from hub.cli import app as command_line_app
from hub.pages import handlers
from hub.pages.base import WithoutSlash
from hub.pages.words import licence_text
from hub.site import SiteProfile, load_site, shipped_sites
from hub.software import SoftwareCatalogue, load_software
from hub.usecases import NOTEBOOKS, load_use_cases
from spawners.backends import BACKENDS
from workbench.manifest import NAME_PATTERN, Manifest
from workbench.readings.gaps import MARKS
from workbench.readings.units import table
from workbench.words import size_text

ROOT = Path(__file__).parents[2]
SOURCES = ("hub", "spawners", "workbench", "scripts", ".ci")
COMPOSE = "docker-compose.yml"
MARKER = re.compile(r"^<!-- generated: (\S+) -->$", re.MULTILINE)
UNSET = re.compile(r"^([A-Z][A-Z0-9_]*) = None\b(?:[ \t]*#[ \t]*(.*))?$", re.MULTILINE)
METHODS = ("get", "post", "put", "patch", "delete")

WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
FORMATS = {"uri": "a web address", "path": "a path"}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "of the form `{}`",
}

VARIABLES = {
    "BEAMHUB_STATE": "Set by you: the state folder of `serve`, `check` and `run`, as `--state`.",
    "BEAMHUB_CHECK_PASSWORD": "Set by you: the test account's password, for `check --log-in`.",
    "BEAMHUB_CHECK_SECOND": "Set by you: its second factor, where PAM asks for one.",
    "BEAMHUB_TEST_ALL": "Set by you or by `.ci/run`: a missing browser or Docker fails the tests.",
    "BEAMHUB_CACHE": "Set by you: where `scripts/debian-base` and the tests of images keep what "
    "they made; `/var/cache/beamhub` where it isn't set.",
    "BEAMHUB_IMAGE": "In a server: the image that it comes from, by digest where one is known; the "
    "local backend uses none.",
    "BEAMHUB_SITE": "In a server: the site's title.",
    "BEAMHUB_USE_CASE": "In a server: the name of its use case.",
    "BEAMHUB_USE_CASE_VERSION": "In a server: the version in the use case's manifest.",
    "BEAMHUB_SIZE": "In a server: the name of the size that was chosen.",
    "BEAMHUB_MEMORY_GIB": "In a server: the memory that the size grants, in GiB.",
    "BEAMHUB_GPUS": "In a server: the number of GPUs that the size grants.",
    "BEAMHUB_BUSY_H": "In a server: for how many hours computing counts as use, `limits.busy_h`.",
    "BEAMHUB_SAFE_START": "In a server: `yes` if it was started without its user's own settings.",
    "BEAMHUB_DATA_ROOTS": "In a server: the site's data folders, with colons between them.",
    "BEAMHUB_DATA_CACHE": "In a server, or set by you: the folder that holds what is fetched.",
    "BEAMHUB_DATA_MIRRORS": "In a server, or set by you: addresses of mirrors, with spaces between "
    "them.",
    "BEAMHUB_DATA_QUOTA_GB": "In a server, or set by you: what the cache may hold, in GB.",
    "BEAMHUB_PATHS": "In a server: folders of programs with licences of their own that are open "
    "for its user, with colons between them; they come last on the PATH.",
    "BEAMHUB_SOCKET": "In a server's first moment, on the local backend: the number of the "
    "descriptor at which it listens.",
    "BEAMHUB_TUNNEL": "In a job of a cluster, until its server begins: how to dial in at the "
    "portal.",
    "BEAMHUB_NOTEBOOKS": "In a server: where the use case's files lie as they were shipped.",
    "BEAMHUB_NAME": "For Compose: what names of containers, networks and volumes begin with; "
    "`beamhub` where it isn't set.",
    "BEAMHUB_REGISTRY": "For Compose: what the portal's image is named by, as `registry` in the "
    "profile.",
    "BEAMHUB_PROFILE": "For Compose: the site profile, `compose` where it isn't set, or "
    "`/site/<file>`.",
    "BEAMHUB_PROFILES": "For Compose: the folder shown as `/site`; `./site` where it isn't set.",
    "BEAMHUB_SECRETS": "For Compose: the folder of secrets; `./secrets` where it isn't set.",
    "BEAMHUB_ACCOUNTS": "For Compose: the folder with `passwd`, `group` and `shadow` of those who "
    "may log in by PAM; `/etc` where it isn't set.",
    "BEAMHUB_PORT": "For Compose: the port on 127.0.0.1; 8000 where it isn't set.",
    "BEAMHUB_DOCKER_SOCKET": "For Compose: the socket of the Docker daemon.",
    "BEAMHUB_HOST": "For Compose: the name of the portal on the web, for the certificate.",
    "BEAMHUB_TLS": "For Compose: a line for Caddy that says where the certificate comes from; "
    "empty for one that comes by itself.",
    "BEAMHUB_CERTIFICATES": "For Compose: the folder that Caddy sees as `/certificates`; "
    "`./certificates` where it isn't set.",
    "BEAMHUB_HTTP_PORT": "For Compose: Caddy's port for what isn't encrypted yet, 80 where it "
    "isn't set; an address may stand before it.",
    "BEAMHUB_HTTPS_PORT": "For Compose: Caddy's port, 443 where it isn't set.",
    "BEAMHUB_DATABASE_IMAGE": "For Compose: PostgreSQL's image, `postgres:17` where it isn't set.",
    "BEAMHUB_TLS_IMAGE": "For Compose: Caddy's image, `caddy:2` where it isn't set.",
    "BEAMHUB_DATA_IMAGE": "For Compose: the image that fetches data, `hub` where it isn't set.",
    "BEAMHUB_ROOM": "Set by the portal for the process that local servers are copies of: room for "
    "their variables. Nobody reads it.",
    "BEAMHUB_CHECKS": "In a run without a person: the folder that `Checks.report` writes into.",
}
"""What each environment variable is for; the build fails where the code has another."""

STATE = {
    "portal.sqlite": "JupyterHub's database: users, servers, tokens. Readable by the portal only.",
    "identity": "Tells this portal's containers from those of another that uses the same Docker.",
    "crypt_key": "With OpenID Connect: encrypts the provider's tokens in the database. Without it "
    "everybody logs in again.",
    "names.sqlite": "With OpenID Connect: which person of which provider has which name. Without "
    "it, names go to the first who come with them.",
    "people.sqlite": "Which user has which name and number on the machine.",
    "cookie_secret": "Signs log-in cookies. Whoever has it can be any user.",
    "proxy.pid": "The number of the proxy's process, while it runs.",
    "rights": "Where the hub has no rights of root's: which servers and which proxy its helper has "
    "started. Root's alone.",
    "run": "Unix sockets of hub, proxy and servers, where an ordinary account starts the "
    "portal; root's are in `/run/beamhub-<16 digits>`.",
    "logs": "`portal.log` with the portal's own log, up to 20 MB and two older ones as large; "
    "`audit.jsonl` with who did what, the same with nine; one `user-*.log` a server, up to 4 MB. "
    "Readable by the portal only.",
    "log-ins-lifted": "Made by `beamhub unblock`: when everybody was let try again to log in.",
    "homes": "One private folder a user, with `beamhub/<use case>/` inside. "
    "Not used with `accounts: system`.",
    "environments": "Python environments, each named by what went into it. Can be made again.",
    "usecases": "Copies of use cases that servers read, named by contents. Can be made again.",
    "data": "Reference data that all users share, a folder an account. Can be fetched again.",
    "images": "Lists of the software of images that were built here, one file each.",
    "images.json": "Images that were built, pushed or pulled: size and digests.",
    "licences.sqlite": "Who has accepted the terms of which program, and when: every entry, with "
    "the text. Readable by the portal only.",
    "ready_times.json": "How long the last 200 starts took, from the click.",
    "reproduce": "Archives of notebooks that users have sent to be opened, one a user, for a day.",
    "start_times.json": "How long the last starts of each use case took.",
    "submissions": "What was handed to Slurm and may still be there: a small file a job.",
    "tunnels": "How servers on a cluster are let in: the portal's certificate with its key, a hash "
    "of each server's secret, and a socket for each. Readable by the portal only.",
    "waits.json": "How long the last batch jobs of each size waited in the queue.",
}
"""What lies in the state folder; the build fails where the code doesn't name one."""


def model_reference(model: type[BaseModel]) -> str:
    """Return every key of a model and of the models inside it as Markdown."""
    schema = model.model_json_schema()
    parts = {model.__name__: schema, **in_order(schema)}
    return "\n".join(model_section(name, part, model.__name__) for name, part in parts.items())


def in_order(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the inner models in the order in which a reader meets them."""
    definitions = schema.get("$defs", {})
    waiting, met = [schema], {}
    while waiting:
        part = waiting.pop(0)
        text = str({key: value for key, value in part.items() if key != "$defs"})
        for name in re.findall(r"'\$ref': '#/\$defs/(\w+)'", text):
            if name not in met:
                met[name] = definitions[name]
                waiting.append(definitions[name])
    return met


def model_section(name: str, part: dict[str, Any], root: str) -> str:
    """Return one model's keys."""
    lines = [f"({root}-{name})=", f"## {name}", "", escaped(part.get("description", "")), ""]
    required = part.get("required", [])
    for key, value in part.get("properties", {}).items():
        lines += [f"`{key}`", f": {key_text(value, key in required, root)}", ""]
    return "\n".join(lines)


def key_text(value: dict[str, Any], required: bool, root: str) -> str:
    """Return what a key takes, what it is without one, and what it is for."""
    parts = [type_text(value, root)]
    default = value.get("default")
    if required:
        parts.append("**required**")
    elif isinstance(default, bool):
        parts.append(f"by default `{str(default).lower()}`")
    elif isinstance(default, str | int | float) and default != "":
        parts.append(f"by default `{default}`")
    elif isinstance(default, list) and default:
        parts.append(f"by default {', '.join(f'`{item}`' for item in default)}")
    about = escaped(value.get("description", ""))
    if about:
        about = f" {about}" if about.endswith(".") else f" {about}."
    return "; ".join(parts) + "." + about


def type_text(value: dict[str, Any], root: str) -> str:
    """Return a JSON schema's type in words, inner models as links."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{root}-{name})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{word}`" for word in value["enum"])
    for union in ("anyOf", "oneOf"):
        if union in value:
            members = [m for m in value[union] if m.get("type") != "null"]
            return " or ".join(type_text(member, root) for member in members)
    if value.get("type") == "array":
        return f"a list; each item: {type_text(value.get('items', {}), root)}"
    if value.get("type") == "object":
        inner = value.get("additionalProperties") or next(iter(value["patternProperties"].values()))
        return f"names, each with: {type_text(inner, root)}"
    return simple_type_text(value)


def escaped(text: str) -> str:
    """Return text in which Markdown sees no HTML."""
    return text.replace("<", "\\<")


def simple_type_text(value: dict[str, Any]) -> str:
    """Return the type of a text or a number with its limits."""
    if value.get("pattern") == NAME_PATTERN:
        return "a name"
    if value.get("format") in FORMATS:
        return FORMATS[value["format"]]
    said = [words.format(value[key]) for key, words in LIMITS.items() if value.get(key, "") != ""]
    said = [words for words in said if words != "at least 1 characters"]
    return " ".join([WORDS.get(value.get("type", ""), "anything"), ", ".join(said)]).strip()


def command_line() -> str:
    """Return the help of the command and all its subcommands."""
    return "\n".join(help_texts(typer.main.get_command(command_line_app), "beamhub", None))


def help_texts(command: Any, name: str, parent: Any) -> Iterator[str]:
    """Yield the help of a command, then those of its subcommands."""
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=88, max_content_width=88
    )
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from help_texts(subcommand, inner, context)


def routes() -> str:
    """Return the addresses that BeamHub's own handlers answer."""
    lines = []
    for pattern, handler, *_ in handlers():
        if handler is WithoutSlash:
            continue
        functions = {m.upper(): getattr(handler, m) for m in METHODS if answers(handler, m)}
        static = issubclass(handler, StaticFileHandler)
        about = "Style sheet, scripts and logo." if static else first_sentence(handler.__doc__)
        # JupyterHub's guards, for pages and for the REST interface alike, are wrappers.
        guarded = all(hasattr(function, "__wrapped__") for function in functions.values())
        lines += [
            f"`{address_text(pattern, next(iter(functions.values())))}`",
            f": {', '.join(functions)}, {'after' if guarded else 'without'} log-in. {about}",
            "",
        ]
    return "\n".join(lines)


def answers(handler: type[RequestHandler], method: str) -> bool:
    """Return whether a handler has something for an HTTP method."""
    return getattr(handler, method) is not getattr(RequestHandler, method)


def address_text(pattern: str, function: Callable[..., Any]) -> str:
    """Return a handler's pattern as an address, its parts named as the handler names them."""
    names = iter(list(inspect.signature(inspect.unwrap(function)).parameters)[1:])
    address = re.sub(r"\([^)]*\)", lambda _: f"<{next(names)}>", pattern)
    return "/hub" + address.replace("\\", "")


def first_sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def sources() -> str:
    """Return the text of all code and scripts."""
    files = [p for folder in SOURCES for p in sorted((ROOT / folder).rglob("*")) if p.is_file()]
    texts = [p.read_text() for p in files if p.suffix in (".py", ".sh", "")]
    return "\n".join([*texts, (ROOT / COMPOSE).read_text()])


def variables() -> str:
    """Return the environment variables, after comparing them with the code."""
    found = set(re.findall(r"BEAMHUB_[A-Z][A-Z_]*[A-Z]", sources()))
    found |= {f"BEAMHUB_{name}" for name in re.findall(r'setting\("([A-Z_]+)"\)', sources())}
    if found != set(VARIABLES):
        raise ExtensionError(
            f"docs/_ext/generated.py: VARIABLES and the code differ in "
            f"{', '.join(sorted(found ^ set(VARIABLES)))}"
        )
    return definitions(VARIABLES)


def state() -> str:
    """Return what lies in the state folder, after looking that the code names it."""
    code = sources()
    for name in STATE:
        if not re.search(rf"""["'/]{re.escape(name)}["'/]""", code):
            raise ExtensionError(f"docs/_ext/generated.py: STATE: the code names no '{name}'")
    return definitions(STATE)


def definitions(texts: dict[str, str]) -> str:
    """Return names with their texts as a definition list."""
    return "\n".join(f"`{name}`\n: {text}\n" for name, text in texts.items())


def sites() -> str:
    """Return the shipped site profiles."""
    rows = ["| Profile | Title | Backend | Log-in | State |", "| --- | --- | --- | --- | --- |"]
    for name in shipped_sites():
        site = load_site(name)
        todo = len(site.template)
        state_text = f"template, {todo} to fill in" if todo else "complete"
        rows.append(
            f"| `{name}` | {site.title} | {site.backend.kind} | {site.login.kind} | {state_text} |"
        )
    return "\n".join(rows)


def use_cases() -> str:
    """Return the shipped use cases and whether they can be opened."""
    rows = ["| Use case | Title | House | Notebooks | State |", "| --- | --- | --- | --- | --- |"]
    for name, use_case in load_use_cases([NOTEBOOKS]).items():
        m = use_case.manifest
        word = "coming" if m.coming else "ready"
        rows.append(
            f"| `{name}` | {m.title} | {m.leading_house.name} | {len(m.notebooks)} | {word} |"
        )
    return "\n".join(rows)


def programs() -> str:
    """Return the software catalogue."""
    return "\n".join(
        f"[{p.name}]({p.link}), {p.house}\n: {p.summary} Licence: {licence_text(p.licence)}.\n"
        for p in load_software()
    )


def data_sets() -> str:
    """Return the data sets of the shipped use cases."""
    rows = ["| Data set | What | Size | Checksum | Licence |", "| --- | --- | --- | --- | --- |"]
    for use_case in load_use_cases([NOTEBOOKS]).values():
        for name, data in use_case.manifest.data_sets.items():
            sums = {"unknown" if f.sha256 == "unknown" else "SHA-256" for f in data.files}
            checksum = "unknown" if "unknown" in sums else "".join(sums) or "made on the spot"
            title = f"[{data.title}]({data.url})" if data.url else data.title
            rows.append(
                f"| `{use_case.name}/{name}` | {title} | {size_text(data.size_bytes)} | "
                f"{checksum} | {licence_text(data.licence)} |"
            )
    return "\n".join(rows)


def marks() -> str:
    """Return the numbers that stand for no measurement, by type."""
    rows = [
        f"| `{kind}` | {number} | {why} |" for kind, m in MARKS.items() for number, why in m.items()
    ]
    return "\n".join(["| type | number | taken for |", "| --- | --- | --- |", *rows])


def units() -> str:
    """Return the units that readers know, by kind, and their other spellings."""
    rows = [f"| {kind} | `{unit}` | {words} |" for kind, unit, words in table()]
    return "\n".join(["| of | unit | also written |", "| --- | --- | --- |", *rows])


def unset_parameters(notebook: dict[str, Any]) -> dict[str, str]:
    """Return the parameters of a notebook that are None until somebody sets them, and what for."""
    found: dict[str, str] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            for name, said in UNSET.findall("".join(cell["source"])):
                if not said:
                    raise ExtensionError(f"nothing behind '{name} = None' says what it is for")
                found.setdefault(name, said)
    return found


def own_parameters(use_case: str) -> str:
    """Return the parameters for a reader's own files: what each notebook says behind them."""
    found: dict[str, tuple[str, list[str]]] = {}
    for path in sorted((NOTEBOOKS / use_case).glob("*.ipynb")):
        for name, said in unset_parameters(json.loads(path.read_text(encoding="utf-8"))).items():
            found.setdefault(name, (said, []))[1].append(path.name[:2])
    rows = [
        f"| `{name}` | {', '.join(numbers)} | {said.replace('|', '/')} |"
        for name, (said, numbers) in found.items()
    ]
    return "\n".join(["| set | in | what |", "| --- | --- | --- |", *rows])


def backends() -> str:
    """Return the kinds of backend, as the union names them."""
    rows = ["| Kind | What it is | Spawner class |", "| --- | --- | --- |"]
    for backend in BACKENDS:
        (kind,) = get_args(backend.model_fields["kind"].annotation)
        rows.append(f"| `{kind}` | {first_sentence(backend.__doc__)} | `{backend.spawner_class}` |")
    return "\n".join(rows)


GENERATORS: dict[str, Callable[[], str]] = {
    "backends": backends,
    "command-line": command_line,
    "data-sets": data_sets,
    "decisions": decision_index.index,
    "marks": marks,
    "manifest": lambda: model_reference(Manifest),
    "programs": programs,
    "routes": routes,
    "site-profile": lambda: model_reference(SiteProfile),
    "sites": sites,
    "software": lambda: model_reference(SoftwareCatalogue),
    "state": state,
    "units": units,
    "use-cases": use_cases,
    "variables": variables,
    **{f"parameters-{name}": partial(own_parameters, name) for name in load_use_cases([NOTEBOOKS])},
}


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the generated texts into a page."""
    del app

    def text(found: re.Match[str]) -> str:
        if found[1] not in GENERATORS:
            raise ExtensionError(f"{page}: nothing generates '{found[1]}'")
        return GENERATORS[found[1]]()

    source[0] = MARKER.sub(text, source[0])


def always_again(app: Sphinx, env: Any, *changes: Any) -> list[str]:
    """Return the pages with generated text: the code may have changed where they have not."""
    del app, changes
    return [p for p in env.found_docs if MARKER.search(Path(env.doc2path(p)).read_text())]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", always_again)
    return {"parallel_read_safe": True}
