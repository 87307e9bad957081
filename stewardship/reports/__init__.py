"""Reports, one module each. A report counts; who may see it and how it is written is for the faces.

``listed`` names those that can be asked for, ``reporting`` says what a report is, ``rendering`` writes it.
Made for one decision or one patient are ``why`` and ``as_of``; ``alert_burden`` counts streams of orders.
"""
