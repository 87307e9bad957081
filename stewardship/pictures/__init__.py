"""Pictures: pure functions from what the domain found to SVG, the same for a page, an answer and a print.

They carry no style sheet and no script: what is drawn is said in presentation attributes, which every strict
content-security policy allows, and in classes that a page may colour otherwise. Each has a title and a
description that say in words what is to be seen.
"""
