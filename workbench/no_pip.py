"""What stands for ``pip`` in an environment that never changes: it says what to do instead.

It is where ``python -m pip``, ``%pip`` and ``pip`` look for it, and needs nothing but Python.
"""

import importlib.util
import sys

FIXED = """\
There is no pip here: the software of a use case never changes, so that what works today works
tomorrow, and for everybody. To have a package in it, ask those who maintain the use case; its page
in the portal names them."""
OWN = """

To try a package now, make an environment of your own in a terminal, with a kernel for notebooks:

    {python} -m venv ~/my-environment
    ~/my-environment/bin/pip install ipykernel PACKAGE
    ~/my-environment/bin/python -m ipykernel install --user --name my-environment

It has none of the use case's software, so name those packages too that your notebook needs.
Then choose it with Kernel > Change Kernel; it may take a minute to be listed."""


def advice() -> str:
    """Return what to do, as far as this machine's Python can."""
    if importlib.util.find_spec("ensurepip") is None:
        return FIXED
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return FIXED + OWN.format(python=f"{sys.base_prefix}/bin/python{version}")


def main() -> None:
    """Say it, and fail."""
    sys.exit(advice())


if __name__ == "__main__":
    main()
