"""HTTP mechanics: requests, responses, routing, connections. Nothing here knows what a prediction is."""
