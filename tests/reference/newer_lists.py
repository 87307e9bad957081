"""Small lists in the formats of RxNorm and of the FDA, made up: their codes and labelers do not exist."""

from __future__ import annotations

import zipfile
from pathlib import Path

TABLET = "oxycodone hydrochloride 5 MG Oral Tablet [Neucodon]"


def conso(rxcui: str, kind: str, name: str, *, source: str = "RXNORM", suppress: str = "N") -> str:
    """A line of RXNCONSO.RRF."""
    fields = [""] * 18
    fields[0], fields[1], fields[11], fields[12], fields[13], fields[14], fields[16] = (
        rxcui, "ENG", source, kind, rxcui, name, suppress,
    )  # fmt: skip
    return "|".join(fields) + "|"


def rel(first: str, relation: str, second: str) -> str:
    """A line of RXNREL.RRF: ``second`` has the relation to ``first``."""
    fields = [""] * 16
    fields[0], fields[2], fields[3], fields[4], fields[6], fields[7], fields[10] = (
        first, "CUI", "RO", second, "CUI", relation, "RXNORM",
    )  # fmt: skip
    return "|".join(fields) + "|"


def sat(rxcui: str, attribute: str, value: str, *, source: str = "RXNORM", suppress: str = "N") -> str:
    """A line of RXNSAT.RRF."""
    fields = [""] * 13
    fields[0], fields[8], fields[9], fields[10], fields[11] = rxcui, attribute, source, value, suppress
    return "|".join(fields) + "|"


RELEASE = {
    "RXNCONSO.RRF": [
        conso("7804", "IN", "oxycodone"),
        conso("9000001", "SBD", TABLET),
        conso("9000001", "PSN", "Neucodon 5 MG Oral Tablet"),
        conso("9000002", "SCD", "acetaminophen 325 MG / oxycodone hydrochloride 2.5 MG Oral Capsule"),
        conso("9000003", "SCD", "24 HR tramadol hydrochloride 75 MG Extended Release Oral Tablet"),
        # Newly marketed: RxNorm alone knows whose salt "neucodate" is.
        conso("9000004", "SCD", "oxycodone neucodate 3 MG Oral Tablet"),
        conso("9100004", "SCDC", "oxycodone neucodate 3 MG"),
        conso("9000005", "SCD", "novelopioid 1 MG Oral Tablet"),
        conso("9200005", "IN", "novelopioid"),
        conso("9100005", "SCDC", "novelopioid 1 MG"),
        conso("9000006", "BPCK", "{21 (something) } Pack [Other]"),
        conso("9000007", "SCD", "morphine sulfate 7 MG Oral Tablet", suppress="O"),
        conso("9000008", "SCD", "morphine sulfate 8 MG Oral Tablet", source="VANDF"),
        # In the shipped catalogue too: the site's row wins.
        conso("1049621", "SCD", "oxycodone hydrochloride 5 MG Oral Tablet"),
    ],
    "RXNREL.RRF": [
        rel("7804", "has_ingredient", "9100004"),
        rel("9100005", "ingredient_of", "9200005"),
        rel("9000001", "has_dose_form", "317541"),
    ],
    "RXNSAT.RRF": [
        sat("9000001", "NDC", "99999000101"),
        sat("9000001", "NDC", "99999-0001-02"),
        sat("9000001", "NDC", "99999000199", suppress="O"),
        sat("9000001", "NDC", "99999000198", source="VANDF"),
        sat("9000001", "RXN_HUMAN_DRUG", "US"),
        sat("9000005", "NDC", "99999000501"),
    ],
}


