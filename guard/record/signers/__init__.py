"""Signers whose key lies elsewhere: behind a command, in a PKCS#11 token, in a key management service.

All keep the protocol ``guard.types.Signer`` and its promise: 64 bytes of Ed25519, proven here under the public key
before they are used, within a deadline, or ``SignerFailed``. They are called from the log's writer thread, never from
an event loop; a failure makes the log unavailable, and the requests that wait for it are refused (503).
"""
