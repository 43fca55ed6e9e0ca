"""A form with one file, taken piece by piece: never more of it in memory than a piece."""

from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_FIELDS = 10
LARGEST_FIELD = 4096


class Upload:
    """What a browser sends for a form with a file.

    Parameters
    ----------
    content_type : str
        The request's header, which names the boundary between fields.
    field : str
        The form's field for the file; what comes in other files is passed over.
    file : file
        Where its bytes go.
    largest : int
        How many of them, at most; what is more is passed over.

    Attributes
    ----------
    size : int
        How many bytes the file has, those passed over included.
    fields : dict of str to str
        The other fields.
    whole : bool
        Whether the form came to its end, as it should.
    """

    def __init__(self, content_type: str, field: str, file: IO[bytes], largest: int) -> None:
        kind, options = parse_options_header(content_type)
        self._field, self._file, self._largest = field, file, largest
        self._begin()
        self.fields: dict[str, str] = {}
        self.files = self.size = 0
        self.whole = False
        boundary = options.get(b"boundary", b"")
        self._broken = kind != b"multipart/form-data" or not 0 < len(boundary) <= 200
        self._parser = None if self._broken else MultipartParser(boundary, self._callbacks())

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def write(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._parser is None or self._broken:
            return
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            self._broken, self.whole = True, False

    def _begin(self) -> None:
        self._name, self._value, self._described = b"", b"", b""
        self._part, self._is_file, self._text = "", False, b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._described = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        options = parse_options_header(self._described)[1]
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        self.files += self._is_file and self._part == self._field

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._text = (self._text + data[start:end])[:LARGEST_FIELD]
        elif self._part == self._field:
            room = max(0, self._largest - self.size)
            self._file.write(data[start : min(end, start + room)])
            self.size += end - start

    def _end(self) -> None:
        if not self._is_file and len(self.fields) < MOST_FIELDS:
            self.fields[self._part] = self._text.decode("utf-8", "replace")

    def _all(self) -> None:
        self.whole = True
