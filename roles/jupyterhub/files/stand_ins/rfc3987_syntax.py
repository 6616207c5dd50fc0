"""Stands in for a package of this name, which works out a grammar when it is imported: that is half of a hub's start.

JSON schemas ask for it if they speak of international addresses ("iri"). The hub's own do not; without it, they are not
checked.
"""

raise ImportError("left out, since it takes long to import")
