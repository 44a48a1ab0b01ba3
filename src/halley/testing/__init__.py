"""Contract suites and fakes, for our tests and for those of other people's adapters. Never imported by the server."""
