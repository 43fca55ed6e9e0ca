"""The ``beamhub`` command: one module a subcommand, imported only when it runs."""

import typer

from workbench.data.command import app as data

from . import (
    check,
    images,
    licences,
    names,
    new,
    proxy,
    render,
    run,
    schema,
    serve,
    show,
    sif,
    unblock,
    workshop,
)

app = typer.Typer(
    name="beamhub",
    help="One web portal for photon-science analysis, the same at every facility.\n\n"
    "Begin with 'beamhub serve', which starts the portal on this machine. A facility writes a "
    "site profile (beamhub new site), runs 'beamhub check' until it is green, then serves it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for module in (serve, proxy, check, show, schema, run, unblock):
    app.command()(getattr(module, module.__name__.rpartition(".")[2]))
app.add_typer(new.app, name="new")
app.add_typer(data, name="data")
images.app.command()(sif.sif)
app.add_typer(images.app, name="images")
app.add_typer(licences.app, name="licences")
app.add_typer(names.app, name="names")
app.add_typer(render.app, name="render")
app.add_typer(workshop.app, name="workshop")
