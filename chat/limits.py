"""How much a socket may send, and how much may be on its way to it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class TokenBucket:
    """Lets `burst` through at once and `rate` a second after that. Pure: `now` is given, in seconds."""

    rate: float
    burst: float
    _level: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._level = self.burst

    def take(self, cost: float, now: float) -> float:
        """Take from the bucket, which may go below empty; returns the seconds until it is no longer so, 0 for at once."""
        if self._at is not None:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        self._level -= cost
        return max(0.0, -self._level / self.rate)

    def give_back(self, cost: float) -> None:
        self._level = min(self.burst, self._level + cost)

    @property
    def is_full(self) -> bool:
        return self._level >= self.burst - 1


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
