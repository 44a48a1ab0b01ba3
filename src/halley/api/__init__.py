"""The HTTP API of the contract. Read in this order: http/asgi, http/routing, routes, application; then one file per
resource.
"""

from halley.api.http import lean_uvicorn

lean_uvicorn.prepare()  # here, because this runs before any module that imports uvicorn
