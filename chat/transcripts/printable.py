"""HTML: one file that needs nothing else, coloured as the page is, to be read and printed. All in it but our own markup is escaped,
and its policy lets nothing run or load.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from chat.models import ChatSession, Event, EventType, Run
from chat.transcripts import words
from chat.transcripts.form import GONE, About, Form, moment

STYLE: Final = (Path(__file__).parent / "printable.css").read_text(encoding="utf-8")
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Transcripts</title>
<style>{}</style>
</head>
<body>
<main>
<h1>Transcripts</h1>
<p class="about" dir="auto">{}</p>
<p class="about">{}</p>
"""
_SESSION = '<h2 dir="auto">{}</h2>\n<p class="facts"><bdi>{}</bdi> · <code>{}</code>{} · <time>{}</time></p>\n'
_RUN = '<article class="run" id="run-{}">\n<h3>Run {}</h3>\n<p class="facts"><bdi>{}</bdi></p>\n'
_MESSAGE = '<div class="message"><h4>👤 Message</h4> <time>{}</time><pre dir="auto">{}</pre></div>\n'
_STEP = (
    '<section class="step{}" data-type="{}" id="step-{}-{}">'
    '<h4><span aria-hidden="true">{}</span> {}{}</h4> <p class="facts">{}</p><pre dir="auto">{}</pre></section>\n'
)


class Printable(Form):
    name = "html"
    title = "Printable HTML"
    explained = "One file, coloured as the page is, to read in a browser and to print. Nothing in it can run or load."
    suffix = ".html"
    content_type = "text/html; charset=utf-8"

    def head(self, about: About) -> str:
        taken = f"Taken out at {moment(about.at)}; {about.runs} runs." if about.at else ""
        return format_html(_HEAD, POLICY, mark_safe(STYLE), about.described, taken)  # noqa: S308 - a sheet of our own

    def session(self, session: ChatSession) -> str:
        private = " · private" if session.is_private else ""
        owner = session.owner.get_username()
        return format_html(_SESSION, str(session), owner, session.public_id, private, moment(session.created_at))

    def run(self, run: Run) -> str:
        return format_html(_RUN, run.pk, run.pk, " · ".join(words.run_facts(run)))

    def event(self, event: Event, run: Run) -> str:
        match EventType(event.type):
            case EventType.MESSAGE:
                return format_html(_MESSAGE, moment(event.created_at), _text(event.content))
            case EventType.RUN_START if event.attempt > 1:
                return format_html('<p class="mark">Attempt {} begins.</p>\n', event.attempt)
            case EventType.RUN_START:
                return ""
            case EventType.STEP:
                return self._step(event)
            case EventType.RUN_END:
                state = str(event.data.get("state", "ended"))
                return format_html('<p class="mark">Run {} at {}.</p>\n', state, moment(event.created_at))

    def _step(self, event: Event) -> str:
        icon, word = words.icon_and_word(event)
        tool = format_html(" <code>{}</code>", event.tool_name) if event.tool_name else ""
        facts = format_html_join(" · ", "<span>{}</span>", ((fact,) for fact in words.step_facts(event)))
        failed = " failed" if event.data.get("is_error") else ""
        return format_html(
            _STEP,
            failed,
            event.step_type,
            event.run_id,
            event.step,
            icon,
            word,
            tool,
            facts,
            _text(words.body(event)),
        )

    def run_end(self, run: Run) -> str:
        feedback = words.feedback_line(run)
        text: SafeString | str = ""
        if feedback is not None:
            thumb, comment = feedback
            text = format_html(
                '<div class="feedback"><h4>Feedback: {}</h4><pre dir="auto">{}</pre></div>\n', thumb, _text(comment)
            )
        return text + "</article>\n"

    def gone(self, run_id: str, *, midway: bool) -> str:
        begin = "" if midway else format_html('<article class="run"><h3>Run {}</h3>', run_id)
        return begin + format_html('<p class="mark">{}</p></article>\n', GONE)

    def foot(self, about: About) -> str:
        return "</main>\n</body>\n</html>\n"


def _text(text: str) -> str:
    # A parser drops the first line end of a `pre`, and replaces a NUL itself.
    return ("\n" + text if text.startswith("\n") else text).replace("\0", "\ufffd")
