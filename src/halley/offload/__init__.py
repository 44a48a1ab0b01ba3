"""Large JSON is decoded, checked and changed in a process of its own: here it would hold up every other request.

A thread would not help: the decoder and the validator keep the interpreter to themselves until they are done.
"""
