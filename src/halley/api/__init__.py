"""HTTP in the contract's words. Read in this order: asgi, routing, routes, application; then one file per resource."""
