"""The answer to somebody who takes out all that the site has of a user."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any

from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

from chat import personal_export

CHUNK_BYTES = 256 * 1024


def zip_answer(request: HttpRequest, user: Any, *, to_themselves: bool) -> StreamingHttpResponse:
    """The zip as a download. It is made on the disk and sent from there: nothing of it is held in memory or kept."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by what sends it
    try:
        personal_export.write_zip(user, file, to_themselves=to_themselves)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    # A plain iterator would be read to its end before the first byte is sent.
    is_async = isinstance(request, ASGIRequest)
    answer = StreamingHttpResponse(_chunks(file)) if is_async else FileResponse(file)
    name = re.sub(r"[^\w.-]+", "_", user.get_username(), flags=re.ASCII)
    answer.headers["Content-Type"] = "application/zip"
    answer.headers["Content-Length"] = str(size)
    answer.headers["Content-Disposition"] = content_disposition_header(True, f"user-{name}.zip") or "attachment"
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
