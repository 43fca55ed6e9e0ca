"""What is told to a person in a sentence: errors that show themselves without a traceback."""


class ToldError(ValueError):
    """Something that whoever runs a notebook can mend: IPython shows the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows."""
        return [str(self)]
