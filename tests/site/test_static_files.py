"""Static files: under names that carry their hash, imports between modules included, collected when they changed."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from pytest_django.fixtures import Settings

from reasoning_site.installation import prepare
from reasoning_site.static_storage import HashedStaticFilesStorage
from tests.parts.site_process import Site

COLLECTING = "Collecting the static files …"


@pytest.fixture
def source(tmp_path: Path, settings: Settings, db: None) -> Path:
    """The one folder that static files are collected from; where to, is new and empty."""
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.DATA_DIR = tmp_path / "data"
    settings.STATIC_ROOT = tmp_path / "data" / "static"
    backend = "reasoning_site.static_storage.HashedStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    settings.STATICFILES_DIRS = [tmp_path / "source"]
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def work_done() -> list[str]:
    done: list[str] = []
    prepare(done.append)
    return done


def stored(name: str) -> str:
    """The text of the file that is served for this name."""
    storage = HashedStaticFilesStorage()
    return Path(storage.path(storage.stored_name(name))).read_text()


def test_imports_between_modules_name_the_hashed_files(source: Path) -> None:
    (source / "folder").mkdir()
    (source / "one.js").write_text('import { two } from "./folder/two.js";\nexport { two } from "./folder/two.js";\n')
    (source / "folder" / "two.js").write_text('import "../three.js";\nexport const two = 2;\n')
    (source / "three.js").write_text("export {};\n")
    work_done()
    assert len(re.findall(r'"\./folder/two\.[0-9a-f]{12}\.js"', stored("one.js"))) == 2
    assert re.search(r'"\.\./three\.[0-9a-f]{12}\.js"', stored("folder/two.js"))
    # A changed module has a new name, and so has everything that imports it.
    before = HashedStaticFilesStorage().stored_name("one.js")
    (source / "three.js").write_text("export const three = 3;\n")
    work_done()
    assert HashedStaticFilesStorage().stored_name("one.js") != before


def test_a_module_may_show_in_a_comment_how_to_import_it(source: Path) -> None:
    (source / "one.js").write_text('// import { one } from "./one.js";\nexport const one = 1;\n')
    assert COLLECTING in work_done()
    assert 'from "./one.js"' in stored("one.js")


def test_a_module_may_speak_of_an_export_before_its_imports(source: Path) -> None:
    """The names in the imports have their hash once, and are those of files that there are."""
    (source / "one.js").write_text(
        '/* An export part after part. */\nimport { two } from "./two.js";\nexport { two };\n'
    )
    (source / "two.js").write_text("export const two = 2;\n")
    work_done()
    imported = re.findall(r'from "\./(.*?)"', stored("one.js"))
    assert imported == [HashedStaticFilesStorage().stored_name("two.js")]


def test_they_are_collected_when_one_changed_appeared_or_went_and_not_otherwise(source: Path, tmp_path: Path) -> None:
    file = source / "one.css"
    file.write_text("a { color: red; }")
    assert COLLECTING in work_done()
    assert work_done() == []
    file.write_text("a { color: tan; }")
    assert work_done() == [COLLECTING]
    file.rename(source / "two.css")
    assert work_done() == [COLLECTING]
    (tmp_path / "data" / "static" / "staticfiles.json").unlink()
    assert work_done() == [COLLECTING]
    assert work_done() == []


def test_in_debug_mode_nothing_is_collected(source: Path, settings: Settings) -> None:
    settings.DEBUG = True
    assert COLLECTING not in work_done()


def test_a_page_names_files_that_browsers_may_keep_for_ever(site: Site) -> None:
    with site.client(site.new_user()) as client:
        page = client.get("/s/static-files/")
        found = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
        assert any(name.endswith(".css") for name in found)
        assert any(name.endswith(".js") for name in found)
        for name in found:
            assert re.search(r"\.[0-9a-f]{12}\.\w+$", name), name
            answer = client.get(name)
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert int(answer.headers["Content-Length"]) > 0
            again = client.get(name, headers={"If-Modified-Since": answer.headers["Last-Modified"]})
            assert (again.status_code, again.content) == (304, b"")


def test_modules_of_the_page_import_each_other_by_their_hashed_names(site: Site) -> None:
    with site.client(site.new_user()) as client:
        page = client.get("/s/static-files/")
        todo = re.findall(r'<script type="module" src="(/static/[^"]+)"', page.text)
        assert todo
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            script = client.get(name)
            assert script.status_code == 200, name
            assert "javascript" in script.headers["Content-Type"]
            for target in re.findall(r"""^(?:im|ex)port\b[^;]*?from\s*["']([^"']+)["']""", script.text, re.MULTILINE):
                assert re.search(r"\.[0-9a-f]{12}\.js$", target), f"{name} imports {target}"
                todo.append(str(httpx.URL(name).join(target)))
        assert len(seen) > 1


def test_they_are_compressed_for_who_asks(site: Site) -> None:
    with site.client() as client:
        name = re.findall(r'href="(/static/[^"]+\.css)"', client.get("/accounts/login/").text)[0]
        plain = client.get(name, headers={"Accept-Encoding": "identity"})
        packed = client.get(name, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.text == plain.text
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])
