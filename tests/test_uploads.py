"""A form with a file that comes in pieces, cut anywhere."""

import io

import pytest

from hub.uploads import Upload

KIND = "multipart/form-data; boundary=xx"
BODY = (
    b'--xx\r\nContent-Disposition: form-data; name="_xsrf"\r\n\r\ntoken\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n'
    b"Content-Type: application/zip\r\n\r\nPK\r\n--x\r\n\r\n--xx--\r\n"
)


def taken(body: bytes, pieces: int = 1, kind: str = KIND, largest: int = 100):
    file = io.BytesIO()
    upload = Upload(kind, "archive", file, largest)
    step = -(-len(body) // pieces) or 1
    for begin in range(0, len(body), step):
        upload.write(body[begin : begin + step])
    return upload, file.getvalue()


@pytest.mark.parametrize("pieces", [1, 2, 7, len(BODY)])
def test_the_file_and_the_fields_are_found_however_it_is_cut(pieces):
    upload, data = taken(BODY, pieces)
    assert (data, upload.fields, upload.files) == (b"PK\r\n--x\r\n", {"_xsrf": "token"}, 1)
    assert upload.whole and upload.size == len(data)


def test_no_more_than_the_largest_is_kept_and_all_is_counted():
    upload, data = taken(BODY.replace(b"PK", b"P" * 1000), 5)
    assert len(data) == 100
    assert upload.size > 1000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY, "multipart/form-data"),
        (BODY, "application/x-www-form-urlencoded"),
        (BODY, f"multipart/form-data; boundary={'x' * 300}"),
        (BODY[:-10], KIND),
        (b"nonsense" * 100, KIND),
        (b"", KIND),
    ],
)
def test_what_is_no_such_form_is_never_whole(body, kind):
    assert not taken(body, 3, kind)[0].whole


def test_a_field_without_end_takes_no_memory():
    field = b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 100_000
    assert len(taken(field + b"\r\n--xx--\r\n", 50)[0].fields["a"]) == 4096


def test_other_files_are_passed_over():
    upload, data = taken(BODY.replace(b'name="archive"', b'name="other"'))
    assert (data, upload.files, upload.size) == (b"", 0, 0)
