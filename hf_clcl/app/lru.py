"""Thread-safe LRU cache with weights: each value is computed once, however many threads ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any


class LeastRecentlyUsed:
    """Cache of values by key, up to a total weight; the least recently used are evicted first.

    Args:
        limit (`int`): Maximum total weight of all values.
        weigh (`Callable[[Any], int]`, *optional*): Weight of a value, such as its bytes; 1 by default.
    """

    def __init__(self, limit: int, weigh: Callable[[Any], int] = lambda value: 1):
        self.limit, self.weigh = limit, weigh
        self.made = 0
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._making: dict[Hashable, Future] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the cached value of a key, or compute and cache it. Other threads that ask meanwhile wait for it."""
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
        """Cache a value. A value above the limit is cached alone, until the next one is added."""
        with self._lock:
            self._making.pop(key, None)
            self._kept[key] = value
            self._kept.move_to_end(key)
            self.made += 1
            while len(self._kept) > 1 and sum(map(self.weigh, self._kept.values())) > self.limit:
                self._kept.popitem(last=False)

    def peek(self, key: Hashable) -> Any:
        """Return the cached value of a key, or `None`; does not count as a use."""
        with self._lock:
            return self._kept.get(key)

    def __len__(self) -> int:
        return len(self._kept)

    def keys(self) -> list[Hashable]:
        """Cached keys, the least recently used first."""
        with self._lock:
            return list(self._kept)
