"""Bounds for what a server answers: no answer is read without end, compressed or not, headers included.

HTTP clients read an answer whole, whatever its size. A pool of connections that puts ``whole`` in between gives them
no more than a given number of bytes; ``Pace`` also counts what comes through the socket, so that endless headers,
chunks of one byte and compressed emptiness end too.
"""

import io

import urllib3


class EndlessError(urllib3.exceptions.HTTPError):
    """A server sends more than an answer of its kind can hold."""

    def __init__(self, most_bytes: float) -> None:
        super().__init__(f"an answer of more than {most_bytes:,.0f} bytes")


def framed(most_bytes: int) -> int:
    """Bytes that may come through the socket for an answer of this size, headers and marks between chunks included."""
    return most_bytes + most_bytes // 4 + 2**20


def whole(response: urllib3.BaseHTTPResponse, method: str, most_bytes: int) -> urllib3.HTTPResponse:
    """The answer with its content in memory, unpacked, whose connection is free again.

    Args:
        response: whose content was not read yet.
        method: of the request.
        most_bytes: of the content, unpacked.

    Raises:
        EndlessError: it is larger; nothing more of it is read.
    """
    content = response.read(most_bytes + 1)
    if len(content) > most_bytes:
        response.close()
        raise EndlessError(most_bytes)
    response.release_conn()
    return urllib3.HTTPResponse(
        io.BytesIO(content),  # as bytes an empty answer would have no content at all
        headers=response.headers,
        status=response.status,
        reason=response.reason,
        decode_content=False,
        request_method=method,
    )
