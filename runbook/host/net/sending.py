"""How parcels leave: words to whoever watches, packets by sockets, mail by SMTP; told in words that hold no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runbook.changes.messages import Mail, Parcel, Words

if TYPE_CHECKING:
    from runbook.host.protocol import Listener


class Sending(Protocol):
    """What this function needs of the host that it is a method of."""

    _listener: Listener | None

    def check_deadline(self) -> None: ...


def deliver(host: Sending, parcel: Parcel) -> tuple[str, ...]:
    """Hand it over; gives the addresses that are known to have taken it, or raises TaskFailed."""
    host.check_deadline()
    if isinstance(parcel, Words):
        if host._listener is not None:  # noqa: SLF001 - a method of the host
            for line in parcel.text.splitlines():
                host._listener.output("stdout", line)  # noqa: SLF001
        return (parcel.address,)
    from runbook.host.net.mailing import send_mail
    from runbook.host.net.packets import send_packet

    return send_mail(parcel) if isinstance(parcel, Mail) else send_packet(parcel)
