"""TLS as all clients want it, and in one sentence what is wrong with a server's certificate.

The clients' own words for it differ, and some do not tell an expired certificate from one of a stranger. So when one
of them fails, the server is asked once more, here.
"""

import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

from streams.errors import LabelloopError

_LIMIT_S = 5.0
_ATTEMPTS, _PAUSE_S = 3, 0.3

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = (62, 64)  # of a host, of an IP address
"""OpenSSL's X509_V_ERR_*."""


def context(ca: Path | None) -> ssl.SSLContext:
    """Return what servers are checked with: signed by `ca`, None for the system's; for the name they are reached by.

    Raises:
        LabelloopError: the file holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise LabelloopError(f"{ca} holds no certificates: name a file of PEM certificates") from error


def objection(host: str, port: int, ca: Path | None) -> str | None:
    """Return what there is against a server, to be read after its name; None: nothing, or it is away.

    Raises:
        LabelloopError: `ca` holds no certificates.
    """
    checked = context(ca)
    for _ in range(_ATTEMPTS):
        try:
            with socket.create_connection((host, port), _LIMIT_S) as plain:
                checked.wrap_socket(plain, server_hostname=host).close()
            return None
        except ssl.SSLCertVerificationError as error:
            return _against(error, host, ca)
        except (ssl.SSLEOFError, ConnectionResetError):  # no TLS there; or just now it goes away
            time.sleep(_PAUSE_S)
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                break
            return f"refuses TLS ({error.reason}): see its log"
        except OSError:
            return None
    with suppress(OSError):
        socket.create_connection((host, port), _LIMIT_S).close()
        return "speaks no TLS at this port: name its port for TLS"
    return None


def _against(error: ssl.SSLCertVerificationError, host: str, ca: Path | None) -> str:
    if error.verify_code == _EXPIRED:
        return "shows a certificate that has expired: renew it there"
    if error.verify_code == _NOT_YET:
        return "shows a certificate that is not valid yet: compare the clocks of both machines"
    if error.verify_code in _OTHER_NAME:
        return f"shows a certificate that is not for {host}: use a name that is in it, or have one made for {host}"
    signers = ca or "the system's list of authorities"
    return f"shows a certificate that {signers} does not vouch for ({error.verify_message}): name the CA that signed it"
