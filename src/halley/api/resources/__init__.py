"""The operations, one module for each kind of resource; `routes` lists them."""
