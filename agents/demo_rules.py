"""What the demo model says: from the messages so far to its next reply. Pure: the same messages, the same reply.

One file, because a rule, what it looks for and what it says are read together. What it says of somebody else's text,
the question or a result, is a quotation and never Markdown.
"""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agents.demo_arithmetic import expressions, unread

CALCULATOR = "calculator"
CLOCK = "current_time"
FETCH = "fetch_url"
SEARCH = "search_sessions"

MAX_CALLS = 6
MAX_QUOTE = 700

_SIGNATURE = "*I am the demo model: I follow a few rules and know nothing else. Set `MODEL` to talk to a real one.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool to be called; `purpose` finishes the sentence “I need …”."""

    tool: str
    arguments: Mapping[str, str]
    purpose: str

    def is_(self, tool: str, arguments: Mapping[str, object]) -> bool:
        return self.tool == tool and dict(self.arguments) == dict(arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says next: its reasoning, its text, and the tools it calls, all at once."""

    reasoning: str
    text: str
    calls: Sequence[Call] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a question calls for, and in `gaps` what of it no rule understands."""

    calls: Sequence[Call]
    gaps: Sequence[str]


def reply(messages: Sequence[BaseMessage], tools: Collection[str]) -> Reply:
    """The next reply in a conversation, with calls of `tools` only."""
    asked = [number for number, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if not asked:
        return _unsure("", tools)
    question = messages[asked[-1]].text
    since = messages[asked[-1] + 1 :]
    wanted = _wanted(question)
    if any(isinstance(message, ToolMessage) for message in since):
        return _answer(question, since, wanted)
    earlier = [messages[number].text for number in asked[:-1]]
    if _ASKS_BACK.search(question) and earlier:
        return _looking_back(earlier)
    calls = [call for call in wanted.calls if call.tool in tools][:MAX_CALLS]
    if calls:
        return _plan(question, calls, _left_out(wanted, calls))
    if wanted.calls:
        return _without(wanted.calls)
    return _unsure(question, tools)


# What a question wants

_URL = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_ASKS_BACK = re.compile(
    r"\b(what|which)\b.*\b(did|have|had) (i|we) (just )?(ask|say|said|asked|write|written|talk|discuss)", re.IGNORECASE
)
_SEARCHES = re.compile(
    r"\b(search|look up|earlier|previous(ly)?|last time|past (session|chat|conversation)s?|(did|have|had) (i|we) "
    r"(ever |already )?(ask|say|said|talk|discuss|mention|asked|talked|discussed|mentioned)|remember|find)\b",
    re.IGNORECASE,
)
_SEARCH_WORDS = re.compile(
    r"\b(please|can you|could you|search( for| through)?|look up|find|show me|tell me|earlier|previous(ly)?|last time|"
    r"(in )?(my|our|the)? ?(past |old |earlier |previous )?(sessions?|chats?|conversations?|history|messages?)|what|"
    r"when|where|which|did|have|had|do you remember|remember|i|we|you|ever|already|ask(ed)?|say|said|talk(ed)?|"
    r"discuss(ed)?|mention(ed)?|about|for|anything|something|the|any)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\b(what|which|current|tell|know|give)\b.{0,30}\b(time|date|day|weekday|year|month)\b|\btime (is it|now|in|at)\b|"
    r"\bo'?clock\b|\btoday\b|\bdate (is it|in|today)\b|\bhow late\b",
    re.IGNORECASE,
)
_NOT_TIME = re.compile(r"\b(last|first|next|any|every|some|long|free|of) time\b|\btimes\b", re.IGNORECASE)
_NAME = r"[A-Z][\w'’/-]+(?: [A-Z][\w'’/-]+){0,2}"
_NEXT_PLACE = r",? (?:and|or) (?:in |at )?|, "
_PLACES = re.compile(rf"\b(?:in|at|for) ({_NAME}(?:(?:{_NEXT_PLACE}){_NAME})*)")

# Cities that people ask for and that are no names of zones.
_MORE_CITIES: dict[str, str] = {
    "barcelona": "Europe/Madrid",
    "beijing": "Asia/Shanghai",
    "boston": "America/New_York",
    "cape town": "Africa/Johannesburg",
    "cologne": "Europe/Berlin",
    "delhi": "Asia/Kolkata",
    "frankfurt": "Europe/Berlin",
    "geneva": "Europe/Zurich",
    "hamburg": "Europe/Berlin",
    "hanoi": "Asia/Bangkok",
    "houston": "America/Chicago",
    "kyiv": "Europe/Kyiv",
    "kyoto": "Asia/Tokyo",
    "miami": "America/New_York",
    "milan": "Europe/Rome",
    "montreal": "America/Toronto",
    "mumbai": "Asia/Kolkata",
    "munich": "Europe/Berlin",
    "nyc": "America/New_York",
    "osaka": "Asia/Tokyo",
    "rio": "America/Sao_Paulo",
    "rio de janeiro": "America/Sao_Paulo",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "tel aviv": "Asia/Jerusalem",
    "utc": "UTC",
    "washington": "America/New_York",
}


@functools.cache
def _cities() -> Mapping[str, str]:
    zones = (zone for zone in sorted(zoneinfo.available_timezones()) if re.match(r"[A-Z]\w+/", zone))
    named = {zone.rpartition("/")[2].replace("_", " ").lower(): zone for zone in zones if not zone.startswith("Etc/")}
    return named | _MORE_CITIES


@functools.cache
def _city() -> re.Pattern[str]:
    names = sorted(_cities(), key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, names))})\b", re.IGNORECASE)


