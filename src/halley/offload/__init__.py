"""Large JSON is decoded, checked and changed in a separate process: in this one it would delay all other requests.

A thread would not help: the decoder and the validator hold the interpreter lock until they are done.
"""
