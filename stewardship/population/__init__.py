"""Everybody at once: the figures and flags of one patient's functions for a whole population, as columns.

Knows no database and no format: whoever calls it fills the columns (``columns.Columns``) and takes the
answers as rows and patients. A flag's evidence comes from ``domain.flags``, asked for the few patients whom
the scan names.
"""