def _wanted(question: str) -> Wanted:
    """Every tool that the question calls for, in the order: pages, arithmetic, time, search."""
    gaps: list[str] = []
    urls = [url.rstrip(".,;:!?)]}") for url in _URL.findall(question)]
    rest = _URL.sub(" ", question)
    calls = [
        Call(tool=FETCH, arguments={"url": url}, purpose=f"what stands at {_code(url)}") for url in dict.fromkeys(urls)
    ]
    calls += [
        Call(tool=CALCULATOR, arguments={"expression": term}, purpose=f"the value of `{term}`")
        for term in dict.fromkeys(expressions(rest))
    ]
    if calls:
        gaps += [f"{_code(word)} (which I cannot read as part of a calculation)" for word in unread(rest)]
    if _TIME.search(_NOT_TIME.sub(" ", rest)):
        zones, unknown = _zones(rest)
        calls += [Call(tool=CLOCK, arguments={"timezone": zone}, purpose=f"the clock in {zone}") for zone in zones]
        gaps += [f"{_code(place)} (a place that I do not know)" for place in unknown]
    elif _SEARCHES.search(rest) and not calls:
        words = " ".join(re.sub(r"[^\w\s'-]", " ", _SEARCH_WORDS.sub(" ", rest)).split())
        query = words or " ".join(rest.split())
        calls.append(
            Call(tool=SEARCH, arguments={"query": query}, purpose=f"what was said about {_code(query)} before")
        )
    return Wanted(calls=calls, gaps=gaps)


def _left_out(wanted: Wanted, calls: Sequence[Call]) -> str:
    """A sentence on what the question calls for and `calls` do not bring; empty if there is nothing."""
    missing = [call for call in wanted.calls if call not in calls]
    why = f"I ask for {MAX_CALLS} things at once at most"
    gaps = [
        f"{call.purpose} ({why if len(calls) == MAX_CALLS else f'this agent has no `{call.tool}`'})" for call in missing
    ]
    gaps += wanted.gaps
    return f"I leave out {_joined(gaps)}." if gaps else ""


def _zones(question: str) -> tuple[list[str], list[str]]:
    """The time zones of the places in the question, and the places of which no rule knows one."""
    zones = [_cities()[city.lower()] for city in _city().findall(question)]
    places = [place for named in _PLACES.findall(question) for place in re.split(_NEXT_PLACE, named)]
    unknown = [place for place in dict.fromkeys(places) if not _city().search(place)]
    if not zones:
        # The clock itself will say that there is no such place, and what it knows instead.
        return unknown or ["UTC"], []
    return list(dict.fromkeys(zones)), unknown


# What it says


def _plan(question: str, calls: Sequence[Call], left_out: str) -> Reply:
    needs = _joined([call.purpose for call in calls])
    reasoning = (
        f"The question is: {_code(_shortened(question, 160))}. To answer it I need {needs}. "
        f"I should not guess {'that' if len(calls) == 1 else 'any of that'}, there is a tool for it."
    )
    if len(calls) > 1:
        reasoning += " None of them waits for another, so I ask for all at once."
    names = _joined([f"`{name}`" for name in dict.fromkeys(call.tool for call in calls)])
    text = f"Let me find out {needs}, with {names}. {left_out}".rstrip()
    return Reply(reasoning=reasoning, text=text, calls=calls)


