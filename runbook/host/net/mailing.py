"""Mail handed to an SMTP server."""

from __future__ import annotations

import smtplib
import ssl

from runbook.changes.messages import Mail
from runbook.errors import TaskFailed
from runbook.host.net.packets import hint_for, why
from runbook.units import revealed


def send_mail(mail: Mail) -> tuple[str, ...]:
    """Send it; gives the recipients, all of whom the server has accepted."""
    try:
        with _connected(mail) as server:
            if mail.security == "starttls":
                server.starttls(context=_context(mail))
            if mail.user is not None:
                server.login(mail.user, str(revealed(mail.password)))
            refused = server.sendmail(mail.sender, mail.recipients, mail.content)
    except smtplib.SMTPException as error:
        # Its own text may show what was sent, and that may be secret: so no cause is kept either.
        raise TaskFailed(f"the mail was not taken by {mail.address}: {_said(error)}", hint=_mail_hint(error)) from None
    except (OSError, UnicodeError) as error:
        raise TaskFailed(f"the mail was not sent by {mail.address}: {why(error)}", hint=hint_for(error)) from error
    if refused:
        said = ", ".join(f"{name} ({code})" for name, (code, _) in sorted(refused.items()))
        raise TaskFailed(f"{mail.address} refused some of the recipients: {said}; the others have got the mail")
    return mail.recipients


def _connected(mail: Mail) -> smtplib.SMTP:
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.server, mail.port, timeout=mail.timeout, context=_context(mail))
    return smtplib.SMTP(mail.server, mail.port, timeout=mail.timeout)


def _context(mail: Mail) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not mail.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _said(error: Exception) -> str:
    """Say what the server answered, without what it was told."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "every recipient was refused: " + ", ".join(
            f"{name} ({code})" for name, (code, _) in sorted(error.recipients.items())
        )
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it does not offer STARTTLS or a login that both sides know"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "it hung up, or did not answer in time"
    code = getattr(error, "smtp_code", None)
    what = {"SMTPAuthenticationError": "the login", "SMTPSenderRefused": "the sender"}.get(type(error).__name__, "it")
    return f"{what} was refused ({code})" if code else type(error).__name__


def _mail_hint(error: Exception) -> str | None:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "are user and password right, and may this user send by SMTP?"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "`security: tls` with port 465, or `none` for a server on this machine"
    return None
