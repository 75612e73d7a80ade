"""Fetching the next shards while the present ones are read: in order, few at a time, in a thread that ends cleanly."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from multiprocessing.util import Finalize
from threading import Condition, Thread

from medfm_core.errors import MedFMError

log = logging.getLogger(__name__)

_JOIN_S = 2.0


class StoppedError(Exception):
    """A download that was given up because nobody wants it any more."""


Fetch = Callable[[int, Callable[[], bool]], object]


class _Shared:
    """What thread and owner share; the thread holds no reference to the owner, so that it ends with it."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch
        self.changed = Condition()
        self.wanted: list[int] = []
        self.failed: set[int] = set()
        self.ended = False
        self.idle = True


class ShardPrefetcher:
    """Fetches shards one after the other in the background.

    One that cannot be fetched is told in the log and left: whoever needs it tries again and meets the error. The thread
    starts with the first wish, belongs to the process that made it, and is stopped within a download when its owner is
    closed, forgotten, or the process ends.

    Args:
        fetch: fetches a shard by its number; it is given a function that says whether to stop, and then raises
            `StoppedError`.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._shared = _Shared(fetch)
        self._process = os.getpid()
        self._thread: Thread | None = None

    def want(self, numbers: Sequence[int]) -> None:
        """Fetch these shards next, in this order, and no others; a download that has begun is ended first."""
        if os.getpid() != self._process:  # a fork has no threads of its parent
            self.__init__(self._shared.fetch)
        shared = self._shared
        with shared.changed:
            if shared.ended:
                return
            shared.wanted = [number for number in dict.fromkeys(numbers) if number not in shared.failed]
            shared.idle = shared.idle and not shared.wanted
            shared.changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=_run, args=(shared,), name="shard-prefetch", daemon=True)
            self._thread.start()
            self._end = Finalize(self, _stop, args=(shared, self._thread), exitpriority=10)

    def wait(self, seconds: float) -> bool:
        """Wait until all that is wanted is here or has failed; whether it came to that."""
        with self._shared.changed:
            return self._shared.changed.wait_for(lambda: self._shared.idle, seconds)

    def close(self) -> None:
        """Stop; what is half fetched is removed."""
        if self._thread is not None and self._process == os.getpid():
            self._end()

    def __getstate__(self) -> dict[str, object]:
        raise TypeError("a prefetcher stays in its process")


def _run(shared: _Shared) -> None:
    while True:
        with shared.changed:
            while not shared.wanted and not shared.ended:
                shared.idle = True
                shared.changed.notify_all()
                shared.changed.wait()
            if shared.ended:
                return
            number = shared.wanted.pop(0)
        try:
            shared.fetch(number, lambda: shared.ended)
        except StoppedError:
            return
        except MedFMError as error:
            shared.failed.add(number)
            log.warning("%s It is tried again when it is needed.", error)
        except Exception as error:  # the thread must outlive one odd answer of a server
            shared.failed.add(number)
            log.warning("shard %d was not fetched ahead (%s: %s)", number, type(error).__name__, error)


def _stop(shared: _Shared, thread: Thread) -> None:
    with shared.changed:
        shared.ended = True
        shared.idle = True
        shared.changed.notify_all()
    thread.join(_JOIN_S)
