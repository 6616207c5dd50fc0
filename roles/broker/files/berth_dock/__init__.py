"""The broker between hub and container engine: whoever speaks to the engine itself is root on the host; the hub is not.

Requests are read, judged, and written anew from what the site's settings allow; none is passed on as it came.
"""
