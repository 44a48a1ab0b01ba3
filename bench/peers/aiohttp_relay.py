"""A bare relay: it checks a key and passes requests on: python aiohttp_relay.py PORT URL KEY."""

import sys

from aiohttp import ClientSession, TCPConnector, web

port, url, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]


async def relay(request):
    if request.headers.get("Authorization") != f"Bearer {key}":
        return web.json_response({"detail": "Unauthenticated"}, status=401)
    content = await request.read()
    headers = {"Authorization": "Bearer upstream", "Content-Type": request.content_type}
    async with request.app["session"].request(
        request.method, url + request.path_qs, data=content, headers=headers
    ) as answer:
        return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)


async def session(app):
    async with ClientSession(connector=TCPConnector(limit=0)) as app["session"]:
        yield


def main():
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", relay)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
