"""A report for programs, spreadsheets, print and screens: each format a module, all the same values."""
