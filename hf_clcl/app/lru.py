"""What is kept in memory: made once however many ask for it, and dropped when it was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any


class LeastRecentlyUsed:
    """Values by key, up to a limit; those not used for longest go first.

    Args:
        limit (`int`): What the weights of all values together may come to.
        weigh (`Callable[[Any], int]`, *optional*): Weight of a value, such as its bytes; 1 where not given.
    """

    def __init__(self, limit: int, weigh: Callable[[Any], int] = lambda value: 1):
        self.limit, self.weigh = limit, weigh
        self.made = 0
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, Future] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made where it is not kept. Who asks while it is being made waits for it."""
        mine: Future[Any] = Future()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            future = self._making.setdefault(key, mine)
        if future is not mine:
            return future.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            future.set_exception(error)
            raise
        self.put(key, value)
        future.set_result(value)
        return value

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value. One that is larger than the limit is kept alone, until the next comes."""
        with self._lock:
            self._making.pop(key, None)
            self._kept[key] = value
            self._kept.move_to_end(key)
            self.made += 1
            while len(self._kept) > 1 and sum(map(self.weigh, self._kept.values())) > self.limit:
                self._kept.popitem(last=False)

    def peek(self, key: Hashable) -> Any:
        """The value of a key, or `None` where it is not kept."""
        with self._lock:
            return self._kept.get(key)

    def __len__(self) -> int:
        return len(self._kept)

    def keys(self) -> list[Hashable]:
        """Keys of what is kept, the one used longest ago first."""
        with self._lock:
            return list(self._kept)
