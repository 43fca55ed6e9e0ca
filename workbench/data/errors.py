"""What can go wrong with data, each said in sentences for the person who asked."""


class DataError(Exception):
    """Data can't be had; the text says what was asked, what happened and what to do next."""


class Refused(DataError):  # noqa: N818
    """It would be unsafe or not wanted; trying again, or elsewhere, changes nothing."""


class SourceFailed(DataError):  # noqa: N818
    """One source can't deliver; another may."""


class WrongContents(SourceFailed):
    """What arrived is not what the manifest declares; it has been thrown away."""
