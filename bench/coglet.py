"""No-op calls through Cog's own server, as a server that keeps it makes them: python bench/coglet.py PORT SECONDS N...

The counterpart of runner.py: the same input, caller and engine on the same core. HTTP is the only way into coglet, so
the caller speaks it, over connections that stay open and with as little work of its own as possible. It is refused
(409) also by a free slot, which it gives back after the answer is out; the caller then asks again a millisecond later,
and only what succeeded counts. Prints JSON: rate, p50 and p99 in ms, and the share of refusals.
"""

import asyncio
import json
import sys
import time

INPUT = '{"input":{"prompt":"an astronaut riding a horse on mars, hd, dramatic lighting, detailed"}}'
REFUSED = b"409"


async def answer(reader):
    """Status and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head[9:12], await reader.readexactly(length)


async def calls(port, clients, seconds):
    request = (
        f"POST /predictions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(INPUT)}\r\n\r\n{INPUT}"
    ).encode()
    took, refused = [], 0
    end = time.perf_counter() + seconds

    async def client():
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            while True:
                writer.write(request)
                status, body = await answer(reader)
                if status != REFUSED:
                    break
                refused += 1
                await asyncio.sleep(0.001)
            assert status == b"200", body
            assert b'"succeeded"' in body, body
            took.append((time.perf_counter() - began) * 1000)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = len(took) / (time.perf_counter() - began)
    took.sort()
    return {
        "rate": rate,
        "p50": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
        "bad": refused / (refused + len(took)),
    }


def main():
    import uvloop  # what our server runs on

    port, seconds, *clients = map(int, sys.argv[1:])
    print(json.dumps({n: uvloop.run(calls(port, n, seconds)) for n in clients}))


if __name__ == "__main__":
    main()
