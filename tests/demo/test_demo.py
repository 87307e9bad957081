"""``stewardship demo`` from outside: what it shows, what it keeps, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stewardship.cli import main

STEWARDSHIP = Path(sys.executable).parent / "stewardship"


def start(folder, *options):
    done = CliRunner().invoke(main, ["demo", "--dir", str(folder), "--no-serve", *options])
    assert done.exit_code == 0, done.output
    return click.unstyle(done.stdout)


def rows(folder):
    """How many rows each table holds."""
    with sqlite3.connect(folder / "stewardship.db") as db:
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {n: db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}  # noqa: S608


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, start(folder)


def test_the_database_holds_the_clinic_and_the_decisions_shown(first):
    folder, _ = first
    kept = rows(folder)
    assert kept["patients"] >= 200
    assert kept["supplies"] > 2_000
    with sqlite3.connect(folder / "stewardship.db") as db:
        today = "SELECT count(*) FROM decisions WHERE order_id IS NULL OR order_id NOT LIKE 'past-%'"
        assert db.execute(today).fetchone() == (11,)
    assert kept["decisions"] > 111


def test_each_order_is_shown_with_drug_signature_and_where_it_stands(first):
    _, shown = first
    for words in (
        "acetaminophen 325 MG / hydrocodone bitartrate 5 MG Oral Tablet",
        "1 tablet every 6 hours as needed for pain · 12 tablets · 3 days · acute pain",
        "CLEAR",
        "ADVISED",
        "NEEDS A REASON",
        "BLOCKED",
        "COULD NOT BE CHECKED",
        "→",
        "exempt",
    ):
        assert words in shown


def test_one_danger_is_one_block_with_the_offer_of_naloxone_in_it(first):
    _, shown = first
    (case,) = [part for part in re.split(r"\n\n(?=\d+\. )", shown) if "one danger" in part]
    (block,) = [part for part in case.split("\n\n") if "■" in part]
    for words in (
        "■ soft stop Opioid and sedating medicine together",
        "+ soft stop Opioid for a patient with sleep-disordered breathing (Obstructive sleep apnea)",
        "+ to know Offer naloxone:",
        "→ Order naloxone nasal spray",
    ):
        assert words in " ".join(block.split())


def test_all_shows_every_finding(first):
    folder, shown = first
    every = start(folder, "--all")
    assert every.count("■") > shown.count("■")
    assert "  + " not in every


def test_a_token_for_each_role_is_kept_and_printed(first):
    folder, shown = first
    tokens = json.loads((folder / "tokens.json").read_text())
    assert set(tokens) == {"prescriber", "pharmacist", "compliance", "ehr"}
    assert all(token in shown for token in tokens.values())


def test_everybody_who_can_sign_in_is_kept_and_printed(first):
    folder, shown = first
    accounts = json.loads((folder / "accounts.json").read_text())
    names = ("prescriber", "prescriber-2", "pharmacist", "pharmacist-2", "compliance", "admin")
    assert set(accounts) == {f"{name}@demo.example" for name in names}
    assert len(set(accounts.values())) == len(names)
    for login, password in accounts.items():
        assert re.search(rf"{login} +{re.escape(password)}\n", shown)
    everything = (folder / "stewardship.db").read_bytes()
    assert not [p for p in accounts.values() if p.encode() in everything]


def test_they_are_the_users_whose_tokens_there_are(first):
    folder, _ = first
    with sqlite3.connect(folder / "stewardship.db") as db:
        people = dict(db.execute("SELECT login, user_id FROM accounts"))
        holders = {user for (user,) in db.execute("SELECT user_id FROM api_tokens")}
    assert people["prescriber@demo.example"] in holders
    assert people["pharmacist@demo.example"] in holders
    assert people["pharmacist-2@demo.example"] not in holders


def test_tokens_are_not_in_the_database(first):
    folder, _ = first
    everything = b"".join(file.read_bytes() for file in folder.glob("stewardship.db*"))
    assert not [
        t for t in json.loads((folder / "tokens.json").read_text()).values() if t.encode() in everything
    ]


def test_a_second_start_loses_nothing_and_adds_nothing(first):
    folder, shown = first
    before, tokens = rows(folder), (folder / "tokens.json").read_text()
    again = start(folder)
    # That somebody looked whether anything is due is on record each time; the second finds nothing.
    assert rows(folder) | {"job_runs": 0} == before | {"job_runs": 0}
    assert (folder / "tokens.json").read_text() == tokens
    assert again.replace("as it was left", "made just now") == shown


def test_another_database_may_be_named(tmp_path, monkeypatch, empty_url):
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", empty_url)
    first = start(tmp_path / "demo")
    assert start(tmp_path / "demo").replace("as it was left", "made just now") == first
    assert not list((tmp_path / "demo").glob("*.db"))


def test_the_environment_is_left_alone_when_nothing_is_served(first):
    assert not [name for name in os.environ if name == "STEWARDSHIP_SECRET_KEY"]


def test_a_port_that_is_taken_is_said_before_anything_is_made(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["demo", "--dir", str(tmp_path / "demo"), "--port", str(port)])
    assert done.exit_code == 3
    assert f"port {port} is in use" in done.stderr
    assert not (tmp_path / "demo").exists()


# --- the service --------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path, *, token=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


@pytest.fixture(scope="module")
def service(first):
    """The demonstration as a process of its own, listening; stopped by the test that is about stopping."""
    folder, _ = first
    port = free_port()
    process = subprocess.Popen(
        [STEWARDSHIP, "demo", "--dir", folder, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(1200):
            try:
                ask(port, "/cds-services")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, process.stdout.read().decode()
                time.sleep(0.1)
        yield folder, port, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_service_answers_an_order_as_the_terminal_does(service):
    folder, port, _ = service
    token = json.loads((folder / "tokens.json").read_text())["prescriber"]
    example = json.loads((folder / "example-order.json").read_text())
    answered = ask(port, "/api/v1/orders/screen", token=token, body=example)
    checked = CliRunner().invoke(main, ["check", str(folder / "example-order.json"), "--json"])
    assert answered["disposition"] == json.loads(checked.stdout)["disposition"] == "blocked"


@pytest.mark.parametrize("role", ["prescriber", "pharmacist", "compliance", "ehr"])
def test_every_token_opens_the_service(service, role):
    folder, port, _ = service
    token = json.loads((folder / "tokens.json").read_text())[role]
    assert ask(port, "/api/v1/policies", token=token)["policies"]


def test_the_readers_paths_of_the_readme_work_as_typed(service, tmp_path):
    folder, port, _ = service
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    paths = readme[readme.index("## If you are a prescriber") : readme.index("## Running it for real")]
    blocks = [b for b in re.findall(r"```sh\n(.*?)```", paths, flags=re.S) if "stewardship check" not in b]
    (tmp_path / ".demo").symlink_to(folder)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = "\n".join(["set -euo pipefail", *blocks, "cat .demo/signed.json"])
    script = script.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace(
        "curl -s", "curl -s --fail-with-body"
    )
    script = script.replace("/countersignatures\n", "/countersignatures > .demo/signed.json\n")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as written" in done.stdout
    assert json.loads((folder / "signed.json").read_text())["status"] == "approved"


def test_it_stops_cleanly_when_told_to(service):
    _, port, process = service
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(port, "/cds-services")
