"""Contract suites and fakes, for our tests and for those of other adapters. Never imported by the server."""
