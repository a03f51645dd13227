"""Root keys made by a process of their own: making an RSA key holds the interpreter for a tenth of a second and more.

The process is a fresh one: a forked child could find a lock of the cryptographic library held for ever.
`python -m yurt.server.keyring.making` writes one signing key (PKCS #8, DER) to its standard output.
"""

from __future__ import annotations

import logging
import secrets
import subprocess
import sys

from cryptography.hazmat.primitives.serialization import load_der_private_key

from yurt.server.keyring.keystore import KEY_BYTES, Kept, make_key

log = logging.getLogger("keyring")

SECONDS_MAX = 30.0


def make_key_apart(key_id: str) -> Kept:
    """A fresh key; blocks its own thread only. Made here if there can be no other process."""
    command = (sys.executable, "-P", "-m", __name__)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX, check=True)
        load_der_private_key(done.stdout, None)
        return Kept(key_id, secrets.token_bytes(KEY_BYTES), done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("no process to make a root key; it is made here", extra={"reason": str(error)})
        return make_key(key_id)


if __name__ == "__main__":
    sys.stdout.buffer.write(make_key("").signing)
