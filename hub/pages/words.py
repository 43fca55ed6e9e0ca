"""Numbers and times as people say them; every template may use these."""

from datetime import datetime
from typing import Any

from markdown_it import MarkdownIt

from workbench.words import size_text

MARKDOWN = MarkdownIt("commonmark", {"html": False})


def minutes_text(minutes: int) -> str:
    """Return a duration: ``35 min``, ``2 h 5 min``."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]
    return " ".join(filter(None, parts))


def seconds_text(seconds: float) -> str:
    """Return a short duration: ``8 s``, ``2 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else minutes_text(round(seconds / 60))


def left_text(end: datetime, now: datetime) -> str:
    """Return the time left until `end`, both in UTC."""
    minutes = round((end - now).total_seconds() / 60)
    return f"ends in {minutes_text(minutes)}" if minutes > 0 else "ends in less than 1 min"


def licence_text(licence: str) -> str:
    """Return a licence as people read it: SPDX's prefix for unlisted ones left out."""
    return licence.replace("LicenseRef-not-stated", "not stated").replace("LicenseRef-", "")


def image_text(image: str) -> str:
    """Return a container image's name, its digest cut to what tells it from others."""
    name, mark, digest = image.partition("@sha256:")
    return f"{name}{mark}{digest[:12]}…" if digest else name


def number_text(value: float) -> str:
    """Return a number without needless digits."""
    return f"{value:g}"


def markdown(text: str) -> str:
    """Return Markdown as HTML; HTML inside it is shown, never obeyed."""
    return str(MARKDOWN.render(text))


NAMES: dict[str, Any] = {
    "size_text": size_text,
    "minutes_text": minutes_text,
    "seconds_text": seconds_text,
    "left_text": left_text,
    "licence_text": licence_text,
    "image_text": image_text,
    "number_text": number_text,
    "markdown": markdown,
}
