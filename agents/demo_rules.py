"""What the demo model says: from the messages so far to its next reply. Pure: the same messages, the same reply.

One file, because a rule, what it looks for and what it says are read together.
"""

from __future__ import annotations

import functools
import re
import zoneinfo
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model says next: its reasoning, its text, and the tools it calls, all at once."""

    reasoning: str
    text: str
    calls: Sequence[Call] = field(default=())


def reply(messages: Sequence[BaseMessage], tools: Collection[str]) -> Reply:
    """The next reply in a conversation, with calls of `tools` only."""
    asked = [number for number, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if not asked:
        return _unsure("", tools)
    question = messages[asked[-1]].text
    since = messages[asked[-1] + 1 :]
    if any(isinstance(message, ToolMessage) for message in since):
        return _answer(question, since)
    earlier = [messages[number].text for number in asked[:-1]]
    if _ASKS_BACK.search(question) and earlier:
        return _looking_back(earlier)
    wanted = _wanted(question)
    calls = [call for call in wanted if call.tool in tools][:MAX_CALLS]
    if calls:
        return _plan(question, calls)
    if wanted:
        return _without(wanted)
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
_PLACE = re.compile(r"\b(?:in|at|for) ((?:[A-Z][\w'’-]+ ?){1,3})")

_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+"
_FUNCTION = r"(?:sqrt|abs|round|min|max|log10|log|exp|sin|cos|tan|floor|ceil|factorial)(?=\s*\()"
_OPERATORS = frozenset(("+", "-", "*", "/", "%", "^", "**", "//", "×", "÷", "−"))
_CONSTANTS = frozenset(("pi", "π", "e"))
_TOKEN = re.compile(rf"\s*({_FUNCTION}|\b(?:pi|e)\b|π|{_NUMBER}|\*\*|//|[-+*/%^×÷−(),])")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b")
_SPOKEN: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.IGNORECASE), written)
    for pattern, written in (
        (rf"\b({_NUMBER})\s*(?:%|percent) of ({_NUMBER})", r"(\1 / 100) * \2"),
        (rf"\bsquare root of ({_NUMBER})", r"sqrt(\1)"),
        (rf"\bfactorial of ({_NUMBER})", r"factorial(\1)"),
        (rf"\b({_NUMBER})!", r"factorial(\1)"),
        (rf"({_NUMBER}) squared\b", r"\1 ** 2"),
        (rf"({_NUMBER}) cubed\b", r"\1 ** 3"),
        (r"(?<=[\d)]) (?:to the power of|to the) (?=[\d(-])", " ** "),
        (r"(?<=[\d)]) plus (?=[\d(-])", " + "),
        (r"(?<=[\d)]) minus (?=[\d(-])", " - "),
        (r"(?<=[\d)]) (?:times|multiplied by|x) (?=[\d(-])", " * "),
        (r"(?<=[\d)]) (?:divided by|over) (?=[\d(-])", " / "),
    )
)

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


def _wanted(question: str) -> list[Call]:
    """Every tool that the question calls for, in the order: pages, arithmetic, time, search."""
    urls = [url.rstrip(".,;:!?)]}") for url in _URL.findall(question)]
    rest = _URL.sub(" ", question)
    calls = [Call(tool=FETCH, arguments={"url": url}, purpose=f"what stands at {url}") for url in dict.fromkeys(urls)]
    calls += [
        Call(tool=CALCULATOR, arguments={"expression": term}, purpose=f"the value of `{term}`")
        for term in dict.fromkeys(expressions(rest))
    ]
    if _TIME.search(_NOT_TIME.sub(" ", rest)):
        calls += [
            Call(tool=CLOCK, arguments={"timezone": zone}, purpose=f"the clock in {zone}") for zone in _zones(rest)
        ]
    elif _SEARCHES.search(rest) and not calls:
        words = " ".join(re.sub(r"[^\w\s'-]", " ", _SEARCH_WORDS.sub(" ", rest)).split())
        query = words or " ".join(rest.split())
        calls.append(Call(tool=SEARCH, arguments={"query": query}, purpose=f"what was said about “{query}” before"))
    return calls


def expressions(text: str) -> list[str]:
    """The arithmetic in a text, as the calculator takes it: symbols, and words such as “12 times 7”."""
    for spoken, written in _SPOKEN:
        text = spoken.sub(written, text)
    text = _DATE.sub(" ", text)
    found: list[str] = []
    start = 0
    while start < len(text):
        tokens: list[str] = []
        end = start
        while (match := _TOKEN.match(text, end)) and (match.start(1) == end or tokens):
            tokens.append(match[1])
            end = match.end()
        found += [term for part in _parted(tokens) if (term := _term(part)) is not None]
        # Past the word, so that no operator is found in the middle of one.
        start = end if end > start else start + max(1, len(re.match(r"\w*", text[start:])[0]))  # type: ignore[index]
    return found


def _parted(tokens: list[str]) -> list[list[str]]:
    """The tokens between the commas that stand outside of parentheses."""
    parts: list[list[str]] = [[]]
    depth = 0
    for item in tokens:
        depth += {"(": 1, ")": -1}.get(item, 0)
        if item == "," and depth <= 0:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def _term(tokens: list[str]) -> str | None:
    """The tokens as an expression, if they are one that needs working out."""
    while tokens and tokens[-1] in _OPERATORS | {",", "("}:
        tokens.pop()
    while tokens and tokens[0] in _OPERATORS - {"-", "−"} | {",", ")"}:
        tokens.pop(0)
    while tokens.count(")") > tokens.count("(") and tokens[-1] == ")":
        tokens.pop()
    has_number = any(item[0] in "0123456789." or item in _CONSTANTS for item in tokens)
    has_work = any(
        item in _OPERATORS or (item.isalnum() and item[0].isalpha() and item not in _CONSTANTS) for item in tokens
    )
    if not has_number or not has_work or (len(tokens) == 2 and tokens[0] in "-−"):
        return None
    if tokens.count("(") != tokens.count(")"):
        return None
    joined = ""
    for before, item in zip(["(", *tokens], tokens, strict=False):
        is_sign = item in {"-", "−", "+"} and (before in _OPERATORS or before in {"(", ","})
        if item in _OPERATORS and not is_sign:
            joined += f" {item} "
        elif item == ",":
            joined += ", "
        else:
            joined += item.replace(",", "")
    return " ".join(joined.split())


def _zones(question: str) -> list[str]:
    zones = [_cities()[city.lower()] for city in _city().findall(question)]
    if not zones:
        # A place that no rule knows: the clock itself will say so, and what it knows instead.
        zones = [place.strip() for place in _PLACE.findall(question)]
    return list(dict.fromkeys(zones)) or ["UTC"]


# What it says


def _plan(question: str, calls: Sequence[Call]) -> Reply:
    needs = _joined([call.purpose for call in calls])
    reasoning = (
        f"The question is: “{_shortened(question, 160)}”. To answer it I need {needs}. "
        f"I should not guess {'that' if len(calls) == 1 else 'any of that'}, there is a tool for it."
    )
    if len(calls) > 1:
        reasoning += " None of them waits for another, so I ask for all at once."
    names = _joined([f"`{name}`" for name in dict.fromkeys(call.tool for call in calls)])
    return Reply(reasoning=reasoning, text=f"Let me find out {needs}, with {names}.", calls=calls)


def _answer(question: str, since: Sequence[BaseMessage]) -> Reply:
    arguments = {
        call["id"]: call["args"] for message in since if isinstance(message, AIMessage) for call in message.tool_calls
    }
    results = [message for message in since if isinstance(message, ToolMessage)]
    failed = [result for result in results if result.status == "error"]
    lines = [_finding(result, arguments.get(result.tool_call_id, {})) for result in results]
    if len(lines) > 1 and not any("\n" in line for line in lines):
        lines = [f"- {line}" for line in lines]
        text = "\n".join(lines)
    else:
        text = "\n\n".join(lines)
    reasoning = f"{_count(len(results), 'result')} came back"
    reasoning += f", {len(failed)} of them an error. I say so instead of making something up." if failed else "."
    reasoning += f" That is what was asked for: “{_shortened(question, 80)}”. I can answer now."
    return Reply(reasoning=reasoning, text=f"{text}\n\n{_SIGNATURE}")


def _finding(result: ToolMessage, arguments: Mapping[str, str]) -> str:
    said = result.text.strip()
    if result.status == "error":
        return f"**`{result.name}` did not work:** {said}"
    match result.name:
        case "calculator":
            return f"`{arguments.get('expression', '…')}` = **{said}**"
        case "current_time":
            return f"It is **{said.partition(';')[0]}**."
        case "fetch_url":
            return f"This is how {arguments.get('url', 'the page')} begins:\n\n{_quoted(said)}"
        case "search_sessions":
            return f"I looked through your earlier sessions for “{arguments.get('query', '')}”:\n\n{said}"
        case _:
            return f"`{result.name}` says: {_shortened(said, MAX_QUOTE)}"


def _looking_back(earlier: Sequence[str]) -> Reply:
    asked = "\n".join(f"{number}. {_shortened(text, 160)}" for number, text in enumerate(earlier, 1))
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
    about = f"“{_shortened(question, 120)}”" if question.strip() else "an empty message"
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
    return "\n".join(f"> {line}" for line in cut.splitlines())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
