"""Static files under names that carry their hash, ES-module imports included."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped] # WhiteNoise has no types

HASHED = re.compile(r"(?P<name>.+)\.[0-9a-f]{12}(?P<suffix>\.\w+)")


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # WhiteNoise has no types
    # Without it the imports inside our modules would go on naming the unhashed files.
    support_js_module_import_aggregation = True

    def url_converter(
        self, name: str, hashed_files: dict[str, str], template: str | None = None
    ) -> Callable[[re.Match[str]], str]:
        """Django's, but a file that names itself is left alone, and so is a name that has its hash.

        Modules name themselves in comments that show how to import them. A hash that depended on itself would never settle, and
        `collectstatic` would fail. And where the word “export” stands in a comment before an import, Django takes all from there
        on for a second statement, and would give the name a second hash.
        """
        convert: Callable[[re.Match[str]], str] = super().url_converter(name, hashed_files, template)
        own = posixpath.normpath(name.replace("\\", "/"))

        def convert_others(match: re.Match[str]) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(own), match["url"]))
            hashed = HASHED.fullmatch(target)
            is_done = target == own or (hashed is not None and self.exists(f"{hashed['name']}{hashed['suffix']}"))
            return match["matched"] if is_done else convert(match)

        return convert_others
