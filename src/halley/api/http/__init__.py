"""HTTP mechanics: requests, responses, routing, connections. Independent of predictions."""
