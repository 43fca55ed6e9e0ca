"""What Slurm tracks, in words: cores, memory, nodes and GPUs, and their hours."""

from ..amounts import counted, gib

UNITS = {"cpu": "core", "mem": "GiB", "node": "node", "gres/gpu": "GPU", "wall": "wall-clock"}


def unit_of(kind: str) -> str:
    """Return what is counted, in the singular."""
    return UNITS.get(kind) or UNITS.get(kind.partition(":")[0], kind)


def amount_text(kind: str, amount: float) -> str:
    """Return so much of a kind: ``4 cores``, ``2 GPUs of type 'a100'``."""
    if kind == "mem":
        return gib(amount)
    of_type = kind.partition(":")[2]
    return counted(amount, unit_of(kind)) + (f" of type '{of_type}'" if of_type else "")


def hours_text(kind: str, minutes: float) -> str:
    """Return so much of a kind for so long: ``12 GPU hours``, ``30 core minutes``."""
    much = minutes / 1024 if kind == "mem" else minutes
    of_type = kind.partition(":")[2]
    said = f" of type '{of_type}'" if of_type else ""
    if much < 60:
        return counted(round(much), f"{unit_of(kind)} minute") + said
    hours = much / 60
    number = f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
    return f"{number} {unit_of(kind)} hour{'' if number == '1' else 's'}{said}"
