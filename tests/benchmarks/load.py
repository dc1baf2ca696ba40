"""A load generator: GET requests at a fixed rate over kept connections, in a process of its own.

    [LOAD_KEY=...] python load.py PORT PATHS REQUESTS_PER_SECOND SECONDS

The key, which every request sends, comes by the environment: anybody may read a command line. PATHS are separated by
commas and asked for in turn. Requests are due at fixed times and latency counts from when a request was due, so a
server that stalls is not spared what queues up behind the stall. What is not answered with 200 is counted by what came
instead. Loopback only. Prints one JSON object.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

NUM_CONNECTIONS = 16


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one response; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    await reader.readexactly(length)
    return int(lines[0].split()[1])


async def connection(
    port: int, paths: Iterator[str], due: "asyncio.Queue[float]", latencies: list[float], errors: Counter[str]
) -> None:
    """One connection that takes whatever is due next; one that breaks is counted and opened again."""
    key = os.environ.get("LOAD_KEY")
    headers = "Host: 127.0.0.1\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        due_at = await due.get()
        try:
            writer.write(f"GET {next(paths)} HTTP/1.1\r\n{headers}\r\n".encode())
            status = await answered(reader)
            if status != 200:
                errors[str(status)] += 1
        except (OSError, asyncio.IncompleteReadError) as error:
            errors[type(error).__name__] += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        latencies.append(time.perf_counter() - due_at)
        due.task_done()


async def measured(port: int, paths: list[str], rate: float, seconds: float) -> dict[str, Any]:
    due: asyncio.Queue[float] = asyncio.Queue()
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    turn = itertools.cycle(paths)
    workers = [asyncio.create_task(connection(port, turn, due, latencies, errors)) for _ in range(NUM_CONNECTIONS)]
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due_at = began + number / rate
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        due.put_nowait(due_at)
    await asyncio.wait_for(due.join(), timeout=60)
    took_seconds = time.perf_counter() - began
    for worker in workers:
        worker.cancel()
    latencies.sort()
    return {
        "num_requests": len(latencies),
        "per_second": len(latencies) / took_seconds,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        "longest_ms": 1000 * latencies[-1],
        "errors": errors,
    }


if __name__ == "__main__":
    port, paths, rate, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(measured(int(port), paths.split(","), float(rate), float(seconds)))))
