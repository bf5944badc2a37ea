"""Text without the secrets of addresses: for all that is shown, written or given away.

An address keeps its secrets in two places: in front of the host (`http://USER:PASSWORD@host`), and in the
query (`?token=...`). What connects gets the address as it is; everything else gets `redacted`.
"""

import re

MASK = "***"
_USER_INFO = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)      # any kind: http, postgresql+psycopg2, ssh
        (?: [^\s/?\#]* | [^\s/?\#:@]*:(?!\d+/)[^\s@]* )  # passwords hold slashes, too; ports do not
        @""",
    re.IGNORECASE | re.VERBOSE,
)
_QUERY = re.compile(
    r"(?P<name>[?&;][^\s=&?#;]*(?:token|key|secret|password|passwd|pwd|auth|credential|signature|sig|odbc_connect)[^\s=&]*=)"
    r"[^\s&#'\"]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text with the user info and the secret query values of every address in it masked."""
    if "://" not in text and "=" not in text:
        return text
    return _QUERY.sub(rf"\g<name>{MASK}", _USER_INFO.sub(rf"\g<scheme>{MASK}@", text))


def with_secrets_of(uri: str, whole: str | None) -> str:
    """An address as it connects: `whole` where `uri` is its redacted form, else `uri`."""
    return whole if whole is not None and uri == redacted(whole) else uri


def first_line(error: BaseException) -> str:
    """What an exception says, in one line without secrets; its name where it says nothing."""
    return redacted((str(error).strip() or type(error).__name__).splitlines()[0])
