"""Mail, by SMTP: one message to one address, and what it means when a server does not take it.

A server that took a message and whose answer was lost gets it again: mail is sent at least once. Its
Message-ID is made from the message's own id, so that mailboxes that look can show it once.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from stewardship.config import Settings

#: How long, in seconds, a server may be silent.
TIMEOUT = 20.0

_PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


class NotSent(Exception):
    """A server did not take a message. ``permanent`` when it never will; ``code`` for programs. The server's
    own words are left out, for they may quote an address."""

    def __init__(self, code: str, *, permanent: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: ``id`` is the message's own, ``at`` the moment that it speaks of."""

    id: str
    to: str
    subject: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Mailer:
    """A server and the address that mail comes from."""

    url: str = field(repr=False)
    sender: str
    timeout: float = TIMEOUT
    #: Which certificates are trusted; the system's when not given.
    trust: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings) -> Mailer | None:
        """The one that the settings name, if they name any."""
        if not settings.smtp_url or not settings.mail_from:
            return None
        return cls(settings.smtp_url, settings.mail_from)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for some letters; raises ``NotSent`` when there is none to be had."""
        connection = Connection(self)
        try:
            yield connection
        finally:
            connection.close()


class Connection:
    """A connection that is made when the first letter is sent, and again after it broke."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._server: smtplib.SMTP | None = None

    def send(self, letter: Letter) -> None:
        """Hand the letter to the server; ``NotSent`` when it did not say that it took it."""
        try:
            if self._server is None:
                self._server = _connect(self._mailer)
            self._server.send_message(_written(letter, self._mailer.sender))
        except smtplib.SMTPAuthenticationError:
            self.close()
            raise NotSent("authentication") from None
        except smtplib.SMTPRecipientsRefused as refused:
            codes = [code for code, _ in refused.recipients.values()]
            raise NotSent("recipient-refused", permanent=all(code >= 500 for code in codes)) from None
        except smtplib.SMTPResponseException as refused:
            self._begin_again(refused.smtp_code)
            # A refused sender, or a command that it does not know, is a matter of settings: not the letter's.
            permanent = isinstance(refused, smtplib.SMTPDataError) and refused.smtp_code >= 500
            raise NotSent(f"refused-{refused.smtp_code}", permanent=permanent) from None
        except ssl.SSLError:
            self.close()
            raise NotSent("tls") from None
        except (smtplib.SMTPException, OSError):
            # Nobody there, nobody answering in time, or gone in the middle of it.
            self.close()
            raise NotSent("connection") from None

    def close(self) -> None:
        """Say goodbye, if anybody is still there."""
        if self._server is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._server.quit()
            self._server = None

    def _begin_again(self, code: int) -> None:
        # 421: the server is closing. Anything else leaves the connection as it was.
        if code == 421 or self._server is None or self._server.sock is None:
            self.close()


def _connect(mailer: Mailer) -> smtplib.SMTP:
    said = urlsplit(mailer.url)
    host, port = said.hostname or "", said.port or _PORTS[said.scheme]
    trust = mailer.trust or ssl.create_default_context()
    server: smtplib.SMTP
    if said.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, port, timeout=mailer.timeout, context=trust)
    else:
        server = smtplib.SMTP(host, port, timeout=mailer.timeout)
    try:
        if said.scheme == "smtp+starttls":
            server.starttls(context=trust)
        if said.username:
            server.login(unquote(said.username), unquote(said.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _written(letter: Letter, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.id}@{sender.rpartition('@')[2]}>"
    # Nobody's absence is told to a service.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message
