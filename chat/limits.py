"""How much a socket may send, and how much may be on its way to it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

# What a frame costs in tokens grows with its size; acknowledgements are asked for by us and cost next to nothing.
BYTES_PER_TOKEN = 8 * 1024
SENT_BYTES_PER_TOKEN = 64 * 1024
ACKNOWLEDGEMENT = 0.1
# Slowed for so many seconds in a row, a client is not impatient but flooding.
FLOOD_SECONDS = 3.0


class Flood(Exception):
    """The client goes on sending faster than it may, though it is slowed down."""


@dataclass(slots=True)
class Pace:
    """A token bucket: lets `burst` frames through at once and `rate` a second after that. Pure: `now` is given, in seconds."""

    rate: float
    burst: float
    _level: float = field(init=False)
    _at: float | None = field(init=False, default=None)
    _slowed: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._level = self.burst

    def frame(self, size: int, now: float) -> float:
        """A frame of so many bytes came: the seconds to wait before it is handled. Raises `Flood`."""
        wait = self._take(1 + size / BYTES_PER_TOKEN, now)
        if wait:
            self._slowed += wait
        elif self._level >= self.burst - 1:
            self._slowed = 0.0
        if self._slowed > FLOOD_SECONDS:
            raise Flood
        return wait

    def was_acknowledgement(self) -> None:
        """The last frame was one that we asked for."""
        self._level = min(self.burst, self._level + 1 - ACKNOWLEDGEMENT)

    def answer(self, size: int, now: float) -> float:
        """So many bytes were sent because the client asked: the seconds to wait before it is heard again."""
        return self._take(size / SENT_BYTES_PER_TOKEN, now)

    def _take(self, cost: float, now: float) -> float:
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        self._level -= cost
        return max(0.0, -self._level / self.rate)


@dataclass(slots=True)
class Window:
    """What was sent and not yet acknowledged. A client takes part from its first `resume` or `ack` on."""

    limit: int
    sent: int = 0
    bytes: int = 0
    _unacknowledged: deque[tuple[int, int]] = field(default_factory=deque)
    watched: bool = False

    @property
    def is_full(self) -> bool:
        """Too much is on its way: nothing more is sent until the client has acknowledged some of it."""
        return self.bytes > self.limit

    def send(self, size: int) -> None:
        """Count a frame of so many bytes."""
        self.sent += 1
        if self.watched:
            self._unacknowledged.append((self.sent, size))
            self.bytes += size

    def acknowledge(self, frames: int) -> None:
        """The client has handled that many frames since it connected."""
        self.watched = True
        while self._unacknowledged and self._unacknowledged[0][0] <= frames:
            self.bytes -= self._unacknowledged.popleft()[1]
