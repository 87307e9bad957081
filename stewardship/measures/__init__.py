"""Quality measures of a whole population, as columns: the answers of one patient's, for millions of rows.

Knows no database and no format. What is counted and how is in ``domain.measures``; what excludes a patient
and how old he is does not follow from dispensings, so whoever asks says it beside the columns.
"""
