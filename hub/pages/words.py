"""Numbers and times as people say them; every template may use these."""

from datetime import datetime
from typing import Any

from markdown_it import MarkdownIt

from spawners.amounts import minutes_text, seconds_text
from workbench.words import size_text

from ..workshops.times import time_text

MARKDOWN = MarkdownIt("commonmark", {"html": False})


def left_text(end: datetime, now: datetime) -> str:
    """Return the time left until `end`, both in UTC."""
    minutes = round((end - now).total_seconds() / 60)
    return f"ends in {minutes_text(minutes)}" if minutes > 0 else "ends in less than 1 min"


def ago_text(at: datetime, now: datetime) -> str:
    """Return how long ago something was, both in UTC."""
    minutes = round((now - at).total_seconds() / 60)
    return f"{minutes_text(minutes)} ago" if minutes > 0 else "just now"


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
    "time_text": time_text,
    "ago_text": ago_text,
    "licence_text": licence_text,
    "image_text": image_text,
    "number_text": number_text,
    "markdown": markdown,
}
