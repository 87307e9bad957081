"""A site's own products: stored with an audit event, laid over what ships, found from the terminal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from stewardship.cli import main
from stewardship.db import AuditKeys, Sessions, connect, migrate, tables, transaction
from stewardship.declarations import lint as linter
from stewardship.domain.drugs import Catalogue
from stewardship.domain.errors import InvalidInput, NotFound, Unavailable
from stewardship.domain.people import Principal, Role
from stewardship.intake import fda_ndc, rxnorm, strict_json
from stewardship.services import audit, organisations
from stewardship.services import catalogue as service
from tests.builders import NOW
from tests.reference.newer_lists import a_directory, a_release

OPERATOR = Principal("operator", "org-1", Role.ADMIN)
ELSEWHERE = Principal("operator", "org-2", Role.ADMIN)
RELEASE = service.Load("rxnorm", "RxNorm, November 2026", "0" * 64)
DIRECTORY = service.Load("fda-ndc", "NDC directory, November 2026", "1" * 64)


@pytest.fixture
def clinic(database: Sessions) -> Sessions:
    with transaction(database) as session:
        for by in (OPERATOR, ELSEWHERE):
            organisations.ensure(session, by.organisation_id, name="One", by=by, now=NOW)
    return database


@pytest.fixture
def load_release(clinic: Sessions, catalogue: Catalogue, tmp_path: Path) -> Callable[[], int]:
    folder = a_release(tmp_path / "release")

    def load() -> int:
        with transaction(clinic) as session:
            found = rxnorm.read(folder, catalogue.tables).found
            return service.load(session, found, RELEASE, by=OPERATOR, now=NOW)

    return load


def known(clinic: Sessions, catalogue: Catalogue, organisation: str, code: str) -> bool:
    with transaction(clinic, write=False) as session:
        return (
            service.SiteCatalogues(catalogue).of(session, organisation_id=organisation).by_rxcui(code)
            is not None
        )


def test_what_was_loaded_is_recognised(
    clinic: Sessions, catalogue: Catalogue, load_release: Callable[[], int]
) -> None:
    assert not known(clinic, catalogue, "org-1", "9000001")
    # Five products and two NDCs.
    assert load_release() == 7
    assert known(clinic, catalogue, "org-1", "9000001")
    assert known(clinic, catalogue, "org-1", "835603")


def test_another_organisation_does_not_see_it(
    clinic: Sessions, catalogue: Catalogue, load_release: Callable[[], int]
) -> None:
    load_release()
    assert not known(clinic, catalogue, "org-2", "9000001")


def test_an_ndc_is_stored_once_and_points_to_its_product(
    clinic: Sessions, catalogue: Catalogue, load_release: Callable[[], int]
) -> None:
    load_release()
    with transaction(clinic, write=False) as session:
        drug = service.SiteCatalogues(catalogue).of(session, organisation_id="org-1").by_ndc("99999-0001-01")
    assert drug is not None
    assert drug.opioids[0].name == "oxycodone"


def test_a_load_is_audited_with_what_it_was(clinic: Sessions, load_release: Callable[[], int]) -> None:
    load_release()
    with transaction(clinic, write=False) as session:
        event = session.scalars(
            select(tables.AuditEvent).where(tables.AuditEvent.action == "catalogue.loaded")
        ).one()
    assert (event.subject, event.by_user) == ("rxnorm", "operator")
    assert '"codes":7' in event.detail
    assert "0" * 64 in event.detail


def test_a_load_that_cannot_be_audited_changes_nothing(
    clinic: Sessions, load_release: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object, **__: object) -> None:
        raise Unavailable("no audit")

    monkeypatch.setattr(audit, "record", unable)
    with pytest.raises(Unavailable):
        load_release()
    with transaction(clinic, write=False) as session:
        assert session.scalar(select(func.count()).select_from(tables.CatalogueProduct)) == 0


def test_a_second_load_replaces_and_removes_nothing(
    clinic: Sessions, catalogue: Catalogue, load_release: Callable[[], int], tmp_path: Path
) -> None:
    load_release()
    load_release()
    with transaction(clinic) as session:
        found = fda_ndc.read(*a_directory(tmp_path), catalogue.tables).found
        service.load(session, found, DIRECTORY, by=OPERATOR, now=NOW)
    with transaction(clinic, write=False) as session:
        mine = service.SiteCatalogues(catalogue).of(session, organisation_id="org-1")
        assert mine.by_rxcui("9000001") is not None
        assert mine.by_ndc("99999-0103-5") is not None
        assert [kind for kind, _ in service.stamp(session, organisation_id="org-1")] == ["fda-ndc", "rxnorm"]


def test_a_load_is_seen_by_a_catalogue_that_was_read_before(
    clinic: Sessions, catalogue: Catalogue, load_release: Callable[[], int]
) -> None:
    kept = service.SiteCatalogues(catalogue)
    with transaction(clinic, write=False) as session:
        assert kept.of(session, organisation_id="org-1") is catalogue
    load_release()
    with transaction(clinic, write=False) as session:
        first = kept.of(session, organisation_id="org-1")
        assert first is not catalogue
        assert kept.of(session, organisation_id="org-1") is first
    with transaction(clinic) as session:
        found = list(service.site_products(session, organisation_id="org-1"))
        service.load(session, found, RELEASE, by=OPERATOR, now=NOW + timedelta(seconds=1))
    with transaction(clinic, write=False) as session:
        assert kept.of(session, organisation_id="org-1") is not first


def test_a_list_without_a_known_product_is_the_wrong_file(clinic: Sessions) -> None:
    with pytest.raises(InvalidInput, match="is it the right file"), transaction(clinic) as session:
        service.load(session, [], RELEASE, by=OPERATOR, now=NOW)


def test_an_unknown_organisation_loads_nothing(
    clinic: Sessions, catalogue: Catalogue, tmp_path: Path
) -> None:
    found = rxnorm.read(a_release(tmp_path / "release"), catalogue.tables).found
    stranger = Principal("operator", "org-9", Role.ADMIN)
    with pytest.raises(NotFound), transaction(clinic) as session:
        service.load(session, found, RELEASE, by=stranger, now=NOW)


# --- the terminal ------------------------------------------------------------------------------------


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["catalogue", *words], env={"NO_COLOR": "1", **environment})


def test_a_code_is_shown_with_what_it_is() -> None:
    result = run("find", "1049621")
    assert result.exit_code == 0
    assert "oxycodone, 5 MG, an opioid" in result.output
    assert "schedule     II" in result.output


def test_an_ndc_with_ten_digits_is_found() -> None:
    assert "hydrocodone, 5 MG" in run("find", "0406-0123-01").output


def test_an_unknown_code_is_cannot_tell_and_shown() -> None:
    result = run("find", "99999999")
    assert result.exit_code == 3
    assert result.output == "cannot-tell: 99999999 is not in the catalogue\n"


def test_a_name_that_is_not_exact_gives_suggestions_and_no_answer() -> None:
    result = run("find", "percoset")
    assert result.exit_code == 3
    assert result.output.startswith("cannot-tell: ")
    assert "[Percocet]" in result.output


def test_a_program_is_told_the_same() -> None:
    told = strict_json.loads(run("find", "percoset", "--json").output.encode(), max_bytes=100_000)
    assert isinstance(told, dict)
    assert (told["outcome"], told["drug"]) == ("cannot-tell", None)
    assert told["suggestions"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """An embedded database with an organisation, and the settings that name it."""
    key = "kZ3q9Xw7Lr2VbT8yNc5Hf1Gd6Js4MpQa"
    url = f"sqlite:///{tmp_path / 'site.db'}"
    sessions = connect(url, audit_keys=AuditKeys.single(key.encode()))
    migrate.upgrade(sessions.kw["bind"])
    with transaction(sessions) as session:
        organisations.ensure(session, "org-1", name="One", by=OPERATOR, now=NOW)
    return {
        "STEWARDSHIP_DATABASE_URL": url,
        "STEWARDSHIP_AUDIT_KEY": key,
        "STEWARDSHIP_ENV": "test",
    }


def test_one_command_loads_a_release(settings: dict[str, str], tmp_path: Path) -> None:
    folder = str(a_release(tmp_path / "release"))
    result = run(
        "load", "--rxnorm", folder, "--organisation", "org-1", "--named", "RxNorm 2026-11", **settings
    )
    assert result.exit_code == 0, result.output
    assert "7 codes loaded from RxNorm 2026-11" in result.output
    assert "novelopioid" in result.output
    assert run("find", "9000001", "--organisation", "org-1", **settings).exit_code == 0
    assert run("find", "9000001").exit_code == 3


def test_one_command_loads_the_directory(settings: dict[str, str], tmp_path: Path) -> None:
    product, package = a_directory(tmp_path)
    result = run("load", "--fda-ndc", str(product), str(package), "--organisation", "org-1", **settings)
    assert result.exit_code == 0, result.output
    assert run("find", "99999-0103-5", "--organisation", "org-1", **settings).exit_code == 0


def test_a_load_needs_one_list(settings: dict[str, str]) -> None:
    result = run("load", "--organisation", "org-1", **settings)
    assert result.exit_code == 2
    assert "give --rxnorm or --fda-ndc" in result.output


def test_the_shipped_files_pass_their_own_check() -> None:
    result = run("lint")
    assert result.exit_code == 0
    assert result.stdout == "0 complaints\n"


def test_a_complaint_is_shown_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = linter.Complaint("drugs/ndcs.csv", "duplicate", "00054017613 is there 2 times")
    monkeypatch.setattr(linter, "lint", lambda _: [planted])
    result = run("lint")
    assert result.exit_code == 1
    assert "drugs/ndcs.csv: 00054017613 is there 2 times [duplicate]" in result.stdout
