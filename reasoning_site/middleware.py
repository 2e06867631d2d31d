"""What every response passes through, beside Django's, WhiteNoise's and django-csp's own."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped] # WhiteNoise has no types


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc] # WhiteNoise has no types
    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """The whole file at once: under ASGI, Django reads a streamed one whole all the same, and warns of it."""
        answer = static_file.get_response(request.method, request.META)
        response = HttpResponse(b"" if answer.file is None else answer.file.read(), status=int(answer.status))
        if answer.file is not None:
            answer.file.close()
        del response["Content-Type"]
        for name, value in answer.headers:
            response[name] = value
        return response


class PermissionsPolicyMiddleware(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response
