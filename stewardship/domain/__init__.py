"""What the service knows about opioids, patients and policies: pure, standard library only.

Nothing here reads a clock, a file, a database or the environment. Facts come in as frozen
dataclasses, findings go out as frozen dataclasses, and the same input always gives the same answer.

Glossary, in the field's words:

========================  =====================================================================
catalogue                 every drug product the service recognises (``drugs.Catalogue``)
code set                  a named set of codes, e.g. ``sickle-cell-disease`` (``codes.CodeSets``)
dosage instruction        FHIR Dosage: dose, timing, as needed (``dosage.DosageInstruction``)
days' supply              how many days a dispensed quantity lasts; the first day counts as day one
MME                       morphine milligram equivalents a day, under a *named* factor set
exposure                  one stretch of a drug being available to a patient: a prescription and
                          its dispensings together are one exposure (``episodes.Exposure``)
opioid-naive              no opioid exposure in a look-back window (length and evidence are data)
opioid-tolerant           the FDA label definition: at least a week at or above a stated dose
long-acting               extended-release, or an ingredient that is long-acting in any form
order                     what a prescriber is about to sign (``orders.Order``)
chart                     everything known about one patient as of one moment (``chart.Chart``)
policy                    a rule kind, its parameters, its source and its words (``policy.Policy``)
finding                   what one policy says about one order (``policy.Finding``)
decision                  all findings about one order (``policy.Decision``)
cannot-tell               a fact was missing; an answer of its own, never a pass
========================  =====================================================================
"""