def a_release(folder: Path) -> Path:
    """An unpacked release."""
    rrf = folder / "rrf"
    rrf.mkdir(parents=True)
    for name, lines in RELEASE.items():
        (rrf / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def a_zipped_release(path: Path, *, prefix: str = "prescribe/rrf/") -> Path:
    """The same, packed; beside it the names of a full release, which are not to be taken."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, lines in RELEASE.items():
            archive.writestr(f"rrf/{name}", "")
            archive.writestr(f"{prefix}{name}", "\n".join(lines) + "\n")
    return path


PRODUCT_FIELDS = (
    "PRODUCTID", "PRODUCTNDC", "PRODUCTTYPENAME", "PROPRIETARYNAME", "NONPROPRIETARYNAME", "DOSAGEFORMNAME",
    "ROUTENAME", "SUBSTANCENAME", "ACTIVE_NUMERATOR_STRENGTH", "ACTIVE_INGRED_UNIT", "DEASCHEDULE",
)  # fmt: skip


def listed(
    number: str,
    name: str,
    form: str,
    route: str,
    substances: str,
    strengths: str,
    units: str,
    schedule: str = "",
) -> str:
    """A line of product.txt."""
    kind = "HUMAN PRESCRIPTION DRUG"
    return "\t".join(
        [f"{number}_id", number, kind, name, name, form, route, substances, strengths, units, schedule]
    )


DIRECTORY = [
    listed("9999-0101", "Hydroneu", "TABLET, FILM COATED", "ORAL", "ACETAMINOPHEN; HYDROCODONE BITARTRATE",
           "325; 5", "mg/1; mg/1", "CII"),
    listed("99999-102", "Neuform", "SOLUTION", "ORAL", "HYDROCODONE BITARTRATE; ACETAMINOPHEN",
           "7.5; 325", "mg/15mL; mg/15mL", "CII"),
    listed("99999-0103", "Fentaneu", "PATCH, EXTENDED RELEASE", "TRANSDERMAL", "FENTANYL",
           "25", "ug/h", "CII"),
    listed("99999-0104", "Subneu", "SOLUTION", "SUBCUTANEOUS", "BUPRENORPHINE", "100", "mg/.5mL", "CIII"),
    listed("99999-0105", "Empraneu", "TABLET", "ORAL", "CODEINE PHOSPHATE; ASPIRIN", "30", "mg/1", "CIII"),
    listed("99999-0106", "Novel", "TABLET", "ORAL", "NOVELOPIOID", "1", "mg/1", "CII"),
    listed("99999-0107", "Nebula", "AEROSOL, FOAM", "TOPICAL", "ASPIRIN", "1", "mg/g"),
    listed("99999-0108", "Café", "TABLET", "ORAL", "IBUPROFEN", "400", "mg/1"),
]  # fmt: skip

PACKAGES = [
    "9999-0101_id\t9999-0101\t9999-0101-01\t100 TABLET in 1 BOTTLE",
    "99999-102_id\t99999-102\t99999-102-16\t473 mL in 1 BOTTLE",
    "99999-0103_id\t99999-0103\t99999-0103-5\t5 POUCH in 1 CARTON",
    "99999-0104_id\t99999-0104\t99999-0104-1\t1 SYRINGE in 1 CARTON",
    "99999-0105_id\t99999-0105\t99999-0105-1\t30 TABLET in 1 BOTTLE",
    "99999-0106_id\t99999-0106\t99999-0106-1\t30 TABLET in 1 BOTTLE",
    "99999-0108_id\t99999-0108\t99999-0108-1\t30 TABLET in 1 BOTTLE",
]


def a_directory(folder: Path, *, encoding: str = "cp1252") -> tuple[Path, Path]:
    """``product.txt`` and ``package.txt``."""
    product, package = folder / "product.txt", folder / "package.txt"
    product.write_text("\r\n".join(["\t".join(PRODUCT_FIELDS), *DIRECTORY]) + "\r\n", encoding=encoding)
    header = "PRODUCTID\tPRODUCTNDC\tNDCPACKAGECODE\tPACKAGEDESCRIPTION"
    package.write_text("\r\n".join([header, *PACKAGES]) + "\r\n", encoding=encoding)
    return product, package
