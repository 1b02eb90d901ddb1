"""`audit`: proves the configuration against what OWASP and NIST ask of sessions."""
