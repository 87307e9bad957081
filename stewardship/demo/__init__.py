"""A synthetic clinic to look around in: made, not taken from anybody, the same every time.

``clinic.toml`` says what kinds of patient there are, ``clinic.py`` makes them relative to today,
``orders.toml`` holds the orders that the demonstration checks, and ``setup.py`` puts it all in place.
"""
