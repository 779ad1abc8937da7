"""Certificates and keys (RFC 5280, RFC 7517) on ``cryptography``, in the form in which Go's ``crypto/x509`` and OPA
show them. Imported when the first certificate is read.
"""
