"""Reports, one module each. A report counts; who may see it and how it is written is for the faces.

=================  ================================================================================
``alert_burden``   how much a prescriber is told about each opioid order, and what became of it
=================  ================================================================================
"""
