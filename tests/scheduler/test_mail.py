"""Mail goes through a real server: encrypted, known, refused, broken off, and twice under one id."""

from __future__ import annotations

import socket
from datetime import timedelta
from urllib.parse import quote

import pytest

from stewardship.config import Misconfigured, Settings
from stewardship.mail import Letter, Mailer, NotSent
from tests.scheduler.conftest import NOW
from tests.scheduler.mailing import PASSWORD, USER, a_server, authenticates, certificates

SENDER = "reviews@clinic.example"


def a_letter(number: int = 1) -> Letter:
    return Letter(f"id-{number}", "dr-1@clinic.example", "A subject", "Words.\n", NOW)


def send(mailer: Mailer, *letters: Letter) -> None:
    with mailer.connected() as connection:
        for letter in letters or (a_letter(),):
            connection.send(letter)


def code_of(mailer: Mailer) -> tuple[str, bool]:
    with pytest.raises(NotSent) as caught:
        send(mailer)
    return caught.value.code, caught.value.permanent


def test_a_letter_arrives_with_its_own_id_and_moment():
    with a_server() as (mailbox, place):
        send(Mailer(f"smtp://{place}", SENDER), a_letter(1), a_letter(2))
    assert mailbox.to == ["dr-1@clinic.example"] * 2
    first, second = mailbox.arrived
    assert (first["Message-ID"], second["Message-ID"]) == ("<id-1@clinic.example>", "<id-2@clinic.example>")
    assert first["From"] == SENDER
    assert first["Date"] == "Sat, 21 Nov 2026 12:00:00 +0000"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_payload() == "Words.\r\n"


def test_over_starttls_with_a_password(tmp_path):
    server, client = certificates(tmp_path)
    login = f"{USER}:{quote(PASSWORD, safe='')}"
    options = {"tls_context": server, "require_starttls": True, "auth_required": True}
    with a_server(authenticator=authenticates, **options) as (mailbox, place):
        send(Mailer(f"smtp+starttls://{login}@{place}", SENDER, trust=client))
        assert code_of(Mailer(f"smtp+starttls://{USER}:wrong@{place}", SENDER, trust=client)) == (
            "authentication",
            False,
        )
    assert mailbox.was_encrypted == [True]


def test_over_tls_from_the_first_byte(tmp_path):
    server, client = certificates(tmp_path)
    with a_server(ssl_context=server) as (mailbox, place):
        send(Mailer(f"smtps://{place}", SENDER, trust=client))
    assert len(mailbox.arrived) == 1


def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path):
    server, _ = certificates(tmp_path)
    with a_server(tls_context=server) as (mailbox, place):
        assert code_of(Mailer(f"smtp+starttls://{place}", SENDER)) == ("tls", False)
    assert mailbox.arrived == []


def test_a_server_that_does_not_encrypt_gets_nothing_when_it_should():
    with a_server() as (mailbox, place):
        assert code_of(Mailer(f"smtp+starttls://{place}", SENDER)) == ("connection", False)
    assert mailbox.arrived == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [("451 later", ("refused-451", False)), ("554 never", ("refused-554", True))],
    ids=["for now", "for good"],
)
def test_what_is_refused_for_now_may_go_later(answer, told):
    with a_server() as (mailbox, place):
        mailbox.refuses = answer
        assert code_of(Mailer(f"smtp://{place}", SENDER)) == told


@pytest.mark.parametrize(("answer", "permanent"), [("450 busy", False), ("550 nobody", True)])
def test_a_recipient_that_is_refused(answer, permanent):
    with a_server() as (mailbox, place):
        mailbox.refuses_recipient = answer
        assert code_of(Mailer(f"smtp://{place}", SENDER)) == ("recipient-refused", permanent)


def test_after_one_refusal_the_next_letter_still_goes():
    with a_server() as (mailbox, place), Mailer(f"smtp://{place}", SENDER).connected() as connection:
        mailbox.refuses = "451 later"
        with pytest.raises(NotSent):
            connection.send(a_letter(1))
        mailbox.refuses = ""
        connection.send(a_letter(2))
    assert [m["Message-ID"] for m in mailbox.arrived] == ["<id-2@clinic.example>"]


def test_a_connection_that_breaks_after_the_letter_is_not_a_letter_that_was_taken():
    with a_server() as (mailbox, place), Mailer(f"smtp://{place}", SENDER).connected() as connection:
        mailbox.drops = 1
        with pytest.raises(NotSent) as caught:
            connection.send(a_letter())
        assert (caught.value.code, caught.value.permanent) == ("connection", False)
        connection.send(a_letter())
    assert [m["Message-ID"] for m in mailbox.arrived] == ["<id-1@clinic.example>"] * 2


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        assert code_of(Mailer(f"smtp://{place}", SENDER)) == ("connection", False)


def test_a_server_that_says_nothing_is_not_waited_for_long():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        assert code_of(Mailer(f"smtp://{place}", SENDER, timeout=0.2)) == ("connection", False)


@pytest.mark.parametrize(
    "url",
    ["http://mail.example", "smtp://user:secret@mail.example", "smtps://", "smtps://a b", "smtps://h:1:2"],
)
def test_a_setting_that_cannot_be_is_refused_without_repeating_it(url):
    with pytest.raises(Misconfigured) as refused:
        Settings.from_env({"STEWARDSHIP_SMTP_URL": url})
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("address", ["not one", "Clinic <a@b.example>", "a@b.example\nBcc: x@y.example"])
def test_a_sender_is_a_bare_address(address):
    with pytest.raises(Misconfigured):
        Settings.from_env({"STEWARDSHIP_MAIL_FROM": address})


def test_the_address_of_the_server_is_in_no_repr():
    mailer = Mailer("smtps://user:secret@mail.example", SENDER)
    settings = Settings.from_env({"STEWARDSHIP_SMTP_URL": "smtps://user:secret@mail.example"})
    assert "secret" not in repr(mailer) + repr(settings)


def test_a_letter_speaks_of_its_own_moment_not_of_the_one_at_which_it_goes():
    late = Letter("id", "a@b.example", "S", "W", NOW - timedelta(days=1))
    with a_server() as (mailbox, place):
        send(Mailer(f"smtp://{place}", SENDER), late)
    assert mailbox.arrived[0]["Date"].startswith("Fri, 20 Nov 2026")
