"""Static files under names that carry their hash, ES-module imports included."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # WhiteNoise has no types
    # Without it the imports inside our modules would go on naming the unhashed files.
    support_js_module_import_aggregation = True

    def url_converter(
        self, name: str, hashed_files: dict[str, str], template: str | None = None
    ) -> Callable[[re.Match[str]], str]:
        """Django's, but a file that names itself is left alone.

        Modules do that in comments that show how to import them. A hash that depended on itself would never settle, and
        `collectstatic` would fail.
        """
        convert: Callable[[re.Match[str]], str] = super().url_converter(name, hashed_files, template)
        own = posixpath.normpath(name.replace("\\", "/"))

        def convert_others(match: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(own), match["url"]))
            return match["matched"] if target == own else convert(match)

        return convert_others