def _answer(question: str, since: Sequence[BaseMessage], wanted: Wanted) -> Reply:
    made = [call for message in since if isinstance(message, AIMessage) for call in message.tool_calls]
    arguments = {call["id"]: call["args"] for call in made}
    results = [message for message in since if isinstance(message, ToolMessage)]
    failed = sum(result.status == "error" for result in results)
    lines = [_finding(result, arguments.get(result.tool_call_id, {})) for result in results]
    if len(lines) > 1 and not any("\n" in line for line in lines):
        lines = [f"- {line}" for line in lines]
        text = "\n".join(lines)
    else:
        text = "\n\n".join(lines)
    came = [call for call in wanted.calls if any(call.is_(other["name"], other["args"]) for other in made)]
    left_out = _left_out(wanted, came)
    reasoning = f"{_count(len(results), 'result')} came back{_failures(failed, len(results))}"
    reasoning += f" What was asked: {_code(_shortened(question, 80))}. I can answer now."
    return Reply(reasoning=reasoning, text="\n\n".join(filter(None, [text, left_out, _SIGNATURE])))


def _failures(failed: int, results: int) -> str:
    """How the sentence “3 results came back” ends."""
    if not failed:
        return "."
    if results == 1:
        which = ". It is an error"
    elif failed == results:
        which = ", all of them errors"
    else:
        which = f", {'one of them an error' if failed == 1 else f'{failed} of them errors'}"
    return f"{which}. I say so instead of making something up."


def _finding(result: ToolMessage, arguments: Mapping[str, str]) -> str:
    said = result.text.strip()
    if result.status == "error":
        return f"**`{result.name}` did not work:** {_escaped(said)}"
    match result.name:
        case "calculator":
            return f"`{arguments.get('expression', '…')}` = **{said}**"
        case "current_time":
            return f"It is **{said.partition(';')[0]}**."
        case "fetch_url":
            return f"This is how {_code(arguments.get('url', 'the page'))} begins:\n\n{_quoted(said)}"
        case "search_sessions":
            return (
                f"I looked through your earlier sessions for {_code(arguments.get('query', ''))}:\n\n{_escaped(said)}"
            )
        case _:
            return f"`{result.name}` says: {_escaped(_shortened(said, MAX_QUOTE))}"


def _looking_back(earlier: Sequence[str]) -> Reply:
    asked = "\n".join(f"{number}. {_code(_shortened(text, 160))}" for number, text in enumerate(earlier, 1))
    return Reply(
        reasoning=f"This is about our conversation itself. It holds {_count(len(earlier), 'earlier message')} of "
        "the user's, right here in the history, so no tool is needed.",
        text=f"In this session you wrote before:\n\n{asked}\n\n{_SIGNATURE}",
    )


def _without(wanted: Sequence[Call]) -> Reply:
    needs = _joined([call.purpose for call in wanted])
    names = _joined([f"`{name}`" for name in dict.fromkeys(call.tool for call in wanted)])
    return Reply(
        reasoning=f"I would need {needs}, but this agent was not given {names}. Without it I would be guessing.",
        text=f"For that I would need {names}, which this agent does not have. Another agent may.\n\n{_SIGNATURE}",
    )


_ABILITIES: Mapping[str, str] = {
    CALCULATOR: "**calculate**: “What is 12.5% of 80?”, “sqrt(2) * 10 ** 3”",
    CLOCK: "tell the **time and date**: “What time is it in Tokyo and in Berlin?”",
    FETCH: "**read a web page**: “Summarise https://example.com”",
    SEARCH: "**search your earlier sessions**: “Search for solar panels”",
}


def _unsure(question: str, tools: Collection[str]) -> Reply:
    abilities = [text for name, text in _ABILITIES.items() if name in tools]
    abilities.append("**look back**: “What did I ask before?”")
    listed = "\n".join(f"- {text}" for text in abilities)
    about = _code(_shortened(question, 120)) if question.strip() else "an empty message"
    return Reply(
        reasoning=f"The message is {about}. I look for a calculation, a time or date, a web address or a search in it, "
        "and find none. It is better to say what I can do than to pretend.",
        text=f"Hello! I am Glassbox's **demo model**. I can do a few things only, but I really do them:\n\n{listed}\n\n"
        "Ask for two of them at once and you see me use both tools side by side. For real conversations, set `MODEL` "
        "to a model of your choice.",
    )


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _shortened(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length].rstrip() + " …"


def _quoted(text: str) -> str:
    # The first line says where the page came from, which the answer says already.
    body = text.partition("\n")[2].strip()
    cut = body[:MAX_QUOTE].rstrip() + (" …" if len(body) > MAX_QUOTE else "")
    return "\n".join(f"> {_escaped(line)}" for line in cut.splitlines())


def _code(text: str) -> str:
    """The text in backticks, more of them than it holds in a row."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _escaped(text: str) -> str:
    """The text as Markdown that shows it as it is; its lines and lists stay."""
    return re.sub(r"([\\`*\[\]<>~|#]|\b_|_\b)", r"\\\1", text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
