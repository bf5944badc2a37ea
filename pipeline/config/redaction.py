"""Masking of secrets in addresses, for all text that is printed, written or published.

Secrets stand before the host (`http://USER:PASSWORD@host`) and in the query (`?token=...`).
"""

import re

MASK = "***"
_USER_INFO = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)      # any kind: http, postgresql+psycopg2, ssh
        (?: [^\s/?\#]* | [^\s/?\#:@]*:(?!\d+/)[^\s@]* )  # passwords may hold slashes, ports do not
        @""",
    re.IGNORECASE | re.VERBOSE,
)
_QUERY = re.compile(
    r"(?P<name>[?&;][^\s=&?#;]*(?:token|key|secret|password|passwd|pwd|auth|credential|signature|sig|odbc_connect)[^\s=&]*=)"
    r"[^\s&#'\"]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Mask user info and secret query values of all addresses in a text."""
    if "://" not in text and "=" not in text:
        return text
    return _QUERY.sub(rf"\g<name>{MASK}", _USER_INFO.sub(rf"\g<scheme>{MASK}@", text))


def with_secrets_of(uri: str, whole: str | None) -> str:
    """Address to connect to: `whole` if `uri` is its redacted form, else `uri`."""
    return whole if whole is not None and uri == redacted(whole) else uri


def first_line(error: BaseException) -> str:
    """First line of an exception's message with secrets masked, or its name if there is none."""
    return redacted((str(error).strip() or type(error).__name__).splitlines()[0])
