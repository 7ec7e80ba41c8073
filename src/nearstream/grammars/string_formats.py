"""The formats of strings that are enforced, each as a pattern of what is written; others are annotations.

Narrower than what the formats' own documents allow (no leap days, no comments in addresses), never wider.
"""

from __future__ import annotations

from collections.abc import Mapping

_DATE = (
    r"\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
)
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
FORMATS: Mapping[str, str] = {
    "date": rf"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d\d\d)-{_DATE[6:]}",
    "time": _TIME,
    "date-time": rf"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d\d\d)-{_DATE[6:]}T{_TIME}",
    "duration": r"P(\d{1,4}D|\d{1,4}W|(\d{1,4}D)?T(\d{1,4}H(\d{1,4}M)?|\d{1,4}M(\d{1,4}S)?|\d{1,4}S))",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "email": rf"[A-Za-z0-9_%+-]+(\.[A-Za-z0-9_%+-]+)*@{_LABEL}(\.{_LABEL})*\.[a-z]{{2,12}}",
    "hostname": rf"{_LABEL}(\.{_LABEL})*",
    "ipv4": rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}",
    "uri": r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*(\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?"
    r"(#[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?",
}
