"""Letters and digits for codes that people read aloud and type."""

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that people mistake for each other."""
GROUP = 4


def in_groups(letters: str) -> str:
    """Return letters in groups that can be read aloud."""
    return "-".join(letters[i : i + GROUP] for i in range(0, len(letters), GROUP))
