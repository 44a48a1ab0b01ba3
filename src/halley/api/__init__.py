"""HTTP in the contract's words. Read in this order: asgi, routing, routes, application; then one file per resource."""

from halley.api.http import lean_uvicorn

lean_uvicorn.prepare()  # here, because this runs before any module that imports uvicorn
