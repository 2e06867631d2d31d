"""Markdown: a transcript to read. What people, models and tools wrote stands in fences that it can't end."""

from __future__ import annotations

import re
import unicodedata

from chat.models import ChatSession, Event, EventType, Run
from chat.transcripts import words
from chat.transcripts.form import GONE, About, Form, moment

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class Markdown(Form):
    name = "md"
    title = "Markdown"
    explained = "A transcript to read, to quote and to put into a ticket."
    suffix = ".md"
    content_type = "text/markdown; charset=utf-8"

    def head(self, about: About) -> str:
        text = "# Transcripts\n\n"
        if about.described:
            text += f"{inline(about.described)}\n\n"
        if about.at:
            text += f"Taken out at {moment(about.at)}; {about.runs} runs.\n\n"
        return text

    def session(self, session: ChatSession) -> str:
        private = ", private" if session.is_private else ""
        facts = f"{inline(session.owner.get_username())}, `{session.public_id}`{private}, {moment(session.created_at)}"
        return f"## {inline(str(session))}\n\n{facts}\n\n"

    def run(self, run: Run) -> str:
        return f"### Run {run.pk}\n\n{inline(' · '.join(words.run_facts(run)))}\n\n"

    def event(self, event: Event, run: Run) -> str:
        match EventType(event.type):
            case EventType.MESSAGE:
                return f"#### 👤 Message\n\n{moment(event.created_at)}\n\n{fenced(event.content)}\n"
            case EventType.RUN_START if event.attempt > 1:
                return f"*Attempt {event.attempt} begins.*\n\n"
            case EventType.RUN_START:
                return ""
            case EventType.STEP:
                icon, word = words.icon_and_word(event)
                tool = f" {inline(event.tool_name)}" if event.tool_name else ""
                facts = " · ".join(words.step_facts(event))
                return f"#### {icon} {word}{tool}\n\n{facts}\n\n{fenced(words.body(event))}\n"
            case EventType.RUN_END:
                return f"*Run {inline(str(event.data.get('state', 'ended')))} at {moment(event.created_at)}.*\n\n"

    def run_end(self, run: Run) -> str:
        feedback = words.feedback_line(run)
        if feedback is None:
            return ""
        thumb, comment = feedback
        return f"#### Feedback: {thumb}\n\n" + (f"{fenced(comment)}\n" if comment else "")

    def gone(self, run_id: str, *, midway: bool) -> str:
        return f"### Run {run_id}\n\n*{GONE}*\n\n"


def inline(text: str) -> str:
    """Text of one line that is nothing but text: every sign that could mean something is escaped."""
    # Format characters too: those that turn the direction of writing would turn what follows.
    plain = "".join(" " if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp") else sign for sign in text)
    return _PUNCTUATION.sub(r"\\\1", " ".join(plain.split()))


def fenced(text: str) -> str:
    """Text in a fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    text = text.replace("\0", "\ufffd")
    return f"{fence}text\n{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{fence}\n"
