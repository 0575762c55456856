"""The job store as it runs in production, over a connection that waits for nothing.

JobStore's own code makes the arguments and reads the answers; its functions are called by a
blocking client, so that a whole simulation runs in one thread, in an order of its own.
"""

from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, TypeVar

from simulation.orders import Order, reorder
from simulation.plants import Plant, planted
from simulation.simulated_redis import SimulatedRedis
from telecine.jobs.call_batcher import Argument, Call, Send
from telecine.jobs.function_library import FunctionLibrary, library_source
from telecine.jobs.job_store import JobStore
from telecine.jobs.keys import queue_key
from telecine.jobs.redis_client import connect_redis

T = TypeVar("T")

QUEUE = queue_key("0")
CLOCK_KEY = f"{QUEUE}:clock"
RUN_KEY = f"{CLOCK_KEY}:run"  # changes where a restart would give the server a new run id
_UNUSED_URL = "unix:///nowhere"


class BlockingCalls:
    """Stands where production has its client, and blocks instead of waiting.

    Attributes:
        inspection: what `inspect_after` answered after the newest call.
    """

    def __init__(
        self,
        server: SimulatedRedis,
        clock_micros: Callable[[], int],
        *,
        inspect_after: tuple[str | int, ...] | None = None,
    ) -> None:
        self._server = server
        self._clock_micros = clock_micros
        self._inspect_after = [inspect_after] if inspect_after else []
        self.inspection: Any = None

    async def execute(self, *command: Argument) -> Any:
        """Sends a command at the present time of the simulation."""
        clock = ("SET", CLOCK_KEY, self._clock_micros())
        _, answer, *inspection = self._server.exchange(clock, command, *self._inspect_after)
        if inspection:
            self.inspection = inspection[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def function_load(self, source: str) -> None:
        """Loads a library."""
        self._server.client.function_load(source)


class SingleCalls:
    """Stands where production has its batcher, and makes each call at once."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def call(self, call: Call) -> Any:
        """Makes a call and returns its answer; raises what it was refused with."""
        (answer,) = await self._send([call])
        if isinstance(answer, Exception):
            raise answer
        return answer


class SimulatedLibrary(FunctionLibrary):
    """The Redis functions with the simulation's clock, called without waiting."""

    def __init__(
        self,
        blocking_calls: BlockingCalls,
        *,
        random: Random,
        plant: Plant | None = None,
        order: Order = Order.FAIR,
    ) -> None:
        calls: Any = blocking_calls
        super().__init__(calls, QUEUE)
        self._connections = calls
        single_writes: Any = SingleCalls(self.send_writes)
        single_reads: Any = SingleCalls(self._send_reads)
        self._writes, self._reads = single_writes, single_reads
        self._random = random
        self._order = order
        self._name, self._source = planted(library_source(CLOCK_KEY), plant)

    async def call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        """Calls a function as production does."""
        if function == "submit":
            # The id is the only thing that the store draws by chance: a replay needs the same.
            video = f"v{self._random.getrandbits(60):015x}"
            arguments = {**reorder(arguments, self._order), "video:1": video}
        return await super().call(function, arguments)


class SimulatedStore(JobStore):
    """A JobStore whose calls are done when they return."""

    def __init__(self, library: SimulatedLibrary, **settings: Any) -> None:
        super().__init__(connect_redis(_UNUSED_URL), **settings)
        self._library = library
        self.library = library


def run(call: Coroutine[Any, Any, T]) -> T:
    """Runs a call that never waits.

    Raises:
        RuntimeError: it did wait.
    """
    try:
        call.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    call.close()
    raise RuntimeError("a call of the simulation waited")
