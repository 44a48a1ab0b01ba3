"""Large JSON is decoded, checked and changed in a separate process: in the server's process it would delay all other
requests.

A thread would not help: the decoder and the validator hold the interpreter lock while they work.
"""
