"""The domain: the prediction record, its lifecycle, and the use cases around it.

Read in this order: status, records, lifecycle, progress, ports, service.
"""
